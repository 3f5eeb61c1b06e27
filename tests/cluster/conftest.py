"""One cluster for all tests here: three nodes, the operator's Prometheus and Alertmanager, Pulltrace as README says."""

from collections.abc import Iterator

import pytest

from cluster.world import World
from rig import needs
from rig.kube import stack


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """The cluster with Pulltrace installed and scraped."""
    if reason := stack.reason_missing():
        needs.miss(reason)
    with stack.Stack() as made:
        made.install()
        yield World(made)
