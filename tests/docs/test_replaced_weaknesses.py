"""Each weakness of the replaced system has a test, and the page that says so names tests that exist."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "docs/replaced-weaknesses.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def rows() -> list[str]:
    return [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and not line.startswith("| There")]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.split("|")[1].strip()[:40])
def test_a_row_names_tests_that_exist(row: str) -> None:
    named = NAMED.findall(row.split("|")[3])
    assert named, "a row without a test"
    for file, test in named:
        text = (CHECKOUT / file).read_text()
        assert f"def {test}(" in text if test else "test" in text, f"{file} has no {test}"


def test_the_page_is_read_as_a_table() -> None:
    assert len(rows()) >= 10
