"""Where the time of an image wait went."""

import pytest

from pulltrace.clock import Monotonic
from pulltrace.model.pull import Phase
from pulltrace_aggregator.controller.reconciler import Limits
from pulltrace_aggregator.model.cluster import Change
from pulltrace_aggregator.model.image_message import ImageMessage, Kind
from pulltrace_aggregator.model.states import PodPhase
from pulltrace_aggregator.pods.image_wait import Stage, StageTimer
from rig.simulated_cluster import IMAGE, Cluster

pytestmark = pytest.mark.unit

QUEUE, RESOLVE, DOWNLOAD, UNPACK, BACKOFF = Stage


def lived(*phases: tuple[PodPhase, float], said: ImageMessage | None = None) -> dict[Stage, float] | None:
    """What is counted of a wait with these phases, each with its seconds."""
    anatomy, now = StageTimer(Monotonic(100.0)), 100.0
    for phase, seconds in phases:
        anatomy.enter(phase, Monotonic(now))
        now += seconds
    found = anatomy.seconds(Monotonic(now), said)
    return None if found is None else {stage: round(seconds, 6) for stage, seconds in found.items() if seconds}


def pulled(pull: float, total: float | None = None) -> ImageMessage:
    return ImageMessage(Kind.PULLED, IMAGE, None, pull, total)


WHOLE = (
    (PodPhase.QUEUED, 5.0),
    (PodPhase.RESOLVING, 1.0),
    (PodPhase.DOWNLOADING, 6.0),
    (PodPhase.UNPACKING, 3.0),
)


def test_each_phase_is_a_stage() -> None:
    assert lived(*WHOLE) == {QUEUE: 5, RESOLVE: 1, DOWNLOAD: 6, UNPACK: 3}


def test_attempts_add_up_and_failures_are_back_off() -> None:
    attempt = ((PodPhase.DOWNLOADING, 4.0), (PodPhase.FAILED, 2.0), (PodPhase.BACKOFF, 18.0))
    assert lived(*attempt, *attempt, *WHOLE) == {QUEUE: 5, RESOLVE: 1, DOWNLOAD: 14, UNPACK: 3, BACKOFF: 40}


def test_the_kubelets_words_correct_the_last_attempt() -> None:
    assert lived(*WHOLE, said=pulled(20, 20.5)) == {QUEUE: 0.5, RESOLVE: 2, DOWNLOAD: 12, UNPACK: 6}
    failed = ((PodPhase.DOWNLOADING, 4.0), (PodPhase.BACKOFF, 10.0))
    assert lived(*failed, *WHOLE, said=pulled(5, 7)) == {QUEUE: 2, RESOLVE: 0.5, DOWNLOAD: 7, UNPACK: 1.5, BACKOFF: 10}


def test_up_to_1_25_it_says_the_queue_with_the_rest() -> None:
    assert lived(*WHOLE, said=pulled(30)) == {QUEUE: 10, RESOLVE: 2, DOWNLOAD: 12, UNPACK: 6}


def test_a_pull_that_was_too_short_to_be_seen() -> None:
    assert lived((PodPhase.QUEUED, 1.0), said=pulled(0.75, 1.0)) == {QUEUE: 0.25, DOWNLOAD: 0.75}
    assert lived((PodPhase.UNKNOWN, 1.0), said=pulled(0.75)) == {DOWNLOAD: 0.75}


@pytest.mark.parametrize("said", [None, pulled(100, 100)])
def test_a_wait_of_which_too_little_is_known_is_not_counted(said: ImageMessage | None) -> None:
    assert lived((PodPhase.UNKNOWN, 2.0), (PodPhase.DOWNLOADING, 1.0), said=said) is not None
    assert lived((PodPhase.UNKNOWN, 9.0), (PodPhase.DOWNLOADING, 90.0), said=said) is not None
    assert lived((PodPhase.UNKNOWN, 12.0), (PodPhase.DOWNLOADING, 90.0), said=said) is None


# Through the core


@pytest.fixture
def cluster() -> Cluster:
    """One whose aggregator has run for a while: a wait from before it is not counted."""
    cluster = Cluster()
    cluster.sleep(10)
    return cluster


def stages(cluster: Cluster) -> dict[str, float]:
    found = cluster.view.totals.stages
    assert {histogram.count for histogram in found.values()} <= {1}
    return {labels.stage: round(histogram.total, 3) for labels, histogram in found.items() if histogram.total}


def test_the_anatomy_of_a_wait(cluster: Cluster) -> None:
    node, pod = cluster.node(), cluster.pod()
    pod.pulling()
    node.pull("registry.example/ahead:1", known=True)
    cluster.tick()
    cluster.pass_time(5)
    node.end("registry.example/ahead:1")
    node.pull()
    cluster.tick()
    cluster.pass_time(7)
    node.advance(ratio=1, phase=Phase.UNPACKING)
    cluster.tick()
    cluster.pass_time(3)
    node.end()
    pod.run()
    cluster.tick()
    assert stages(cluster) == {}
    cluster.pass_time(4)
    assert stages(cluster) == {"queue": 5, "download": 7, "unpack": 3}
    pod.pulled(took="9s", total="15s")
    cluster.pass_time(4)
    assert stages(cluster) == {"queue": 5, "download": 7, "unpack": 3}


def test_the_kubelets_figures_may_come_after_the_container_runs(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.pulling()
    cluster.tick()
    cluster.pass_time(2)
    pod.run()
    cluster.pass_time(1)
    pod.pulled(took="1s", total="1.5s")
    pod.leave()
    cluster.tick()
    assert stages(cluster) == {"queue": 0.5, "download": 1}


@pytest.mark.parametrize(
    ("asked", "found"), [(True, {"queue": 0.1, "download": 0.6}), (False, {"download": 0.6})], ids=["asked", "dropped"]
)
def test_a_wait_between_two_ticks_counts_and_shows_whether_its_request_was_seen_or_dropped(
    cluster: Cluster, asked: bool, found: dict[str, float]
) -> None:
    pod = cluster.pod()
    cluster.tick()
    if asked:
        pod.pulling()
    cluster.sleep(0.8)
    pod.pulled(took="600ms", total="700ms" if asked else "")
    cluster.tick()
    assert stages(cluster) == found
    assert pod.row().phase is PodPhase.PULLED


def test_a_pod_that_goes_at_once_is_counted_all_the_same(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.pulling()
    cluster.tick()
    cluster.sleep(1)
    pod.pulled(took="1s", total="1s")
    pod.delete()
    assert cluster.tick().pods == ()
    assert stages(cluster) == {"download": 1}


def test_a_wait_that_did_not_end_well_is_not_counted(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.pulling()
    cluster.pass_time(5)
    pod.failed()
    pod.delete()
    cluster.pass_time(5)
    assert stages(cluster) == {}


def test_a_wait_that_began_before_the_aggregator_is_not_counted(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.pulling()
    cluster.pass_time(20)
    cluster.restart()
    cluster.tick()
    pod.pulled(took="19s", total="20s")
    cluster.pass_time(10)
    assert pod.row().phase is PodPhase.PULLED
    assert stages(cluster) == {}


def test_a_wait_without_linger_is_counted_too() -> None:
    cluster = Cluster(Limits(pod_linger=0))
    cluster.sleep(10)
    pod = cluster.pod(more={"other": "x:1"})
    pod.pulling()
    cluster.tick()
    cluster.pass_time(3)
    pod.run()
    cluster.pass_time(1)
    assert cluster.view.pods == ()
    assert stages(cluster) == {"queue": 3}


def test_a_wait_that_ended_unwatched_ends_and_counts_with_the_list(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.pulling()
    cluster.tick()
    cluster.pass_time(2)
    pod.pulled(took="1s", total="2s", change=Change.LISTED)
    cluster.tick()
    assert pod.row().phase is PodPhase.PULLED
    assert stages(cluster) == {"queue": 1, "download": 1}
