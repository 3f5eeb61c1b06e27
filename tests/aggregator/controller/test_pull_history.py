"""What all nodes have fetched of each repository, and how their pulls ended: each pull of each node once."""

from dataclasses import replace

import pytest

from pulltrace.clock import NodeTime
from pulltrace.model.pull import Phase
from pulltrace_aggregator.controller.counters import MOST_FORGOTTEN, MOST_UNREPORTED
from pulltrace_aggregator.controller.reconciler import Limits
from pulltrace_aggregator.model.view import PullResult, Repository
from rig.simulated_cluster import IMAGE, MIB, Cluster

pytestmark = pytest.mark.unit

APP = Repository("registry.example", "team/app")


def fetched(cluster: Cluster) -> float | None:
    """What was counted of the image's repository, in MiB; None when nothing was."""
    found = cluster.tick().totals.image_bytes.get(APP)
    return None if found is None else found / MIB


def results(cluster: Cluster, repository: Repository = APP) -> dict[str, int]:
    found = cluster.tick().totals.image_pulls
    return {phase: found[PullResult(*repository, phase)] for phase in ("succeeded", "failed", "orphaned")}


@pytest.fixture
def cluster() -> Cluster:
    """One whose node was read before anything is pulled."""
    cluster = Cluster()
    cluster.node()
    cluster.tick()
    cluster.sleep(10)
    return cluster


def read_in_pieces(cluster: Cluster) -> None:
    node = cluster.node()
    node.pull()
    for ratio in (0.1, 0.4, 0.4, 0.9):
        node.advance(ratio=ratio)
        cluster.pass_time(2)
    node.end()


def test_a_pull_that_is_read_again_and_again_counts_once_and_the_next_of_its_image_again(cluster: Cluster) -> None:
    for times in (1, 2, 3):
        read_in_pieces(cluster)
        cluster.pass_time(30)
        assert (fetched(cluster), results(cluster)) == (100 * times, {"succeeded": times, "failed": 0, "orphaned": 0})


def test_a_blob_that_was_there_before_is_not_fetched(cluster: Cluster) -> None:
    cluster.node().pull(cached=60 * MIB)
    cluster.node().change(phase=Phase.SUCCEEDED, downloaded=40 * MIB, ended_at=cluster.node().now)
    assert (fetched(cluster), results(cluster)["succeeded"]) == (40, 1)


def test_nodes_add_up(cluster: Cluster) -> None:
    for name in "abc":
        cluster.node(name)
    cluster.tick()
    for name in "abc":
        cluster.node(name).pull()
        cluster.node(name).end()
    cluster.node("c").change(phase=Phase.FAILED)
    assert (fetched(cluster), results(cluster)) == (300, {"succeeded": 2, "failed": 1, "orphaned": 0})


def test_ends_between_two_readings_are_told_apart_by_their_starts(cluster: Cluster) -> None:
    for _ in range(2):
        cluster.node().pull(downloaded=10 * MIB)
        cluster.node().end(phase=Phase.FAILED)
        cluster.tick()
        cluster.sleep(20)
    assert results(cluster)["failed"] == 2


def test_a_retry_that_goes_on_from_what_is_there_fetches_the_rest_only(cluster: Cluster) -> None:
    node = cluster.node()
    node.pull()
    node.advance(ratio=0.6)
    cluster.pass_time(2)
    node.end(phase=Phase.FAILED)
    cluster.pass_time(10)
    node.pull(downloaded=60 * MIB)
    cluster.pass_time(2)
    node.end()
    assert (fetched(cluster), results(cluster)) == (100, {"succeeded": 1, "failed": 1, "orphaned": 0})


@pytest.mark.parametrize("shows_nothing_first", [False, True])
@pytest.mark.parametrize("leaves", [False, True])
def test_an_exporter_that_is_restarted_in_mid_pull(cluster: Cluster, shows_nothing_first: bool, leaves: bool) -> None:
    node = cluster.node()
    node.pull()
    node.advance(ratio=0.6)
    cluster.tick()
    cluster.sleep(5)
    if leaves:
        cluster.core.forget("node-1")
        node.last = None
    if shows_nothing_first:
        running, node.pulls, node.containerd_up = node.pulls, {}, False
        cluster.tick()
        node.pulls, node.containerd_up = running, True
    # What was whole before its start it takes for cached.
    node.change(cached=50 * MIB, downloaded=10 * MIB)
    assert fetched(cluster) == 60
    node.change(downloaded=50 * MIB, phase=Phase.SUCCEEDED, ended_at=node.now)
    assert (fetched(cluster), results(cluster)["succeeded"]) == (100, 1)


def test_a_node_that_is_out_of_reach_when_its_pull_ends(cluster: Cluster) -> None:
    node = cluster.node()
    node.pull()
    node.advance(ratio=0.3)
    cluster.tick()
    node.answers = False
    cluster.pass_time(90)
    node.end()
    node.answers = True
    cluster.pass_time(2)
    assert (fetched(cluster), results(cluster)["succeeded"]) == (100, 1)


@pytest.mark.parametrize("ended", [False, True])
def test_an_aggregator_that_starts_during_a_pull_counts_what_it_sees(cluster: Cluster, ended: bool) -> None:
    cluster.node().pull()
    cluster.node().advance(ratio=0.3)
    cluster.tick()
    cluster.sleep(5)
    if ended:
        cluster.node().end()
    cluster.restart()
    assert fetched(cluster) is None
    cluster.sleep(5)
    cluster.node().end()
    assert fetched(cluster) == (None if ended else 70)
    assert cluster.view.totals.image_pulls.get(PullResult(*APP, "succeeded")) == (None if ended else 1)


def test_a_pull_that_got_its_name_after_the_aggregators_start_counts_in_full() -> None:
    cluster = Cluster()
    began = NodeTime(cluster.node().now - 5)
    cluster.node().resolving = [began]
    cluster.tick()
    cluster.node().pull(started_at=began)
    cluster.node().end()
    assert (fetched(cluster), results(cluster)["succeeded"]) == (100, 1)


@pytest.mark.parametrize("step", [-7200.0, 7200.0])
def test_a_clock_that_is_stepped_makes_no_second_pull(cluster: Cluster, step: float) -> None:
    read_in_pieces(cluster)
    cluster.tick()
    cluster.node().ahead += step
    cluster.pass_time(10)
    assert (fetched(cluster), results(cluster)["succeeded"]) == (100, 1)


def test_repositories_beyond_the_limit_count_as_other() -> None:
    cluster = Cluster(Limits(repositories=2))
    node = cluster.node()
    cluster.tick()
    for number in range(5):
        node.pull(f"registry.example/team/{number}:1")
        node.end(f"registry.example/team/{number}:1")
    other = Repository("registry.example", "other")
    assert results(cluster, other)["succeeded"] == 3
    assert len(cluster.view.totals.image_bytes) == 3


def test_what_is_remembered_is_bounded(cluster: Cluster) -> None:
    history = cluster.core._counters._history
    for number in range(MOST_UNREPORTED + 10):
        cluster.node().pull(f"registry.example/team/{number}:1")
        cluster.tick()
        cluster.node().pulls.clear()
        cluster.tick()
    assert len(history._nodes["node-1"]) == MOST_UNREPORTED
    for number in range(MOST_FORGOTTEN + 10):
        reading = replace(cluster.node().reading(), node=f"gone-{number}")
        cluster.core.read(reading)
        cluster.core.tick(cluster.now)
        cluster.core.forget(reading.node)
    assert (len(history._nodes), len(history._forgotten)) == (1, MOST_FORGOTTEN)


def test_the_image_of_a_pod_and_a_pull_that_no_pod_asked_for_count_alike(cluster: Cluster) -> None:
    cluster.pod("web", IMAGE).pulling()
    cluster.node().pull(IMAGE)
    cluster.node().pull("registry.example/other/tool:1")
    cluster.node().end(IMAGE)
    cluster.node().end("registry.example/other/tool:1")
    assert results(cluster)["succeeded"] == results(cluster, Repository("registry.example", "other/tool"))["succeeded"]
