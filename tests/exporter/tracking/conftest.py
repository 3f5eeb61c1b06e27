"""A simulated node and its exporter, for each test."""

import pytest

from rig.simulated_exporter import Exporter
from rig.simulated_node import Node


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def exporter(node: Node) -> Exporter:
    return Exporter(node)
