"""What is installed is what is tested."""

import os
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest

import pulltrace
import pulltrace_exporter
import pulltrace_kubectl

pytestmark = pytest.mark.unit


@pytest.mark.skipif("TEST_THE_INSTALLED" not in os.environ, reason="only `make test` installs the built wheel")
def test_the_wheel_is_tested_and_not_the_checkout() -> None:
    site = Path(sysconfig.get_path("purelib"))
    for package in (pulltrace, pulltrace_exporter, pulltrace_kubectl):
        assert Path(package.__path__[0]).parent == site


def test_the_version_stands_in_one_place() -> None:
    assert metadata.version("pulltrace") == pulltrace.__version__


def test_kubectl_finds_its_plug_in_and_the_completion_by_their_names() -> None:
    scripts = {entry.name: entry for entry in metadata.entry_points(group="console_scripts")}
    assert callable(scripts["kubectl-pulltrace"].load())
    assert callable(scripts["kubectl_complete-pulltrace"].load())


def test_types_and_schemas_are_part_of_the_packages() -> None:
    for package, file in (
        (pulltrace, "py.typed"),
        (pulltrace, "schema/pulls.schema.json"),
        (pulltrace_exporter, "py.typed"),
        (pulltrace_kubectl, "py.typed"),
        (pulltrace_exporter, "schema/journal.schema.json"),
    ):
        assert (Path(package.__path__[0]) / file).is_file()
