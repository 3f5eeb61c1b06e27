"""README names exactly the versions that the tests run."""

import re
from pathlib import Path

import pytest

from pulltrace_chart.places import CHART
from rig.containerd import VERSIONS
from rig.go_programs import parts

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


@pytest.mark.unit
def test_the_chart_asks_for_the_oldest_kubernetes_that_is_tested() -> None:
    oldest = min(parts.KUBERNETES, key=lambda version: [int(number) for number in version.split(".")])
    assert f'kubeVersion: ">={oldest}.0-0"\n' in (CHART / "Chart.yaml").read_text()
