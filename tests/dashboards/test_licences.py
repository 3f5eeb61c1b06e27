"""Packages that draw and check the dashboards have licences under which anybody may run them."""

import json

import pytest

from rig.dashboards import FOLDER

pytestmark = pytest.mark.unit

WITHOUT_A_NAMED_ONE = {"fast-shallow-equal", "react-universal-interface", "get-document"}
"""The first two hold the text of the Unlicense; the third, a page of code, says nothing."""


@pytest.mark.parametrize("project", ["report", "screenshots"])
def test_no_package_is_under_the_gpl_or_without_a_licence(project: str) -> None:
    lock = json.loads((FOLDER / "grafana" / project / "package-lock.json").read_text())
    licences = {
        path.rpartition("node_modules/")[2]: package.get("license", "")
        for path, package in lock["packages"].items()
        if path
    }
    assert len(licences) > 100
    assert {name for name, licence in licences.items() if not licence} <= WITHOUT_A_NAMED_ONE
    assert {name: licence for name, licence in licences.items() if "GPL" in licence} == {}
