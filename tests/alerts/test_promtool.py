"""The rules' own unit tests, run by promtool of the newest and of the oldest Prometheus that is supported."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulltrace_alerts.settings import Settings
from pulltrace_alerts.table import alerts
from rig import charts, debian, needs
from rig.chart_values import EVERYTHING
from rig.processes import run

CHECKOUT = Path(__file__).parents[2]
RULES = CHECKOUT / "alerts/pulltrace.rules.yaml"
TESTS = CHECKOUT / "alerts/tests"
NAMES = [alert.name for alert in alerts(Settings())]
PROMTOOLS = {"3.5": debian.PROMTOOL, "2.42": debian.PROMTOOL_OLD}


@pytest.fixture(params=PROMTOOLS)
def promtool(request: pytest.FixtureRequest) -> Path:
    return needs.program(PROMTOOLS[request.param])


@cache
def written_tests(alert: str) -> list[dict[str, Any]]:
    tests: list[dict[str, Any]] = yaml.safe_load((TESTS / f"{alert}.yaml").read_text())["tests"]
    return tests


@pytest.mark.unit
def test_each_file_of_tests_belongs_to_an_alert() -> None:
    assert sorted(NAMES) == sorted(file.stem for file in TESTS.glob("*.yaml"))


@pytest.mark.unit
@pytest.mark.parametrize("alert", NAMES)
def test_each_alert_is_tested_to_fire_to_resolve_and_not_to_fire_just_below(alert: str) -> None:
    outcomes = {
        test["name"]: [bool(check["exp_alerts"]) for check in test["alert_rule_test"]] for test in written_tests(alert)
    }
    fires = [seen for name, seen in outcomes.items() if name.startswith("fires") and "resolves" in name]
    assert fires
    for seen in fires:
        assert any(seen)
        assert not seen[-1], "the last look must find it resolved"
    below = [seen for name, seen in outcomes.items() if name.startswith("does not fire just below")]
    assert below
    for seen in below:
        assert not any(seen)
    assert {check["alertname"] for test in written_tests(alert) for check in test["alert_rule_test"]} == {alert}


@pytest.mark.unit
@pytest.mark.parametrize("alert", NAMES)
def test_what_an_operator_reads_is_filled_in(alert: str) -> None:
    fired = [one for test in written_tests(alert) for check in test["alert_rule_test"] for one in check["exp_alerts"]]
    for one in fired:
        assert set(one["exp_annotations"]) == {"summary", "description", "runbook_url"}
        text = " ".join(one["exp_annotations"].values())
        for sign in ("<no value>", "{{", "error expanding", "  "):
            assert sign not in text
        for label in ("pod", "node", "registry"):
            assert one["exp_labels"].get(label, "") in text


@pytest.mark.integration
def test_promtool_has_nothing_to_say_about_the_rules(promtool: Path) -> None:
    said = run([promtool, "check", "rules", "--lint=all", "--lint-fatal", RULES])
    assert f"SUCCESS: {RULES.read_text().count('expr: ')} rules found" in said


@pytest.mark.integration
def test_promtool_accepts_what_the_chart_makes_of_them_with_all_its_values(tmp_path: Path) -> None:
    spec = charts.one(charts.new_helm(EVERYTHING), "PrometheusRule")["spec"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(spec))
    wanted = sum(len(group["rules"]) for group in spec["groups"])
    said = run([needs.program(debian.PROMTOOL), "check", "rules", tmp_path / "rules.yaml"])
    assert f"{wanted} rules found" in said


@pytest.mark.integration
@pytest.mark.parametrize("alert", NAMES)
def test_each_alert_fires_and_resolves_as_it_should(promtool: Path, alert: str) -> None:
    assert "SUCCESS" in run([promtool, "test", "rules", TESTS / f"{alert}.yaml"], timeout=100)


@pytest.mark.integration
@pytest.mark.parametrize("alert", NAMES)
def test_two_generations_of_exporter_and_aggregator_change_nothing(tmp_path: Path, alert: str) -> None:
    loaded = yaml.safe_load((TESTS / f"{alert}.yaml").read_text())
    loaded["rule_files"] = [str(RULES)]
    for test in loaded["tests"]:
        test["input_series"] = [copy for series in test["input_series"] for copy in generations(series)]
    file = tmp_path / "tests.yaml"
    file.write_text(yaml.safe_dump(loaded))
    assert "SUCCESS" in run([needs.program(debian.PROMTOOL), "test", "rules", file], timeout=100)


def generations(series: dict[str, str]) -> list[dict[str, str]]:
    """The series as two instances show it."""
    name, _, labels = series["series"].partition("{")
    others = "," + labels if labels else "}"
    return [
        {"series": f'{name}{{instance="{address}:10301"{others}', "values": series["values"]}
        for address in ("10.0.0.1", "10.0.0.2")
    ]
