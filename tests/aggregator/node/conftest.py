"""A real node, one for all tests: each has a namespace, an exporter and repositories of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rig import needs
from rig.kubernetes.real import single_node
from rig.kubernetes.real.node_setup import RealNodeSetup, real_node_setup
from rig.kubernetes.real.single_node import RealNode


@pytest.fixture(scope="session")
def real_node() -> Iterator[RealNode]:
    if reason := single_node.reason_missing():
        needs.miss(reason)
    with RealNode() as running:
        yield running


@pytest.fixture
def out(real_node: RealNode, tmp_path: Path) -> Iterator[RealNodeSetup]:
    with real_node_setup(real_node, "test", tmp_path) as opened:
        yield opened
