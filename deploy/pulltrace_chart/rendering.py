"""The chart as Helm renders it, in this process and without a cluster."""

from pathlib import Path
from typing import Any

import yaml
from helm_python import Chart

Object = dict[str, Any]


def render(chart: Path, values: Object, *, name: str = "pulltrace", namespace: str = "pulltrace") -> dict[str, str]:
    """The text that each template gives, by its path within the chart; NOTES.txt among them."""
    with Chart.load(chart) as loaded:
        rendered = loaded.render(values, name=name, namespace=namespace)
    return {path.split("/", 1)[1]: text for path, text in sorted(rendered.items())}


def objects(text: str) -> list[Object]:
    """The objects of a rendered template, or of several."""
    return [each for each in yaml.safe_load_all(text) if each]
