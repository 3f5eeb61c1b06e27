"""Pods that nobody watches, looks at them, and what a new aggregator makes of what it finds."""

from dataclasses import replace

import pytest

from pulltrace_aggregator.controller.reconciler import Limits
from pulltrace_aggregator.model.cluster import Change, RunState
from pulltrace_aggregator.model.states import PodPhase
from pulltrace_aggregator.pods.store import (
    LEFT_RETRY_SECONDS,
    PATIENCE_SECONDS,
    RECHECK_SECONDS,
    RECHECKS_AT_ONCE,
    RETRY_SECONDS,
    UNWATCHED_PER_SECOND,
    UNWATCHED_SECONDS,
    Recheck,
)
from rig.simulated_cluster import Cluster, SimulatedPod

pytestmark = pytest.mark.unit


def shown(cluster: Cluster) -> list[tuple[str, PodPhase]]:
    return sorted((row.labels.pod, row.phase) for row in cluster.view.pods)


def run_unseen(pod: SimulatedPod, container: str = "app") -> None:
    """A container runs, and no watch shows that."""
    key = pod._key(container)
    pod.uses[key] = replace(pod.uses[key], state=RunState.RUNNING, reason="")


def a_running_pod(cluster: Cluster, name: str = "web") -> SimulatedPod:
    """A pod with a debug container that was added later; it is not watched."""
    pod = cluster.pod(name, ephemeral={"debug": "tools:1"}, told=False)
    pod.phase = "Running"
    run_unseen(pod)
    return pod


def looks(cluster: Cluster, seconds: float) -> list[float]:
    """After how many seconds a look was asked for."""
    found = []
    for second in range(int(seconds) + 1):
        cluster.tick(answer=False)
        found += [float(second)] * len(cluster.turn.rechecks)
        cluster.sleep(1)
    return found


# Waits that events alone tell of


def test_a_wait_of_a_running_pod_shows_by_its_events_and_ends_by_them() -> None:
    cluster = Cluster(Limits(pod_linger=20))
    pod = a_running_pod(cluster)
    pod.pulling("debug")
    cluster.tick()
    assert shown(cluster) == [("web", PodPhase.QUEUED)]
    cluster.pass_time(5)
    pod.pulled("debug")
    cluster.tick()
    assert shown(cluster) == [("web", PodPhase.PULLED)]
    cluster.pass_time(21)
    assert shown(cluster) == []
    assert len(cluster.core._pods._pods) == 0


def test_a_container_that_crashes_again_and_again_waits_for_each_pull_anew() -> None:
    """Its repeated event bears the time of the first pull, which the aggregator has forgotten."""
    cluster = Cluster(Limits(pod_linger=20))
    pod = a_running_pod(cluster)
    for _ in range(3):
        pod.pulling("debug")
        cluster.pass_time(2)
        (row,) = cluster.view.pods
        assert cluster.now.monotonic - row.since == 2
        pod.failed(container="debug")
        cluster.pass_time(10)
        pod.pulling("debug")
        cluster.pass_time(1)
        (row,) = cluster.view.pods
        assert cluster.now.monotonic - row.since == 13
        pod.pulled("debug")
        cluster.pass_time(300)
        assert shown(cluster) == []
    assert cluster.view.totals.waits["shop"].total == 3 * 13


def test_a_list_that_shows_a_refusal_again_does_not_end_the_wait(cluster: Cluster) -> None:
    pod = a_running_pod(cluster)
    pod.pulling("debug")
    cluster.node().pull("tools:1", known=True)
    cluster.pass_time(5)
    cluster.node().end("tools:1")
    cluster.tick()
    cluster.sleep(1)
    pod.failed("unauthorized", "debug")
    cluster.pass_time(1)
    cluster.node().forget("tools:1")
    cluster.relist()
    cluster.pass_time(1)
    assert shown(cluster) == [("web", PodPhase.FAILED)]


def test_a_wait_that_events_alone_tell_of_is_looked_at_again_and_again(cluster: Cluster) -> None:
    pod = a_running_pod(cluster)
    pod.pulling("debug")
    for _ in range(2):
        assert looks(cluster, UNWATCHED_SECONDS)[-1] >= UNWATCHED_SECONDS - 1
        assert cluster.turn.rechecks == (Recheck("shop", "web", pod.uid),)
        cluster.look()
        cluster.tick()
        assert shown(cluster) == [("web", PodPhase.QUEUED)]


def test_a_wait_that_is_looked_at_often_ends_with_the_look_that_finds_the_container_running(cluster: Cluster) -> None:
    pod = a_running_pod(cluster)
    pod.pulling("debug")
    cluster.pass_time(5)
    run_unseen(pod, "debug")
    cluster.pass_time(5)
    assert shown(cluster) == [("web", PodPhase.PULLED)]


@pytest.mark.parametrize("restart", [False, True])
def test_a_look_that_finds_the_crash_before_the_request_does_not_end_the_wait(cluster: Cluster, restart: bool) -> None:
    """The status stays so while the image for the next run is pulled."""
    pod = a_running_pod(cluster)
    pod.crash("debug", "CrashLoopBackOff")
    cluster.sleep(60)
    pod.pulling("debug")
    if restart:
        cluster.restart()
    cluster.pass_time(RECHECK_SECONDS + 10, each=5)
    assert shown(cluster) == [("web", PodPhase.QUEUED)]
    pod.crash("debug", "CrashLoopBackOff")  # it ran meanwhile, and the event Pulled was dropped
    cluster.pass_time(RECHECK_SECONDS, each=5)
    assert shown(cluster) == []


def test_a_look_without_an_answer_is_asked_for_again(cluster: Cluster) -> None:
    a_running_pod(cluster).pulling("debug")
    cluster.sleep(RECHECK_SECONDS)
    assert looks(cluster, RETRY_SECONDS) == [0, RETRY_SECONDS]
    assert shown(cluster)


def test_a_look_that_finds_the_container_running_ends_the_wait_without_a_trace(cluster: Cluster) -> None:
    pod = a_running_pod(cluster)
    pod.pulling("debug")
    cluster.tick()
    run_unseen(pod, "debug")
    cluster.sleep(RECHECK_SECONDS)
    cluster.tick()
    assert shown(cluster) == []
    assert not cluster.view.totals.stages


@pytest.mark.parametrize("again", [False, True])
def test_a_look_that_finds_no_such_pod_ends_the_wait(cluster: Cluster, again: bool) -> None:
    pod = a_running_pod(cluster)
    pod.pulling("debug")
    cluster.tick()
    pod.phase = "gone"
    if again:
        cluster.pod(uid="another", told=False).phase = "Running"
    cluster.sleep(RECHECK_SECONDS)
    cluster.tick()
    assert shown(cluster) == []
    pod.back_off("debug")
    cluster.tick()
    assert shown(cluster) == []
    assert not cluster.turn.rechecks


def test_failures_of_an_unknown_pod_are_looked_into_before_they_show(cluster: Cluster) -> None:
    pod = a_running_pod(cluster)
    pod.uses[pod._key("debug")] = replace(pod.uses[pod._key("debug")], reason="ErrImageNeverPull")
    pod.event("ErrImageNeverPull", 'Container image "tools:1" is not present with pull policy of Never', "debug")
    cluster.tick(answer=False)
    assert shown(cluster) == []
    cluster.look()
    cluster.tick()
    assert shown(cluster) == [("web", PodPhase.FAILED)]


def test_a_container_without_a_request_waits_since_its_failure_and_not_since_its_old_pod_began(
    cluster: Cluster,
) -> None:
    pod = a_running_pod(cluster)
    cluster.sleep(86_400)
    pod.status("InvalidImageName", container="debug")
    pod.event("InspectFailed", 'Failed to apply default image tag "tools:1": invalid reference format', "debug")
    cluster.pass_time(3)
    assert shown(cluster) == [("web", PodPhase.FAILED)]
    assert cluster.now.monotonic - cluster.view.pods[0].since == 3


def test_a_name_that_another_pod_bears_is_looked_at_at_once(cluster: Cluster) -> None:
    old = cluster.pod("db-0")
    old.pulling()
    cluster.tick()
    new = cluster.pod("db-0", told=False)
    new.pulling()
    cluster.tick(answer=False)
    assert [row.uid for row in cluster.view.pods] == [old.uid]
    assert cluster.turn.rechecks == (Recheck("shop", "db-0", new.uid),)
    cluster.look()
    cluster.tick()
    assert [row.uid for row in cluster.view.pods] == [new.uid]


def test_events_of_a_pod_that_is_about_to_be_watched_are_not_lost(cluster: Cluster) -> None:
    pod = cluster.pod(told=False)
    pod.pulling()
    cluster.sleep(1)
    pod.tell()
    cluster.pass_time(4)
    assert shown(cluster) == [("web", PodPhase.QUEUED)]
    assert looks(cluster, RECHECK_SECONDS) == []


def test_looks_at_once_are_limited(cluster: Cluster) -> None:
    for number in range(RECHECKS_AT_ONCE + 10):
        a_running_pod(cluster, f"pod-{number}").pulling("debug")
    cluster.sleep(RECHECK_SECONDS)
    cluster.tick(answer=False)
    assert len(cluster.turn.rechecks) == RECHECKS_AT_ONCE
    cluster.tick(answer=False)
    assert len(cluster.turn.rechecks) == 10


# Pods that are no longer Pending


def test_pods_that_may_be_deleted_are_looked_at_before_all_others(cluster: Cluster) -> None:
    deleted = [cluster.pod(f"deleted-{number}") for number in range(3)]
    for number in range(2 * RECHECKS_AT_ONCE):
        a_running_pod(cluster, f"unknown-{number}").back_off("debug")
    for pod in deleted:
        pod.pulling()
        pod.delete(terminating=False)
    cluster.tick(answer=False)
    assert len(cluster.turn.rechecks) == RECHECKS_AT_ONCE
    assert [recheck.name for recheck in cluster.turn.rechecks][:3] == [pod.name for pod in deleted]


def test_a_look_at_a_pod_that_may_be_deleted_is_soon_asked_for_again(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.pulling()
    pod.delete(terminating=False)
    assert looks(cluster, LEFT_RETRY_SECONDS) == [0, LEFT_RETRY_SECONDS]
    cluster.look()
    cluster.tick()
    assert shown(cluster) == []


def test_a_pod_that_runs_now_has_all_images(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.pulling()
    cluster.pass_time(5)
    run_unseen(pod)
    pod.leave()
    cluster.tick(answer=False)
    assert shown(cluster) == [("web", PodPhase.QUEUED)]
    cluster.look()
    cluster.tick()
    assert shown(cluster) == [("web", PodPhase.PULLED)]
    cluster.pass_time(5)
    assert {histogram.count for histogram in cluster.view.totals.stages.values()} == {1}


def test_a_pod_that_was_seen_to_run_and_is_deleted_leaves_without_a_look(cluster: Cluster) -> None:
    """As a server shows it that knows no selectors."""
    pod = cluster.pod()
    pod.pulling()
    pod.pulled()
    pod.phase = "Running"
    pod.run()
    cluster.tick(answer=False)
    assert shown(cluster) == [("web", PodPhase.PULLED)]
    pod.delete(terminating=False)
    cluster.tick(answer=False)
    assert shown(cluster) == []


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_a_pod_that_has_ended_waits_no_more(cluster: Cluster, phase: str) -> None:
    pod = cluster.pod()
    pod.pulling()
    cluster.tick()
    pod.leave(phase=phase)
    cluster.pass_time(3)
    assert shown(cluster) == []
    assert not cluster.view.totals.stages


def test_a_pod_of_which_nobody_knows_what_became_goes_after_a_while(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.pulling()
    cluster.tick()
    pod.leave()
    for _ in range(int(PATIENCE_SECONDS)):
        cluster.tick(answer=False)
        assert shown(cluster) == [("web", PodPhase.QUEUED)]
        cluster.sleep(1)
    cluster.tick(answer=False)
    assert shown(cluster) == []
    assert len(cluster.core._pods._pods) == 0


def test_a_running_pod_whose_image_is_still_shown_is_looked_at_now_and_then() -> None:
    cluster = Cluster(Limits(pod_linger=20))
    pod = cluster.pod()
    pod.pulling()
    cluster.pass_time(3)
    pod.pulled()
    pod.leave()
    assert looks(cluster, 2 * UNWATCHED_SECONDS) == [UNWATCHED_SECONDS]
    assert shown(cluster) == [("web", PodPhase.PULLED)]
    cluster.look()
    assert shown(cluster) == [("web", PodPhase.PULLED)]
    cluster.pass_time(21)
    assert shown(cluster) == []
    assert len(cluster.core._pods._pods) == 0


@pytest.mark.parametrize("pulled", [True, False])
def test_a_running_pod_that_is_deleted_goes_with_the_next_look(cluster: Cluster, pulled: bool) -> None:
    pod = a_running_pod(cluster)
    pod.pulling("debug")
    if pulled:
        pod.pulled("debug")
    cluster.tick()
    assert shown(cluster)
    pod.phase = "gone"
    cluster.pass_time(UNWATCHED_SECONDS + 1)
    assert shown(cluster) == []


def test_many_running_pods_are_looked_at_no_more_often_than_a_few_per_second(cluster: Cluster) -> None:
    pods = [cluster.pod(f"web-{number}") for number in range(100)]
    for pod in pods:
        pod.pulling()
        pod.pulled()
        pod.leave()
    asked = looks(cluster, 13)
    assert 40 <= len(asked) <= 60
    assert max(asked.count(second) for second in set(asked)) <= 2 * UNWATCHED_PER_SECOND


# Restart


def a_busy_cluster() -> Cluster:
    cluster = Cluster()
    cluster.node("node-1").pull(known=True)
    cluster.pod("loading").pulling()
    cluster.sleep(1)
    cluster.pod("second", image="registry.example/team/other:1").pulling()
    failing = cluster.pod("failing", image="registry.example/team/none:1", node="node-2")
    failing.pulling()
    failing.failed("not found")
    failing.status("ErrImagePull", "not found")
    debugged = a_running_pod(cluster, "debugged")
    debugged.pulling("debug")
    done = cluster.pod("done", node="node-3")
    done.pulling()
    cluster.pass_time(3)
    done.pulled()
    done.run()
    done.leave()
    # One that was deleted: its events outlive it by an hour.
    deleted = cluster.pod("deleted", node="node-3")
    deleted.pulling()
    cluster.pass_time(5)
    deleted.delete()
    cluster.pass_time(140)
    return cluster


def test_a_restart_in_the_middle_gives_the_same_view_at_once() -> None:
    cluster = a_busy_cluster()
    before = cluster.tick()
    assert sorted(row.labels.pod for row in before.pods) == ["debugged", "failing", "loading", "second"]
    cluster.sleep(2)
    cluster.restart()
    after = cluster.tick()
    assert sorted(after.pods, key=str) == sorted(before.pods, key=str)
    assert after.pulls == before.pulls
    assert not any(after.totals.failures.values())
    assert not any(after.totals.stale_pulls.values())
    assert not after.totals.stages
    assert not after.totals.durations


def test_a_new_aggregator_dates_the_wait_of_a_container_that_crashed_by_its_last_request(cluster: Cluster) -> None:
    pod = a_running_pod(cluster)
    pod.pulling("debug")
    cluster.sleep(2)
    pod.pulled("debug")
    cluster.sleep(3600)
    pod.crash("debug", "CrashLoopBackOff")
    cluster.sleep(20)
    pod.pulling("debug")
    cluster.restart()
    cluster.pass_time(30)
    assert shown(cluster) == [("web", PodPhase.QUEUED)]
    assert cluster.now.monotonic - cluster.view.pods[0].since == 30


def test_a_new_aggregator_sees_that_an_image_has_come_though_the_status_does_not_say_so_yet(cluster: Cluster) -> None:
    """The kubelet writes no status while it pulls the next image."""
    pod = cluster.pod(more={"second": "registry.example/team/other:1"})
    pod.pulling()
    pod.failed()
    pod.status("ErrImagePull", "no such luck")
    cluster.sleep(10)
    pod.pulling()
    cluster.sleep(5)
    pod.pulled()
    pod.pulling("second")
    cluster.restart()
    cluster.tick()
    assert [row.labels.container for row in cluster.view.pods if row.phase is not PodPhase.PULLED] == ["second"]
    pod.status("ErrImagePull", "no such luck again")
    cluster.tick()
    assert pod.row().phase is PodPhase.FAILED


def test_only_what_may_wait_is_looked_at_after_a_restart() -> None:
    cluster = a_busy_cluster()
    cluster.restart()
    cluster.tick(answer=False)
    assert sorted(recheck.name for recheck in cluster.turn.rechecks) == ["debugged", "deleted"]


def test_old_events_wait_for_the_lists_to_be_complete() -> None:
    cluster = a_busy_cluster()
    cluster.restart(lists=False)
    for pod in cluster.pods:
        for event in pod.events.values():
            if event.reason == "Pulling":
                cluster.observe(replace(event, change=Change.LISTED))
    assert looks(cluster, 20) == []
    cluster.relist()
    cluster.tick()
    assert sorted(row.labels.pod for row in cluster.view.pods) == ["debugged", "failing", "loading", "second"]


def test_pods_that_have_gone_are_forgotten() -> None:
    cluster = Cluster(Limits(pod_linger=5))
    for number in range(50):
        pod = cluster.pod(f"pod-{number}", node=f"node-{number % 3}")
        pod.pulling()
        cluster.tick()
        if number % 2:
            pod.pulled()
            pod.run()
            pod.leave()
        else:
            pod.delete()
    cluster.pass_time(10)
    waits = cluster.core._pods._pods
    assert (len(waits), waits._uids, waits._nodes, waits.unwatched) == (0, {}, {}, {})
    assert not cluster.turn.busy
