"""One cluster for all tests here: three nodes, the operator's Prometheus and Alertmanager, Pulltrace as README says."""

from collections.abc import Iterator

import pytest

from cluster.world import World
from rig import needs
from rig.kube import stack
from rig.kube.cluster import ClusterSettings


@pytest.fixture(scope="session", params=[ClusterSettings()], ids=lambda settings: settings.kubernetes)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The cluster with Pulltrace installed and scraped. A test that wants another Kubernetes gives it as parameter."""
    if reason := stack.reason_missing(request.param):
        needs.miss(reason)
    with stack.Stack(request.param) as made:
        made.install()
        yield World(made)
