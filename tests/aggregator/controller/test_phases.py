"""The phase that each waiting image is in, and the line on its node."""

import pytest

from pulltrace.clock import NodeTime
from pulltrace.model.pull import Phase
from pulltrace_aggregator.controller.reconciler import Limits
from pulltrace_aggregator.diagnosis.staleness import StaleLimits
from pulltrace_aggregator.model.states import Cause, FailureReason, MatchKind, PodPhase
from rig.simulated_cluster import IMAGE, Cluster, SimulatedPod

pytestmark = pytest.mark.unit

REFUSED = "unexpected status: 401 Unauthorized"
SECOND, THIRD = "registry.example/team/second:1", "registry.example/team/third:1"


def phase(cluster: Cluster, pod: SimulatedPod) -> PodPhase:
    cluster.tick()
    return pod.row().phase


def phases(cluster: Cluster) -> dict[str, PodPhase]:
    cluster.tick()
    return {row.labels.pod: row.phase for row in cluster.view.pods}


def fail(pod: SimulatedPod, error: str = "no such luck", by: str = "both") -> None:
    """The kubelet tells of a failed attempt by its events, by the container's status or by both."""
    if by != "status":
        pod.failed(error)
    if by != "events":
        pod.status("ErrImagePull", error)


def pause(pod: SimulatedPod, error: str = "no such luck", by: str = "both") -> None:
    """The kubelet tells that it pauses after that."""
    if by != "status":
        pod.back_off()
    if by != "events":
        pod.status("ImagePullBackOff", f'Back-off pulling image "{IMAGE}": {error}')


def test_the_life_of_a_pull(cluster: Cluster) -> None:
    node, pod = cluster.node(), cluster.pod()
    pod.pulling()
    node.resolving = [node.now]
    assert phase(cluster, pod) is PodPhase.RESOLVING
    cluster.sleep(2)
    node.resolving = []
    node.pull()
    assert phase(cluster, pod) is PodPhase.DOWNLOADING
    cluster.sleep(2)
    node.advance(ratio=0.5, rate=25.0 * 2**20)
    cluster.tick()
    row = pod.row()
    assert row.pull is not None
    assert (row.pull.pull.progress_ratio, row.pull.eta_seconds) == (0.5, 2.0)
    assert (row.match, row.digest) == (MatchKind.REPOSITORY, node.pulls[IMAGE].key.digest)
    cluster.sleep(2)
    node.advance(ratio=1, rate=0.0, phase=Phase.UNPACKING)
    assert phase(cluster, pod) is PodPhase.UNPACKING
    cluster.sleep(2)
    node.end()
    assert phase(cluster, pod) is PodPhase.PULLED
    assert pod.row().match is MatchKind.EXACT
    pod.pulled()
    node.forget()
    assert phase(cluster, pod) is PodPhase.PULLED
    row = pod.row()
    assert row.pull is not None
    assert (row.pull.pull.progress_ratio, row.pull.bytes_per_second, row.cause) == (1.0, None, None)


# The line


def test_one_image_is_served_and_the_others_are_queued_behind_it(cluster: Cluster) -> None:
    node = cluster.node()
    for name, image in (("first", IMAGE), ("second", SECOND), ("third", THIRD), ("again", SECOND)):
        cluster.pod(name, image).pulling()
        cluster.sleep(1)
        if image == IMAGE:
            node.pull()
    assert phases(cluster) == {
        "first": PodPhase.DOWNLOADING,
        "second": PodPhase.QUEUED,
        "third": PodPhase.QUEUED,
        "again": PodPhase.QUEUED,
    }
    assert {row.behind for row in cluster.view.pods} == {"", IMAGE}
    assert {row.labels.pod: row.cause for row in cluster.view.pods}["third"] is Cause.QUEUE
    assert cluster.status_of().queued == 2


@pytest.mark.parametrize(("resolving", "expected"), [(0, []), (1, ["a"]), (2, ["a", "b"]), (9, ["a", "b", "c"])])
def test_as_many_as_the_exporter_reports_are_resolving_those_that_wait_longest(
    cluster: Cluster, resolving: int, expected: list[str]
) -> None:
    for name, image in (("a", IMAGE), ("b", SECOND), ("c", THIRD)):
        cluster.pod(name, image).pulling()
        cluster.pod(f"{name}-too", image).pulling()
        cluster.sleep(1)
    cluster.node().resolving = [NodeTime(cluster.node().now - 0.5)] * resolving
    found = phases(cluster)
    assert [name for name in "abc" if found[name] is PodPhase.RESOLVING] == expected
    assert all(found[name] is found[f"{name}-too"] for name in "abc")
    queued = [row.behind for row in cluster.view.pods if row.phase is PodPhase.QUEUED]
    assert set(queued) <= {IMAGE if resolving else ""}


def test_a_pull_whose_image_is_not_known_yet_downloads_for_the_one_that_waits_longest(cluster: Cluster) -> None:
    for name, image in (("a", IMAGE), ("b", SECOND), ("c", THIRD)):
        cluster.pod(name, image).pulling()
        cluster.sleep(1)
    node = cluster.node()
    node.unidentified, node.resolving = 1, [node.now]
    assert phases(cluster) == {"a": PodPhase.DOWNLOADING, "b": PodPhase.RESOLVING, "c": PodPhase.QUEUED}
    assert {row.labels.pod: row.behind for row in cluster.view.pods}["c"] == IMAGE


def test_intents_show_which_images_are_queued(cluster: Cluster) -> None:
    node = cluster.node()
    cluster.pod("older", SECOND).pulling()
    cluster.sleep(5)
    cluster.pod("newer", THIRD).pulling()
    node.resolving = [node.now]
    node.intent(SECOND)
    node.intent("registry.example/of/somebody:1")
    assert phases(cluster) == {"older": PodPhase.QUEUED, "newer": PodPhase.RESOLVING}
    assert cluster.status_of().queued == 2


def test_a_new_attempt_stands_at_the_end_of_the_line(cluster: Cluster) -> None:
    node = cluster.node()
    retry = cluster.pod("retry", SECOND)
    retry.pulling()
    retry.failed()
    cluster.pass_time(300)
    cluster.pod("fresh", THIRD).pulling()
    cluster.sleep(1)
    retry.pulling()
    node.resolving = [node.now]
    assert phases(cluster) == {"fresh": PodPhase.RESOLVING, "retry": PodPhase.QUEUED}


def test_a_pull_of_no_pod_is_the_head_and_named_by_the_exporter_else_by_a_pod_else_by_its_digest(
    cluster: Cluster,
) -> None:
    node = cluster.node()
    cluster.sleep(1)
    queued = cluster.pod("queued", SECOND)
    queued.pulling()
    pull = node.pull(IMAGE)
    assert phase(cluster, queued) is PodPhase.QUEUED
    assert cluster.pull_of().pull == pull
    assert queued.row().behind == f"registry.example/team/app@{pull.key.digest}"
    cluster.pod("head", "registry.example:5000/team/app:1").pulling()
    cluster.tick()
    assert queued.row().behind == "registry.example:5000/team/app:1"
    node.change(references=(IMAGE,))
    cluster.tick()
    assert queued.row().behind == IMAGE


# Failures


@pytest.mark.parametrize("by", ["events", "status", "both"])
def test_failure_and_back_off(cluster: Cluster, by: str) -> None:
    pod = cluster.pod()
    pod.pulling()
    cluster.pass_time(3)
    fail(pod, "no such manifest: not found", by)
    assert phase(cluster, pod) is PodPhase.FAILED
    assert pod.row().cause is Cause.NOT_FOUND
    cluster.pass_time(10)
    pause(pod, "no such manifest: not found", by)
    assert phase(cluster, pod) is PodPhase.BACKOFF
    assert pod.row().cause is Cause.NOT_FOUND


@pytest.mark.parametrize("words", [f'Back-off pulling image "{IMAGE}"', "in words of its own"])
def test_back_off_without_a_word_of_why_is_for_the_last_reason_that_was_told(cluster: Cluster, words: str) -> None:
    pod = cluster.pod()
    pod.status("ErrImagePull", "pull QPS exceeded")
    cluster.pass_time(10)
    pod.status("ImagePullBackOff", words)
    assert phase(cluster, pod) is PodPhase.BACKOFF
    assert pod.row().cause is Cause.RATE_LIMITED
    cluster.pass_time(10)
    pod.pulling()
    pod.failed("no such manifest: not found")
    pod.back_off()
    assert phase(cluster, pod) is PodPhase.BACKOFF
    assert pod.row().cause is Cause.NOT_FOUND


def test_back_off_that_is_downloading_again_at_this_moment(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.pulling()
    fail(pod)
    pause(pod)
    cluster.pass_time(30)
    assert phase(cluster, pod) is PodPhase.BACKOFF
    # The kubelet's request may have been dropped, and the status goes on to tell of the last failure.
    cluster.node().pull()
    assert phase(cluster, pod) is PodPhase.DOWNLOADING
    assert pod.row().cause is Cause.PROGRESSING
    cluster.sleep(5)
    cluster.node().end()
    assert phase(cluster, pod) is PodPhase.PULLED


def test_a_retry_after_an_orphan_waits_for_the_registry_again() -> None:
    cluster = Cluster(Limits(StaleLimits(resolving=10)))
    node, pod = cluster.node(), cluster.pod()
    pod.pulling()
    node.pull(known=True)
    cluster.pass_time(5)
    node.end(phase=Phase.ORPHANED)
    assert phase(cluster, pod) is PodPhase.FAILED
    cluster.sleep(5)
    pod.pulling()
    node.resolving = [node.now]
    assert phase(cluster, pod) is PodPhase.RESOLVING
    cluster.pass_time(11)
    assert pod.row().cause is Cause.REGISTRY


def test_a_retry_that_is_queued(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.pulling()
    fail(pod)
    pause(pod)
    cluster.node().pull(SECOND, known=True)
    cluster.pass_time(30)
    assert phase(cluster, pod) is PodPhase.BACKOFF
    pod.pulling()
    assert phase(cluster, pod) is PodPhase.QUEUED
    cluster.pass_time(3)
    pod.status("ErrImagePull")
    assert phase(cluster, pod) is PodPhase.FAILED


def test_a_request_without_any_work_on_the_node_is_over_though_nobody_said_so(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.status("ImagePullBackOff")
    cluster.pass_time(30)
    pod.pulling()
    assert phase(cluster, pod) is PodPhase.QUEUED
    cluster.pass_time(6)
    assert phase(cluster, pod) is PodPhase.BACKOFF


def test_a_pod_whose_own_turn_is_still_to_come_is_not_pulled_with_the_pull_of_another(cluster: Cluster) -> None:
    """The kubelet's intents show that."""
    node, first, second = cluster.node(), cluster.pod("first"), cluster.pod("second")
    first.pulling()
    node.pull(known=True)
    cluster.pass_time(5)
    second.pulling()
    assert phases(cluster) == {"first": PodPhase.DOWNLOADING, "second": PodPhase.DOWNLOADING}
    cluster.pass_time(5)
    node.end()
    node.intent(IMAGE)
    first.pulled()
    node.pull(SECOND, known=True)
    assert phases(cluster) == {"first": PodPhase.PULLED, "second": PodPhase.QUEUED}
    assert (second.row().cause, second.row().behind) == (Cause.QUEUE, SECOND)
    cluster.pass_time(300)
    assert phases(cluster) == {"second": PodPhase.QUEUED}
    node.queued.clear()
    second.present()
    assert phases(cluster) == {"second": PodPhase.PULLED}


def test_a_retry_stays_queued_between_two_pulls_of_the_queue(cluster: Cluster) -> None:
    """In its first second a pull whose registry has not answered is not reported."""
    node, pod = cluster.node(), cluster.pod()
    pod.status("ImagePullBackOff")
    node.pull(SECOND, known=True)
    cluster.pass_time(30)
    pod.pulling()
    cluster.pass_time(20)
    node.end(SECOND)
    assert phase(cluster, pod) is PodPhase.QUEUED
    cluster.sleep(1)
    node.resolving.append(node.now)
    assert phase(cluster, pod) is PodPhase.RESOLVING
    node.resolving.clear()
    cluster.pass_time(4)
    assert phase(cluster, pod) is PodPhase.QUEUED
    cluster.pass_time(2)
    assert phase(cluster, pod) is PodPhase.BACKOFF
    node.forget(SECOND)
    assert phase(cluster, pod) is PodPhase.BACKOFF


@pytest.mark.parametrize("end", [Phase.FAILED, Phase.ORPHANED])
def test_a_pod_that_asks_during_another_pods_pull_stays_queued_when_that_fails(cluster: Cluster, end: Phase) -> None:
    node, first, second = cluster.node(), cluster.pod("first"), cluster.pod("second")
    first.pulling()
    node.pull()
    cluster.sleep(5)
    second.pulling()
    assert phases(cluster) == {"first": PodPhase.DOWNLOADING, "second": PodPhase.DOWNLOADING}
    cluster.sleep(5)
    node.end(phase=end)
    first.failed()
    node.pull(SECOND, known=True)
    assert phases(cluster) == {"first": PodPhase.FAILED, "second": PodPhase.QUEUED}
    assert (second.row().cause, second.row().behind) == (Cause.QUEUE, SECOND)


@pytest.mark.parametrize("end", [Phase.FAILED, Phase.ORPHANED])
def test_a_pod_that_has_not_asked_stops_waiting_when_another_pods_pull_fails(cluster: Cluster, end: Phase) -> None:
    first, second = cluster.pod("first"), cluster.pod("second")
    first.pulling()
    cluster.node().pull()
    assert phases(cluster) == {"first": PodPhase.DOWNLOADING, "second": PodPhase.DOWNLOADING}
    cluster.sleep(5)
    cluster.node().end(phase=end)
    first.failed()
    cluster.pass_time(10)
    assert phases(cluster) == {"first": PodPhase.FAILED}
    second.pulling()
    assert phases(cluster) == {"first": PodPhase.FAILED, "second": PodPhase.QUEUED}


def test_a_failed_pull_shows_under_its_pod(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.pulling()
    cluster.sleep(1)
    cluster.node().pull()
    cluster.tick()
    cluster.sleep(4)
    cluster.node().advance(ratio=0.4)
    cluster.node().end(phase=Phase.FAILED)
    assert phase(cluster, pod) is PodPhase.FAILED
    row = pod.row()
    assert row.pull is not None
    assert row.pull.pull.progress_ratio == 0.4
    cluster.sleep(10)
    pod.pulling()
    cluster.node("node-1").resolving = [cluster.node().now]
    assert phase(cluster, pod) is PodPhase.RESOLVING


def test_the_cause_in_the_status_comes_before_that_of_an_old_event(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.pulling()
    pod.failed("unexpected status: 401 Unauthorized")
    pod.status("ErrImagePull", "429 Too Many Requests")
    cluster.tick()
    assert (pod.row().cause, pod.row().failure) == (Cause.RATE_LIMITED, FailureReason.RATE_LIMITED)


# Not known


def test_without_an_answer_from_the_node_the_phase_is_unknown(cluster: Cluster) -> None:
    cluster.node().answers = False
    pod = cluster.pod()
    pod.pulling()
    assert phase(cluster, pod) is PodPhase.UNKNOWN
    pod.failed("not found")
    assert phase(cluster, pod) is PodPhase.FAILED


def test_without_containerd_the_phase_is_unknown(cluster: Cluster) -> None:
    cluster.node().containerd_up = False
    pod = cluster.pod()
    pod.pulling()
    assert phase(cluster, pod) is PodPhase.UNKNOWN
    assert pod.row().cause is Cause.STALLED


def test_a_silent_node_keeps_what_was_known_and_tells_nothing_of_what_is_new() -> None:
    cluster = Cluster(Limits(StaleLimits(exporter=20)))
    old, queued = cluster.pod("old"), cluster.pod("queued", SECOND)
    old.pulling()
    cluster.sleep(1)
    queued.pulling()
    cluster.node().pull()
    cluster.node().advance(ratio=0.25)
    cluster.tick()
    cluster.node().answers = False
    cluster.pass_time(10)
    new = cluster.pod("new", THIRD)
    new.pulling()
    assert set(phases(cluster).values()) == {PodPhase.DOWNLOADING, PodPhase.QUEUED}
    assert old.row().cause is Cause.PROGRESSING
    cluster.pass_time(20)
    assert phases(cluster) == {"old": PodPhase.DOWNLOADING, "queued": PodPhase.QUEUED, "new": PodPhase.UNKNOWN}
    row = old.row()
    assert row.pull is not None
    assert (row.pull.pull.progress_ratio, row.pull.bytes_per_second, row.pull.eta_seconds) == (0.25, None, None)
    assert {row.cause for row in cluster.view.pods} == {Cause.NO_EXPORTER}
    assert cluster.status_of().missing
    cluster.node().answers = True
    cluster.pass_time(1)
    assert phases(cluster)["new"] is PodPhase.QUEUED
    assert not cluster.status_of().missing


# The kubelet's word about this pod outranks any pull


@pytest.mark.parametrize("by", ["events", "status", "both"])
@pytest.mark.parametrize("read_first", [True, False])
def test_a_pod_that_may_not_have_the_image_that_another_ones_pull_brought(
    cluster: Cluster, by: str, read_first: bool
) -> None:
    node, first, second = cluster.node(), cluster.pod("first"), cluster.pod("second")
    first.pulling()
    node.pull()
    cluster.pass_time(5)
    second.pulling()
    cluster.pass_time(5)
    node.end()
    if read_first:
        assert phases(cluster) == {"first": PodPhase.PULLED, "second": PodPhase.PULLED}
    cluster.sleep(1)
    fail(second, REFUSED, by)
    assert phases(cluster)["second"] is PodPhase.FAILED
    assert (second.row().cause, second.row().failure) == (Cause.CREDENTIALS, FailureReason.UNAUTHORIZED)
    for _ in range(3):
        cluster.pass_time(10)
        pause(second, REFUSED, by)
        assert phases(cluster)["second"] is PodPhase.BACKOFF
        cluster.pass_time(10)
        second.pulling()
        cluster.pass_time(1)
        assert phases(cluster)["second"] is not PodPhase.PULLED
        cluster.pass_time(1)
        fail(second, REFUSED, by)
        assert phases(cluster)["second"] is PodPhase.FAILED
        assert second.row().cause is Cause.CREDENTIALS


def test_a_wait_that_a_failure_reopens_stays_one_wait(cluster: Cluster) -> None:
    node, pod = cluster.node(), cluster.pod()
    pod.pulling()
    node.pull()
    cluster.pass_time(10)
    node.end()
    cluster.pass_time(5)
    fail(pod, REFUSED)
    cluster.pass_time(30)
    since = pod.row().since
    assert cluster.view.totals.waits == {}
    pod.pulling()
    cluster.pass_time(5)
    pod.pulled()
    cluster.tick()
    assert pod.row().since == since
    assert {name: (found.count, found.total) for name, found in cluster.view.totals.waits.items()} == {
        "shop": (1, 50.0)
    }


def test_a_pod_in_back_off_does_not_download_what_another_ones_pull_fetches(cluster: Cluster) -> None:
    node, first, second = cluster.node(), cluster.pod("first"), cluster.pod("second")
    first.pulling()
    node.pull()
    cluster.pass_time(5)
    second.pulling()
    cluster.pass_time(1)
    fail(second, REFUSED)
    assert phases(cluster) == {"first": PodPhase.DOWNLOADING, "second": PodPhase.FAILED}


@pytest.mark.parametrize("deleted", [True, False])
def test_an_image_whose_pull_ended_counts_once_the_kubelet_says_that_the_pod_has_it(*, deleted: bool) -> None:
    cluster = Cluster(Limits(pod_linger=20))
    pod = cluster.pod()
    pod.pulling()
    cluster.node().pull()
    cluster.pass_time(10)
    cluster.node().end()
    cluster.pass_time(21)
    assert not cluster.view.totals.waits
    if deleted:
        pod.delete()
    else:
        pod.run()
    assert [found.count for found in cluster.pass_time(1).totals.waits.values()] == [1] * (not deleted)


def test_a_pull_that_begins_in_the_second_of_the_failure_is_the_next_attempt(cluster: Cluster) -> None:
    node, pod = cluster.node(), cluster.pod()
    pod.pulling()
    fail(pod)
    pause(pod)
    cluster.sleep(0.3)
    pod.pulling()
    node.pull()
    assert phases(cluster) == {"web": PodPhase.DOWNLOADING}


def test_a_pause_that_the_status_tells_after_the_next_request_is_that_of_the_attempt_before(cluster: Cluster) -> None:
    node, pod = cluster.node(), cluster.pod()
    pod.pulling()
    fail(pod)
    pod.back_off()
    cluster.sleep(10)
    pod.pulling()
    pod.status("ImagePullBackOff")
    node.pull()
    assert phases(cluster) == {"web": PodPhase.DOWNLOADING}
    cluster.sleep(1)
    pod.status("ErrImagePull")
    assert phases(cluster) == {"web": PodPhase.FAILED}
