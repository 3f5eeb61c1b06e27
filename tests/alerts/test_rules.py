"""The rules as a file: fresh, complete, and speaking only of metrics and labels that there are."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulltrace.units import parse_duration
from pulltrace_alerts.__main__ import main
from pulltrace_alerts.levels import LEVELS
from pulltrace_alerts.model import NAMESPACE, OWNERS, PLATFORM, SEVERITIES, Alert
from pulltrace_alerts.settings import Settings, UnknownSetting, changed, duration
from pulltrace_alerts.table import alerts, document, recordings, text
from rig.dashboards import all_queries, files
from rig.promql import OURS, Known, unknown

pytestmark = pytest.mark.unit

CHECKOUT = Path(__file__).parents[2]
FILE = CHECKOUT / "alerts/pulltrace.rules.yaml"
LOADED = yaml.safe_load(FILE.read_text())
RUNBOOKS = CHECKOUT / "docs/runbooks"
ALERTS = alerts(Settings())
BY_NAME = {alert.name: alert for alert in ALERTS}
OF_KUBE_STATE_METRICS: Known = {
    "kube_node_status_condition": {"node", "condition", "status"},
    "kube_node_spec_unschedulable": {"node"},
    "kube_node_spec_taint": {"node", "key", "effect"},
}


def known() -> Known:
    """Every metric that a rule may speak of, and its labels."""
    recorded = {rule.name: set(rule.labels) for rule in recordings(Settings())}
    return OURS | recorded | OF_KUBE_STATE_METRICS | {"up": set()}


def test_the_file_is_what_the_table_says() -> None:
    assert FILE.read_text() == text(Settings()), "run `make rules`"


def test_the_file_is_what_a_prometheus_rule_has_under_spec() -> None:
    assert document(Settings()) == LOADED
    assert LOADED.keys() == {"groups"}
    assert all(group.keys() == {"name", "rules"} for group in LOADED["groups"])


@pytest.mark.parametrize("rule", [*recordings(Settings()), *ALERTS], ids=lambda rule: rule.name)
def test_a_rule_speaks_of_what_there_is(rule: Any) -> None:
    assert unknown(rule.expr, known()) == []


def test_names_are_given_once() -> None:
    names = Counter([rule.name for rule in recordings(Settings())] + [alert.name for alert in ALERTS])
    assert [name for name, times in names.items() if times > 1] == []


@pytest.mark.parametrize("rule", recordings(Settings()), ids=lambda rule: rule.name)
def test_a_recording_rule_is_named_by_level_metric_and_operations(rule: Any) -> None:
    level, metric, operations = rule.name.split(":")
    assert set(LEVELS[level]) <= set(rule.labels)
    assert metric.startswith("pulltrace_")
    assert not metric.endswith("_total")
    assert operations


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_says_what_where_why_and_what_next(alert: Alert) -> None:
    assert alert.name.startswith("Pulltrace")
    assert alert.severity in SEVERITIES
    assert alert.owner in OWNERS
    assert getattr(Settings(), alert.hold) > 0
    assert "Next: " in alert.description
    for label in alert.labels:
        if label in ("node", "pod", "registry"):
            assert f"$labels.{label}" in alert.summary + alert.description
    if "pod" in alert.labels:
        assert "Blocked by" in alert.description or "Reason: " in alert.description
        assert "$labels.image" in alert.summary + alert.description


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_what_needs_another_program_says_so(alert: Alert) -> None:
    used = [metric for metric in OF_KUBE_STATE_METRICS if metric in alert.expr]
    assert bool(used) == bool(alert.needs)
    if alert.needs:
        assert f"Needs {alert.needs}" in alert.description
        assert alert.needs in (RUNBOOKS / f"{alert.name}.md").read_text()


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_has_a_runbook(alert: Alert) -> None:
    page = (RUNBOOKS / f"{alert.name}.md").read_text()
    assert page.startswith(f"# {alert.name}\n")
    assert ("`team: platform`" in page) == (alert.owner == PLATFORM)
    assert "](../dashboards.md)" in page
    for heading in ("## What it means", "## How to look", "## What to do"):
        assert heading in page
    assert f"({alert.name}.md)" in (RUNBOOKS / "README.md").read_text()
    assert _rule(alert.name)["annotations"]["runbook_url"] == f"{Settings().runbooks}/{alert.name}.md"


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_a_runbook_belongs_to_an_alert_and_asks_for_what_there_is(page: Path) -> None:
    assert page.stem == "README" or page.stem in BY_NAME
    blocks = page.read_text().split("```promql\n")[1:]
    for block in blocks:
        assert unknown(block.split("```")[0], known()) == []


def test_the_index_says_severity_time_and_owner_as_the_rules_do() -> None:
    index = (RUNBOOKS / "README.md").read_text()
    who = {PLATFORM: "platform", NAMESPACE: "the namespace's team"}
    for alert in ALERTS:
        hold = duration(getattr(Settings(), alert.hold))
        assert f"| [{alert.name}]({alert.name}.md) | {alert.severity} | {hold} | {who[alert.owner]} |" in index


def test_there_are_few_alerts_and_only_symptoms_wake_somebody() -> None:
    assert len(ALERTS) <= 18
    assert {alert.name for alert in ALERTS if alert.severity == "critical"} == {
        "PulltraceManyPodsCannotStart",
        "PulltraceRegistryNotAnswering",
        "PulltraceExporterAbsent",
        "PulltraceAggregatorAbsent",
    }


def test_each_recording_rule_feeds_an_alert_or_a_dashboard() -> None:
    recorded = {rule.name: rule.expr for rule in recordings(Settings())}
    texts = [alert.expr + alert.summary + alert.description for alert in ALERTS]
    texts += [query.expr for query in all_queries(files())]
    used = {name for text in texts for name in recorded if name in text}
    while more := {name for name in recorded for user in used if name in recorded[user]} - used:
        used |= more
    assert used == recorded.keys()


def test_one_factor_shortens_every_duration_and_nothing_else() -> None:
    plain, scaled = document(Settings()), document(replace(Settings(), scale=60))
    for before, after in zip(_rules(plain), _rules(scaled), strict=True):
        assert before.keys() == after.keys()
        assert before.get("annotations") == after.get("annotations")
        for name in {"for", "keep_firing_for"} & before.keys():
            assert parse_duration(before[name]) == 60 * parse_duration(after[name])
    assert "rate(pulltrace_pod_pull_failures_total[5s])" in str(scaled)
    assert "[2h48m:1m] offset 1m" in str(scaled)
    assert '{cause="queue"} > 10' in str(scaled)


def test_a_threshold_is_a_parameter(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--set", "many_pods=50", "--set", "stalled_for=120"]) == 0
    written = {rule.get("alert"): rule for rule in _rules(yaml.safe_load(capsys.readouterr().out))}
    assert ">= 50\n" in written["PulltraceManyPodsCannotStart"]["expr"]
    assert written["PulltracePullStalled"]["for"] == "2m"


@pytest.mark.parametrize("assignment", ["nothing=1", "slow_peers=few", "slow_peers"])
def test_a_setting_that_there_is_not_is_refused_by_name(assignment: str) -> None:
    with pytest.raises(UnknownSetting, match=assignment.partition("=")[0]):
        changed(Settings(), [assignment])


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(60, "1m"), (90, "1m30s"), (0.25, "250ms"), (604800, "1w"), (10080, "2h48m"), (86400, "1d"), (0, "1ms")],
)
def test_durations_are_written_as_prometheus_does(seconds: float, written: str) -> None:
    assert duration(seconds) == written


def _rules(loaded: dict[str, Any]) -> list[dict[str, Any]]:
    return [rule for group in loaded["groups"] for rule in group["rules"]]


def _rule(alert: str) -> dict[str, Any]:
    return next(rule for rule in _rules(LOADED) if rule.get("alert") == alert)
