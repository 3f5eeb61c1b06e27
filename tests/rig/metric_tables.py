"""What the tests of both programs' tables of metrics do alike."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from pulltrace.exposition import Family, Metric, MetricType

CHECKOUT = Path(__file__).parents[2]


def samples(text: str, name: str) -> list[str]:
    return [line.removeprefix(name) for line in text.splitlines() if re.match(rf"{name}[ {{]", line)]


def values(text: str, name: str) -> list[str]:
    return [sample.split()[-1] for sample in samples(text, name)]


def check_page(families: Sequence[Family[Any]], page: str) -> None:
    """The generated part of docs/metrics.md is the table; the golden scrapes hold names and labels."""
    assert page in (CHECKOUT / "docs" / "metrics.md").read_text(), "make docs"
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| \w* \| .+ \|$", page, re.MULTILINE)
    table = [(family.metric.name, family.metric.type, " ".join(family.metric.labels)) for family in families]
    assert [(name, kind, labels.replace("`", "")) for name, kind, labels in rows] == table
    assert len({name for name, _, _ in table}) == len(table)


def check_labels(metric: Metric, text: str) -> None:
    """Every sample of the family has exactly the labels of the table; only a count of faults may have none."""
    read = [sample for found in parse_plain(text) for sample in found.samples]
    assert read or metric.name.endswith("_scrape_errors_total")
    for sample in read:
        assert tuple(name for name in sample.labels if name != "le") == metric.labels


def check_golden(golden: Path, body: bytes) -> None:
    """After a wanted change: delete the file, run this twice, and read the difference."""
    if not golden.exists():
        golden.parent.mkdir(exist_ok=True)
        golden.write_bytes(body)
        pytest.fail(f"{golden} was not there and has been written")
    assert body.decode().splitlines() == golden.read_text().splitlines()


def check_golden_formats(folder: Path) -> None:
    """Both golden scrapes have the same samples, and no series twice."""
    openmetrics = _read(parse_openmetrics((folder / "openmetrics.prom").read_text()))  # type: ignore[no-untyped-call]
    assert openmetrics == _read(parse_plain((folder / "plain.prom").read_text()))
    series = [(name, labels) for name, labels, _ in openmetrics]
    assert len(series) == len(set(series)) > 150


def broken_family() -> Family[Any]:

    def fail(_: object) -> list[tuple[str, float]]:
        raise ZeroDivisionError

    return Family(Metric("pulltrace_broken", MetricType.GAUGE, "Broken."), fail)


def _read(families: Any) -> list[tuple[str, frozenset[tuple[str, str]], float]]:
    return [
        (sample.name, frozenset(sample.labels.items()), sample.value)
        for family in families
        for sample in family.samples
    ]
