"""A simulated cluster with its aggregator, for each test."""

import pytest

from rig.simulated_cluster import Cluster


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()
