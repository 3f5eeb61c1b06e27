"""One cluster for all tests here: three nodes, the operator's Prometheus and Alertmanager, Pulltrace as README says."""

from collections.abc import Iterator

import pytest

from cluster.world import World
from rig import needs
from rig.kubernetes.real import monitored_cluster
from rig.kubernetes.real.cluster import ClusterSettings


@pytest.fixture(scope="session", params=[ClusterSettings()], ids=lambda settings: settings.kubernetes)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The cluster with Pulltrace installed and scraped. A test that wants another Kubernetes gives it as parameter."""
    if reason := monitored_cluster.reason_missing(request.param):
        needs.miss(reason)
    with monitored_cluster.MonitoredCluster(request.param) as made:
        made.install()
        yield World(made)
