"""Every claim of SECURITY.md has a test, and each test that a page names exists."""

import re

import pytest

from rig.pages import CHECKOUT, Page, pages

pytestmark = pytest.mark.unit

NAMED = re.compile(r"(tests/[\w/]+\.py)(?:::(\w+))?(?:::(\w+))?")
PAGE = Page(CHECKOUT / "SECURITY.md", (CHECKOUT / "SECURITY.md").read_text())


def claims() -> list[str]:
    """The rows of the tables, without their heads."""
    rows = [line for line in PAGE.text.splitlines() if line.startswith("| ")]
    return [row for row in rows if not row.endswith("| Tests |")]


@pytest.mark.parametrize("claim", claims(), ids=lambda claim: claim.split("|")[1].strip()[:50])
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


def test_the_page_is_read_as_tables() -> None:
    assert len(claims()) >= 20
