"""The rules and dashboards as they reach a cluster: what Helm renders for kube-prometheus-stack."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml

from pulltrace_alerts.settings import Settings
from pulltrace_alerts.table import text
from pulltrace_chart.places import CHART, RULES_COPIES
from pulltrace_chart.rendering import render
from rig.chart_values import KPS
from rig.charts import new_helm, objects, of_kind, one
from rig.dashboards import Json

_RULES = RULES_COPIES.relative_to(CHART) / "pulltrace.rules.yaml"


def rules(settings: Settings) -> str:
    """The rules of the PrometheusRule, of a chart that was built with these settings."""
    with tempfile.TemporaryDirectory() as name:
        chart = Path(shutil.copytree(CHART, Path(name) / "pulltrace"))
        (chart / _RULES).write_text(text(settings))
        found = objects([render(chart, KPS)["templates/monitoring/prometheusrule.yaml"]])
    return yaml.safe_dump(one(found, "PrometheusRule")["spec"])


@cache
def dashboards() -> Mapping[str, Json]:
    maps = [each for each in of_kind(new_helm(KPS), "ConfigMap") if "-dashboard-" in each["metadata"]["name"]]
    return {Path(name).stem: json.loads(content) for each in maps for name, content in each["data"].items()}
