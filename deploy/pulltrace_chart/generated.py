"""Every generated file with its text."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from pulltrace_chart import copies, needs, readme, schema, valuesfile
from pulltrace_chart.manifests import manifests
from pulltrace_chart.places import CHART, GENERATED_FOLDERS, NEEDS


def chart() -> dict[Path, str]:
    """What is generated of the chart."""
    values = valuesfile.values((CHART / "values.yaml").read_text())
    table = readme.with_table((CHART / "README.md").read_text(), values)
    types = json.dumps(schema.schema(values, copies.alerts()), indent=2, ensure_ascii=False) + "\n"
    return {
        **copies.copies(),
        CHART / "Chart.yaml": copies.chart_file(),
        CHART / "README.md": table,
        CHART / "values.schema.json": types,
        NEEDS: needs.text(),
    }


STEPS: Final[tuple[Callable[[], dict[Path, str]], ...]] = (chart, manifests)
"""The order matters: the manifests are rendered from the chart."""


def present() -> Iterator[Path]:
    """The files that lie where only generated ones do."""
    for folder in GENERATED_FOLDERS:
        yield from (path for path in folder.rglob("*") if path.is_file())
