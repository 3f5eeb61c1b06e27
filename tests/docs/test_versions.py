"""README names exactly the versions that the tests run."""

import re
from pathlib import Path

import pytest

from rig.containerd import VERSIONS
from rig.kube import parts

README = (Path(__file__).parents[2] / "README.md").read_text()
TESTED = {
    "containerd": VERSIONS,
    "Kubernetes": parts.KUBERNETES,
    "Helm": [part.version for part in parts.HELM.values()],
    "Prometheus operator": [parts.OPERATOR.version],
}


def minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


@pytest.mark.unit
@pytest.mark.parametrize("name", TESTED)
def test_the_table_of_versions(name: str) -> None:
    row = re.search(rf"^\| {name} \| ([^|]+) \|", README, re.MULTILINE)
    assert row
    assert sorted(row[1].strip().split(", ")) == sorted(minor(version) for version in TESTED[name])
