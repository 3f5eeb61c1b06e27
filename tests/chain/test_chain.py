"""From image pulls to an operator's pager, with nothing between them imitated but the node and the Kubernetes API.

On the way each query of each dashboard is asked.
"""

import pytest

from chain.panels import NEVER, Panels
from rig import debian, needs
from rig.alert_scenarios import BLIND, BROKEN, IN_TROUBLE, run_alert_scenarios
from rig.chain import Chain, chain

pytestmark = [pytest.mark.integration, pytest.mark.timeout(420)]

PAGES = {"PulltraceRegistryNotAnswering", "PulltraceAggregatorAbsent"}
NAMED = ("pod", "node", "registry", "image")


def rules_hold(running: Chain, _: str) -> None:
    """No rule has ever failed: a join that matches many to many would have."""
    groups = running.monitoring.prometheus.get("/api/v1/rules")["groups"]
    assert [
        (rule["name"], rule["lastError"]) for group in groups for rule in group["rules"] if rule.get("lastError")
    ] == []


def told_as_it_should_be(running: Chain, _: str) -> None:
    """What an operator reads is filled in, and names what the alert is about."""
    for one in running.monitoring.hook.notifications:
        text = " ".join(one.annotations.values())
        for sign in ("<no value>", "{{", "error expanding"):
            assert sign not in text, text
        for label in NAMED:
            assert one.labels.get(label, "") in text, (label, one)


def line_is_silent_behind_what_holds_it_up(running: Chain, step: str) -> None:
    """Once its head moves again, a line that is long is told as what it is."""
    if step in ("trouble", "cut"):
        assert "behind-the-stalled" not in {one.labels.get("pod") for one in running.monitoring.hook.notifications}


CHECKS = (rules_hold, told_as_it_should_be, line_is_silent_behind_what_holds_it_up)
"""What is looked at during the trouble, with two generations of everything present, and after it."""


def test_trouble_reaches_the_operator_once_and_ends() -> None:
    for package in (debian.PROMETHEUS, debian.ALERTMANAGER):
        needs.program(package)
    panels = Panels()
    with chain() as running:
        run_alert_scenarios(running, *CHECKS, panels)
        told = [one for one in running.monitoring.hook.notifications if one.status == "firing"]
        assert running.monitoring.told("firing") >= IN_TROUBLE | BLIND
        assert running.monitoring.told("resolved") >= IN_TROUBLE | BLIND
        assert {one.name for one in told if one.receiver == "pager"} == PAGES
        # Each pod is told under its own reason's alert, and under no other's.
        for name, (_, alert) in BROKEN.items():
            assert {one.name for one in told if one.labels.get("pod") == name} == {alert}
        # Silenced: a dead node's own.
        assert {one.name for one in told if one.labels.get("node") == "dead"} == {"PulltraceNodeNotReady"}
        assert panels.empty().keys() - NEVER.keys() == set(), panels.empty()
        assert panels.empty_choices() == set()
