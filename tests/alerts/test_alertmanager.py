"""The example configuration of Alertmanager: who is told, how often, and what is silenced by what."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulltrace_alerts.model import PLATFORM, Alert
from pulltrace_alerts.settings import Settings
from pulltrace_alerts.table import alerts
from rig import debian, needs
from rig.alertmanager import Alertmanager, Notification, Webhook, alertmanager, scaled
from rig.processes import run

CONFIG = Path(__file__).parents[2] / "alerts/alertmanager.yaml"
SCALE = 30
"""The wait before a message must be longer than a busy Alertmanager takes to see what is fired together."""
ALERTS = alerts(Settings())
FOREIGN = {"KubeNodeNotReady", "KubeNodeUnreachable", "KubePodNotReady", "KubeContainerWaiting"}
RECEIVERS = {"critical": "pager", "warning": "tickets", "info": "chat"}
BAD, GOOD = "slow.example", "good.example"


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with Webhook() as running:
        yield running


@pytest.fixture
def manager(hook: Webhook) -> Iterator[Alertmanager]:
    with alertmanager(scaled(CONFIG, hook.url, SCALE)) as running:
        yield running


def fired(name: str, **labels: str) -> dict[str, str]:
    alert = next(alert for alert in ALERTS if alert.name == name)
    return {"alertname": name, "severity": alert.severity, **team(alert), **labels}


def team(alert: Alert) -> dict[str, str]:
    return {"team": PLATFORM} if alert.owner == PLATFORM else {}


def of_pod(name: str, number: int, registry: str) -> dict[str, str]:
    pod = {"namespace": "shop", "pod": f"web-{number}", "node": f"node-{number}", "image": f"{registry}/app:1"}
    return fired(name, registry=registry, **pod)


@pytest.mark.unit
def test_every_alert_that_is_named_exists() -> None:
    names = {alert.name for alert in ALERTS} | FOREIGN
    expressions = set(_matched_names(yaml.safe_load(CONFIG.read_text())))
    assert expressions
    for expression in expressions:
        assert any(re.fullmatch(expression, name) for name in names), expression


@pytest.mark.integration
def test_amtool_accepts_it() -> None:
    assert "SUCCESS" in run([needs.program(debian.AMTOOL), "check-config", CONFIG])


@pytest.mark.integration
@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_alerts_go_where_their_severity_and_owner_say(alert: Alert) -> None:
    assert _route(alert) == (RECEIVERS[alert.severity] if alert.owner == PLATFORM else "teams")


@pytest.mark.integration
def test_a_silent_registry_is_one_page_and_not_eight_hundred_tickets(manager: Alertmanager, hook: Webhook) -> None:
    explained = [of_pod("PulltraceNodeCannotPull", number, BAD) for number in range(800)]
    manager.post(
        [fired("PulltraceRegistryNotAnswering", registry=BAD), *explained, of_pod("PulltracePullStalled", 1, GOOD)]
    )
    told = hook.wait(lambda told: {"pager", "tickets"} <= {one.receiver for one in told})
    assert [(one.receiver, one.name) for one in told if one.labels["registry"] == BAD] == [
        ("pager", "PulltraceRegistryNotAnswering")
    ]
    assert [one.labels["pod"] for one in told if one.receiver == "tickets"] == ["web-1"]
    assert manager.inhibited() == {"PulltraceNodeCannotPull"}


@pytest.mark.integration
def test_why_a_pod_does_not_start_silences_that_it_does_not(manager: Alertmanager, hook: Webhook) -> None:
    own = {"namespace": "shop", "pod": "web-1"}
    manager.post(
        [
            of_pod("PulltraceImagePullFailing", 1, GOOD),
            {"alertname": "KubePodNotReady", "severity": "warning", **own},
            {"alertname": "KubeContainerWaiting", "severity": "warning", "container": "app", **own},
            {"alertname": "KubePodNotReady", "severity": "warning", **own, "pod": "web-2"},
        ]
    )
    told = hook.wait(lambda told: {"teams", "tickets"} <= {one.receiver for one in told})
    assert [(one.receiver, one.name, one.labels["pod"]) for one in sorted(told, key=lambda one: one.receiver)] == [
        ("teams", "PulltraceImagePullFailing", "web-1"),
        ("tickets", "KubePodNotReady", "web-2"),
    ]


@pytest.mark.integration
def test_many_pods_are_one_message(manager: Alertmanager, hook: Webhook) -> None:
    manager.post([of_pod("PulltraceImagePullFailing", number, GOOD) for number in range(800)])
    told = hook.wait(lambda told: len(told) >= 800)
    assert len(hook.messages) == 1
    assert {one.receiver for one in told} == {"teams"}


@pytest.mark.integration
def test_a_dead_node_silences_its_own_and_no_other(manager: Alertmanager, hook: Webhook) -> None:
    dead = {"node": "node-1"}
    manager.post(
        [
            fired("PulltraceNodeNotReady", **dead),
            fired("PulltraceExporterMissing", **dead),
            fired("PulltraceContainerdUnreachable", **dead),
            of_pod("PulltracePullStalled", 1, GOOD),
            of_pod("PulltracePullStalled", 2, GOOD),
        ]
    )
    told = hook.wait(lambda told: len({one.name for one in told}) >= 2)
    assert _names(told, node="node-1") == {"PulltraceNodeNotReady"}
    assert _names(told, node="node-2") == {"PulltracePullStalled"}


@pytest.mark.integration
def test_the_cause_of_a_queue_silences_the_queue(manager: Alertmanager, hook: Webhook) -> None:
    behind = of_pod("PulltraceImageQueued", 1, GOOD)
    manager.post([of_pod("PulltracePullStalled", 1, BAD), behind, {**behind, "node": "node-2"}])
    told = hook.wait(lambda told: len({one.labels["node"] for one in told}) >= 2)
    assert _names(told, node="node-1") == {"PulltracePullStalled"}
    assert _names(told, node="node-2") == {"PulltraceImageQueued"}


def _names(told: list[Notification], **labels: str) -> set[str]:
    return {one.name for one in told if all(one.labels.get(label) == value for label, value in labels.items())}


def _route(alert: Alert) -> str:
    labels = [f"{label}=x" for label in alert.labels] + [f"{name}={value}" for name, value in team(alert).items()]
    words = ["config", "routes", "test", f"--config.file={CONFIG}", f"alertname={alert.name}"]
    return run([needs.program(debian.AMTOOL), *words, f"severity={alert.severity}", *labels]).strip()


def _matched_names(config: dict[str, Any]) -> Iterator[str]:
    """The values that are compared with the name of an alert, as regular expressions."""
    rules = [*config["route"]["routes"], *config["inhibit_rules"]]
    for rule in rules:
        for key in ("matchers", "source_matchers", "target_matchers"):
            for matcher in rule.get(key, ()):
                yield from re.findall(r'alertname\s*(?:=~|!~|!=|=)\s*"([^"]*)"', matcher)
