"""The nodes on which every scenario runs: the stand-in, and each real containerd."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from rig import needs
from rig.containerd import RealContainerd
from rig.containerd_config import Settings
from rig.node import Node
from rig.node_setup import STANDIN, NodeSetup, node_params, node_setup
from rig.standin import StandIn

SELDOM = Settings(gc_interval=3600)
"""What a failed attempt leaves is there for the next one, as on a node where collections take their time."""


@pytest.fixture(scope="session", params=node_params())
def label(request: pytest.FixtureRequest) -> str:
    """Which containerd."""
    if request.param != STANDIN:
        needs.containerd(request.param)
    return str(request.param)


@pytest.fixture(scope="session")
def shared_node(label: str) -> Iterator[Node]:
    """One daemon for all tests that leave it in peace."""
    with _fresh(label) as node:
        yield node


@pytest.fixture
def own_node(label: str) -> Iterator[Node]:
    """A daemon for one test."""
    with _fresh(label, SELDOM) as node:
        yield node


@pytest.fixture
def setup(shared_node: Node, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NodeSetup]:
    with node_setup(shared_node, _repository(request), tmp_path) as opened:
        yield opened


@pytest.fixture
def own_setup(own_node: Node, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NodeSetup]:
    """For a test that crashes its daemon or leaves something behind in it."""
    with node_setup(own_node, _repository(request), tmp_path) as opened:
        yield opened


def _fresh(label: str, settings: Settings | None = None) -> AbstractContextManager[Node]:
    if label == STANDIN:
        return StandIn()
    return RealContainerd.fresh(label, settings)


def _repository(request: pytest.FixtureRequest) -> str:
    """A name of its own for each run of a test: what an earlier run pulled is on the shared node."""
    name: str = request.function.__name__
    run = getattr(request.node, "execution_count", 1)
    return name.removeprefix("test_").replace("_", "-") + (f"-run-{run}" if run > 1 else "")
