"""Every link within the project leads somewhere."""

from urllib.parse import unquote

import pytest

from rig.pages import Page, pages

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_link_within_the_project_leads_somewhere(page: Page) -> None:
    for link in page.links:
        if ":" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.path.parent / unquote(path)).resolve() if path else page.path
        assert target.exists(), f"{link}: no such file"
        if anchor:
            assert anchor in Page.at(target).anchors, f"{link}: no such heading"


def test_pages_are_found_and_read() -> None:
    names = {page.name for page in pages()}
    assert {"README.md", "CONTRIBUTING.md", "docs/metrics.md"} <= names
    readme = next(page for page in pages() if page.name == "README.md")
    assert list(readme.links)
    assert list(readme.code)
    assert list(readme.blocks)
    assert readme.anchors
