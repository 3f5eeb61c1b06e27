"""Single queries on made-up series, which no hour that goes well has; promtool asks them as Prometheus would."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from rig import debian, needs
from rig.dashboards import all_queries, files, substituted
from rig.processes import run

pytestmark = pytest.mark.integration


def asked(folder: Path, key: str, series: dict[str, str], answers: dict[str, dict[str, float]]) -> None:
    """Ask the query of a panel (`overview/12A`) at these moments; the answers are values by labels."""
    (query,) = (query for query in all_queries(files()) if query.key == key)
    expr = substituted(query.expr, {}, seconds=3600, interval=120)
    checks = [
        {
            "expr": expr,
            "eval_time": moment,
            "exp_samples": [{"labels": labels, "value": value} for labels, value in samples.items()],
        }
        for moment, samples in answers.items()
    ]
    given = [{"series": name, "values": values} for name, values in series.items()]
    test: dict[str, Any] = {"interval": "30s", "input_series": given, "promql_expr_test": checks}
    (folder / "test.yaml").write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}))
    assert "SUCCESS" in run([needs.program(debian.PROMTOOL), "test", "rules", folder / "test.yaml"])


def test_the_nodes_that_shards_do_not_reach_are_added_up(tmp_path: Path) -> None:
    shards = {
        f'pulltrace_aggregator_exporters{{instance="10.0.0.{number}:10302",state="{state}"}}': f"{nodes}x10"
        for number, (reached, away) in enumerate(((30, 2), (29, 3)))
        for state, nodes in (("ok", reached), ("unreachable", away))
    }
    asked(tmp_path, "itself/4A", shards, {"5m": {"{}": 5}})


def test_one_shard_that_does_not_see_the_api_server_is_enough(tmp_path: Path) -> None:
    shards = {
        f'pulltrace_aggregator_kubernetes_up{{instance="10.0.0.{number}:10302"}}': f"{up}x10"
        for number, up in enumerate((1, 0, 1))
    }
    asked(tmp_path, "itself/3A", shards, {"5m": {"{}": 0}})


def test_a_counter_that_is_scraped_again_has_not_grown_by_all_that_it_ever_counted(tmp_path: Path) -> None:
    # A scrape fails, which marks its series as stale, and the next one succeeds.
    counter = 'pulltrace_pod_pull_failures_total{namespace="shop",registry="registry.example",reason="timeout"}'
    series = {counter: "500x20 stale 500x20"}
    asked(tmp_path, "overview/12A", series, {"12m30s": {}, "13m": {}})


def test_the_first_failure_of_a_kind_counts(tmp_path: Path) -> None:
    counter = 'pulltrace_pod_pull_failures_total{namespace="shop",registry="registry.example",reason="timeout"}'
    asked(tmp_path, "overview/12A", {counter: "_x19 1x20"}, {"11m": {'{reason="timeout"}': 1}, "15m": {}})
