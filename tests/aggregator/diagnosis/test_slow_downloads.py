"""A rate of the first moments says nothing: a download is slow when it has been for a while."""

import pytest

from pulltrace_aggregator.controller.reconciler import Limits
from pulltrace_aggregator.diagnosis.staleness import FIRST_MOMENTS, SLOW_SECONDS, StaleLimits
from pulltrace_aggregator.model.states import StaleReason
from rig.simulated_cluster import Cluster

pytestmark = pytest.mark.unit

CRAWLING = 10.0


def stale(cluster: Cluster) -> list[StaleReason | None]:
    return [entry.stale for entry in cluster.view.pulls]


def counted(cluster: Cluster) -> int:
    return cluster.view.totals.stale_pulls["slow"]


def test_a_slow_beginning_is_not_slow(cluster: Cluster) -> None:
    node = cluster.node()
    node.pull()
    node.advance(ratio=0.0, rate=CRAWLING)
    cluster.pass_time(SLOW_SECONDS - 1)
    assert stale(cluster) == [None]
    node.advance(ratio=0.1)
    cluster.pass_time(SLOW_SECONDS)
    assert (stale(cluster), counted(cluster)) == ([None], 0)


def test_a_pull_that_stays_slow_is_stale_until_it_recovers(cluster: Cluster) -> None:
    node = cluster.node()
    node.pull()
    node.advance(ratio=0.1, rate=CRAWLING)
    cluster.pass_time(SLOW_SECONDS + 1)
    assert (stale(cluster), counted(cluster)) == ([StaleReason.SLOW], 1)
    cluster.pass_time(20)
    assert (stale(cluster), counted(cluster)) == ([StaleReason.SLOW], 1)
    node.advance(ratio=0.5)
    cluster.tick()
    assert stale(cluster) == [None]


def test_a_download_that_already_took_long_is_slow_at_once() -> None:
    cluster = Cluster(Limits(StaleLimits(no_progress=0)))
    node = cluster.node()
    node.pull()
    node.advance(ratio=0.1)
    cluster.pass_time(FIRST_MOMENTS)
    node.advance(ratio=0.2, rate=CRAWLING)
    cluster.tick()
    assert (stale(cluster), counted(cluster)) == ([StaleReason.SLOW], 1)
