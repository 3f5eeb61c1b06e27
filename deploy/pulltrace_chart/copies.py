"""What is taken over from elsewhere in the repository: a chart sees no file outside itself."""

import re
from pathlib import Path

import yaml

from pulltrace import __version__
from pulltrace_chart.places import ALERTS, CHART, DASHBOARD_COPIES, DASHBOARDS, RULES_COPIES


def copies() -> dict[Path, str]:
    """Rules and dashboards, by where they go."""
    rules = {RULES_COPIES / path.name: path.read_text() for path in sorted(ALERTS.glob("*.rules.yaml"))}
    return rules | {DASHBOARD_COPIES / path.name: path.read_text() for path in sorted(DASHBOARDS.glob("*.json"))}


def alerts() -> list[str]:
    """The names of all alerts."""
    documents = [yaml.safe_load(path.read_text()) for path in sorted(ALERTS.glob("*.rules.yaml"))]
    rules = [rule for document in documents for group in document["groups"] for rule in group["rules"]]
    return [rule["alert"] for rule in rules if "alert" in rule]


def chart_file() -> str:
    """Chart.yaml with the version of the programs."""
    text = (CHART / "Chart.yaml").read_text()
    text = re.sub(r"^version: .*$", f"version: {__version__}", text, flags=re.MULTILINE)
    return re.sub(r"^appVersion: .*$", f'appVersion: "{__version__}"', text, flags=re.MULTILINE)
