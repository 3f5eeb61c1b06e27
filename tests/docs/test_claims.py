"""Every claim of SECURITY.md and every weakness of the replaced system has a test; tests that pages name exist."""

import re

import pytest

from rig.pages import CHECKOUT, Page, pages

pytestmark = pytest.mark.unit

NAMED = re.compile(r"(tests/[\w/]+\.py)(?:::(\w+))?(?:::(\w+))?")
TABLES = {"SECURITY.md": 20, "docs/replaced-weaknesses.md": 10}
"""Pages whose tables end in a column of tests, and how many rows they have at least."""


def claims(page: str) -> list[str]:
    """The rows of the tables, without their heads."""
    rows = [line for line in (CHECKOUT / page).read_text().splitlines() if line.startswith("| ")]
    return [row for row in rows if not row.endswith("| Tests |")]


@pytest.mark.parametrize(
    "claim", [row for page in TABLES for row in claims(page)], ids=lambda claim: claim.split("|")[1].strip()[:50]
)
def test_a_claim_has_a_test(claim: str) -> None:
    assert NAMED.search(claim.split("|")[3]), "a claim without a test"


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_the_tests_that_a_page_names_exist(page: Page) -> None:
    for code in page.code:
        if named := NAMED.fullmatch(code):
            file, *names = named.groups()
            text = (CHECKOUT / file).read_text()
            for name in filter(None, names):
                assert re.search(rf"^ *(?:async )?(?:def|class) {name}\b", text, re.MULTILINE), f"{file} has no {name}"


@pytest.mark.parametrize(("page", "least"), TABLES.items())
def test_the_page_is_read_as_tables(page: str, least: int) -> None:
    assert len(claims(page)) >= least
