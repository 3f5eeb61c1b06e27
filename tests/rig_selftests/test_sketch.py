"""Sketches show what Grafana would: its merging of tables, its way of writing numbers."""

from pathlib import Path

import pytest

from rig.dashboards import FOLDER, files
from rig.prometheus import Series
from rig.sketch.answers import Answer, merged
from rig.sketch.units import written

pytestmark = pytest.mark.unit

PICTURES = FOLDER.parent / "docs/dashboards"


def test_rows_that_agree_in_what_all_tables_have_become_one() -> None:
    web, queue = {"pod": "web", "node": "a"}, {"pod": "queue", "node": "b"}
    found = [
        Answer("A", "", [Series(web, [(0, 7.0)]), Series(queue, [(0, 9.0)])]),
        Answer("B", "", [Series({**web, "cause": "stalled"}, [(0, 1.0)])]),
    ]
    assert merged(found) == [
        {"pod": "web", "node": "a", "Value #A": 7.0, "cause": "stalled", "Value #B": 1.0},
        {"pod": "queue", "node": "b", "Value #A": 9.0},
    ]


def test_a_table_of_one_query_has_a_plain_value() -> None:
    assert merged([Answer("A", "", [Series({"node": "a"}, [(0, 2.0)])])]) == [{"node": "a", "Value": 2.0}]
    assert merged([Answer("A", "", []), Answer("B", "", [])]) == []


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.834, "percentunit", "83%"),
        (405.0, "s", "6.75 min"),
        (0.002, "s", "2 ms"),
        (0.0, "s", "0 s"),
        (3.5 * 2**20, "binBps", "3.50 MiB/s"),
        (512.0, "bytes", "512 B"),
        (12.0, "short", "12"),
        (float("nan"), "s", "-"),
    ],
)
def test_numbers_are_written_with_their_unit(value: float, unit: str, text: str) -> None:
    assert written(value, unit) == text


def test_there_is_a_small_picture_of_every_dashboard() -> None:
    pictures = {path.stem: path.stat().st_size for path in Path(PICTURES).glob("*.png")}
    assert set(pictures) == set(files())
    assert max(pictures.values()) < 200_000
