"""What is taken over from elsewhere in the repository: a chart sees no file outside itself."""

import re
from pathlib import Path

import yaml

from pulltrace import __version__
from pulltrace_alerts.settings import places
from pulltrace_alerts.table import text
from pulltrace_chart.places import ALERTS, CHART, DASHBOARD_COPIES, DASHBOARDS, RULES_COPIES


def copies() -> dict[Path, str]:
    """Rules and dashboards, by where they go. The rules have places for the values of `rules.settings`."""
    rules = {RULES_COPIES / "pulltrace.rules.yaml": text(places())}
    return rules | {DASHBOARD_COPIES / path.name: path.read_text() for path in sorted(DASHBOARDS.glob("*.json"))}


def alerts() -> list[str]:
    """The names of all alerts."""
    documents = [yaml.safe_load(path.read_text()) for path in sorted(ALERTS.glob("*.rules.yaml"))]
    rules = [rule for document in documents for group in document["groups"] for rule in group["rules"]]
    return [rule["alert"] for rule in rules if "alert" in rule]


def chart_file() -> str:
    """Chart.yaml with the version of the programs."""
    chart = (CHART / "Chart.yaml").read_text()
    chart = re.sub(r"^version: .*$", f"version: {__version__}", chart, flags=re.MULTILINE)
    return re.sub(r"^appVersion: .*$", f'appVersion: "{__version__}"', chart, flags=re.MULTILINE)
