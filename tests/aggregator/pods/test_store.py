"""When a pod waits for an image, since when, and when it no longer does."""

from collections.abc import Callable

import pytest

from pulltrace_aggregator.controller.reconciler import Limits
from pulltrace_aggregator.model.cluster import Change, RunState
from pulltrace_aggregator.model.states import Cause, ContainerType, FailureReason, MatchKind, PodPhase
from rig.simulated_cluster import IMAGE, Cluster, SimulatedPod

pytestmark = pytest.mark.unit

OTHER = "registry.example/team/other:1"


def shown(cluster: Cluster) -> list[tuple[str, str, PodPhase]]:
    return sorted((row.labels.pod, row.labels.container, row.phase) for row in cluster.tick().pods)


def waiting_seconds(cluster: Cluster) -> list[float]:
    return [round(cluster.now.monotonic - row.since, 3) for row in cluster.tick().pods]


# Evidence


def test_that_a_container_is_being_created_is_no_evidence(cluster: Cluster) -> None:
    cluster.pod()
    assert shown(cluster) == []


def test_a_request_of_the_kubelet_is_evidence(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.pulling()
    assert shown(cluster) == [("web", "app", PodPhase.QUEUED)]
    row = pod.row()
    assert (row.labels.namespace, row.labels.node, row.labels.image) == ("shop", "node-1", IMAGE)
    assert (row.uid, row.labels.container_type, row.match) == (pod.uid, ContainerType.CONTAINER, MatchKind.NONE)
    assert (row.registry, row.repository, row.digest) == ("registry.example", "team/app", "")


@pytest.mark.parametrize(
    ("reason", "phase"), [("ErrImagePull", PodPhase.FAILED), ("ImagePullBackOff", PodPhase.BACKOFF)]
)
def test_a_waiting_reason_of_the_image_class_is_evidence(cluster: Cluster, reason: str, phase: PodPhase) -> None:
    cluster.pod().status(reason)
    assert shown(cluster) == [("web", "app", phase)]


def test_an_error_in_place_of_the_waiting_reason_is_evidence(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.status("json: cannot unmarshal array into Go struct field DockerConfigJson.auths")
    cluster.tick()
    assert pod.row().phase is PodPhase.FAILED
    pod.run()
    cluster.tick()
    assert pod.row().phase is PodPhase.PULLED


def test_a_pull_intent_is_evidence_however_it_is_written(cluster: Cluster) -> None:
    cluster.pod(image="Registry.Example/team/app")
    cluster.pod("other", OTHER)
    cluster.node().intent("registry.example/team/app:latest")
    assert shown(cluster) == [("web", "app", PodPhase.QUEUED)]


def test_a_running_pull_is_evidence_on_its_own_node_only(cluster: Cluster) -> None:
    cluster.pod()
    cluster.pod("elsewhere", node="node-2")
    cluster.node().pull()
    assert shown(cluster) == [("web", "app", PodPhase.DOWNLOADING)]


def test_a_pull_is_no_evidence_for_a_container_that_has_its_image(cluster: Cluster) -> None:
    pod = cluster.pod(more={"sidecar": IMAGE})
    pod.run()
    cluster.node().pull()
    assert shown(cluster) == [("web", "sidecar", PodPhase.DOWNLOADING)]


@pytest.mark.parametrize("pulled", [False, True])
def test_neither_pull_nor_intent_is_evidence_for_an_image_that_has_come_while_another_is_pulled(pulled: bool) -> None:
    """The kubelet writes no status before it has pulled all images of the pod."""
    cluster = Cluster(Limits(pod_linger=10))
    pod = cluster.pod(more={"second": OTHER})
    if pulled:
        pod.pulling()
        cluster.pass_time(2)
        pod.pulled()
    else:
        pod.present()
    pod.pulling("second")
    cluster.node().pull(OTHER, known=True)
    cluster.pass_time(20)
    cluster.node().intent(IMAGE)
    assert shown(cluster) == [("web", "second", PodPhase.DOWNLOADING)]
    cluster.node().queued.clear()
    cluster.node().pull(IMAGE, known=True)
    assert shown(cluster) == [("web", "second", PodPhase.DOWNLOADING)]


def test_an_image_is_not_asked_for_before_the_init_containers_ahead_have_theirs(cluster: Cluster) -> None:
    pod = cluster.pod(init={"first": OTHER, "second": IMAGE})
    cluster.node().pull()
    assert shown(cluster) == []
    pod.complete("first")
    assert shown(cluster) == [("web", "second", PodPhase.DOWNLOADING)]
    pod.run("second")
    assert shown(cluster) == [("web", "app", PodPhase.DOWNLOADING), ("web", "second", PodPhase.PULLED)]


@pytest.mark.parametrize("evidence", ["pull", "intent"])
def test_a_wait_that_a_pull_or_an_intent_shows_begins_with_the_turn_of_its_container(
    cluster: Cluster, evidence: str
) -> None:
    pod = cluster.pod(init={"setup": OTHER})
    node = cluster.node()
    node.pull() if evidence == "pull" else node.intent(IMAGE)
    cluster.pass_time(6)
    pod.complete("setup")
    cluster.pass_time(3)
    assert waiting_seconds(cluster) == [3.0]


def test_evidence_from_a_pull_alone_goes_with_it(cluster: Cluster) -> None:
    cluster.pod()
    cluster.node().pull()
    assert shown(cluster)
    cluster.node().forget()
    assert shown(cluster) == []


# All four kinds of users


def test_combined_events_are_about_the_image_that_they_name(cluster: Cluster) -> None:
    pod = cluster.pod(more={"second": OTHER})
    pod.event("Pulling", f'(combined from similar events): Pulling image "{OTHER}"', "app")
    pod.event("Failed", "(combined from similar events): Error: ErrImagePull", "app")
    assert shown(cluster) == [("web", "second", PodPhase.QUEUED)]


def test_all_four_kinds_of_image_users(cluster: Cluster) -> None:
    pod = cluster.pod(init={"setup": "i:1"}, ephemeral={"debug": "e:1"}, volumes={"model": "v:1"})
    for user in ("setup", "app", "debug", "model"):
        pod.pulling(user)
    rows = {row.labels.container: row.labels for row in cluster.tick().pods}
    assert {name: (labels.container_type, labels.image) for name, labels in rows.items()} == {
        "setup": ("init", "i:1"),
        "app": ("container", IMAGE),
        "debug": ("ephemeral", "e:1"),
        "model": ("volume", "v:1"),
    }


def test_a_volume_gets_its_name_as_soon_as_the_pod_is_known(cluster: Cluster) -> None:
    pod = cluster.pod(volumes={"model": "v:1", "data": "d:1"}, told=False)
    pod.pulling("model")
    assert shown(cluster) == [("web", "", PodPhase.QUEUED)]
    since = cluster.view.pods[0].since
    cluster.sleep(3)
    pod.tell()
    assert shown(cluster) == [("web", "model", PodPhase.QUEUED)]
    assert cluster.view.pods[0].since == since


def test_two_volumes_of_one_image_wait_for_it_both(cluster: Cluster) -> None:
    cluster.pod(volumes={"a": "v:1", "b": "docker.io/library/v:1"}).pulling("a")
    assert [name for _, name, _ in shown(cluster)] == ["a", "b"]


def test_a_volume_that_cannot_be_mounted_is_told_by_its_container(cluster: Cluster) -> None:
    pod = cluster.pod(volumes={"model": "v:1", "data": "d:1"})
    pod.pulling("data")
    cluster.sleep(2)
    pod.pulled("data")
    cluster.sleep(1)
    pod.status("ImageVolumeMountFailed", "v:1: no such thing")
    assert shown(cluster) == [("web", "data", PodPhase.PULLED), ("web", "model", PodPhase.FAILED)]
    pod.run()
    assert shown(cluster) == [("web", "data", PodPhase.PULLED), ("web", "model", PodPhase.PULLED)]


@pytest.mark.parametrize(
    ("reason", "message", "phase"),
    [
        ("ErrImagePull", 'failed to pull and unpack image "docker.io/library/v:1": not found', PodPhase.FAILED),
        ("ImagePullBackOff", 'Back-off pulling image "v:1"', PodPhase.BACKOFF),
        ("ImagePullBackOff", 'Back-off pulling image "v:1": ErrImagePull: not found', PodPhase.BACKOFF),
        ("ErrImageNeverPull", 'Container image "v:1" is not present with pull policy of Never', PodPhase.FAILED),
    ],
)
def test_a_container_that_waits_for_a_volumes_image_does_not_wait_for_its_own(
    cluster: Cluster, reason: str, message: str, phase: PodPhase
) -> None:
    pod = cluster.pod(volumes={"data": "d:1", "model": "v:1"})
    pod.status(reason, message)
    assert shown(cluster) == [("web", "model", phase)]
    pod.status("ImagePullBackOff", f'Back-off pulling image "{IMAGE}"')
    assert ("web", "app", PodPhase.BACKOFF) in shown(cluster)


def test_several_pods_wait_for_one_pull_and_one_pod_for_several(cluster: Cluster) -> None:
    for name in ("a", "b"):
        pod = cluster.pod(name, more={"second": OTHER})
        pod.pulling()
        pod.pulling("second")
    cluster.node().pull()
    cluster.node().pull(OTHER)
    assert shown(cluster) == [(name, user, PodPhase.DOWNLOADING) for name in ("a", "b") for user in ("app", "second")]


# Its end


def test_the_wait_ends_with_the_kubelets_word_and_lingers() -> None:
    cluster = Cluster(Limits(pod_linger=30))
    pod = cluster.pod()
    pod.pulling()
    cluster.pass_time(5)
    pod.pulled()
    assert shown(cluster) == [("web", "app", PodPhase.PULLED)]
    cluster.pass_time(29)
    assert shown(cluster) == [("web", "app", PodPhase.PULLED)]
    cluster.pass_time(1)
    assert shown(cluster) == []


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda pod: pod.present(), id="another pod brought it"),
        pytest.param(lambda pod: pod.status(state=RunState.RUNNING), id="the container runs and the event was dropped"),
        pytest.param(lambda pod: pod.status(state=RunState.TERMINATED), id="the container has run already"),
        pytest.param(lambda pod: pod.status("CreateContainerConfigError", "no secret"), id="a later step fails"),
    ],
)
def test_the_wait_ends_when_the_image_is_there(cluster: Cluster, end: Callable[[SimulatedPod], None]) -> None:
    pod = cluster.pod(more={"other": OTHER})
    pod.pulling()
    cluster.pass_time(5)
    end(pod)
    assert shown(cluster) == [("web", "app", PodPhase.PULLED)]


def test_a_wait_goes_on_after_the_success_of_its_pull_until_the_container_runs_or_the_pod_goes() -> None:
    cluster = Cluster(Limits(pod_linger=30))
    pod = cluster.pod()
    cluster.node().pull()
    assert shown(cluster) == [("web", "app", PodPhase.DOWNLOADING)]
    cluster.node().end()
    assert shown(cluster) == [("web", "app", PodPhase.PULLED)]
    cluster.pass_time(31)
    assert shown(cluster) == [("web", "app", PodPhase.PULLED)]
    pod.run()
    assert shown(cluster) == []


@pytest.mark.parametrize("pulled_first", [False, True])
def test_events_that_overtake_each_other(pulled_first: bool) -> None:
    cluster = Cluster(Limits(pod_linger=10))
    pod = cluster.pod()
    cluster.sleep(3)
    if pulled_first:
        pod.pulled(took="2s")
        pod.pulling(age=2)
    else:
        pod.pulling(age=2)
        pod.pulled(took="2s")
    assert shown(cluster) == [("web", "app", PodPhase.PULLED)]
    cluster.pass_time(11)
    assert shown(cluster) == []


def test_a_request_that_comes_late_does_not_begin_a_wait_of_a_running_container(cluster: Cluster) -> None:
    pod = cluster.pod(more={"other": OTHER})
    pod.run()
    pod.pulling()
    assert shown(cluster) == []


def test_a_container_that_ends_waits_for_its_next_run_even_if_the_request_overtakes_the_status(
    cluster: Cluster,
) -> None:
    pod = cluster.pod(init={"setup": OTHER})
    pod.pulling("setup")
    cluster.sleep(2)
    pod.pulled("setup")
    pod.run("setup")
    cluster.pass_time(200)
    pod.pulling("setup")
    cluster.sleep(0.1)
    pod.crash("setup", age=1)
    assert shown(cluster) == [("web", "setup", PodPhase.QUEUED)]
    cluster.sleep(2)
    pod.run("setup")
    assert shown(cluster) == [("web", "setup", PodPhase.PULLED)]


def test_a_status_that_lags_behind_the_kubelets_word_begins_no_wait() -> None:
    cluster = Cluster(Limits(pod_linger=10))
    pod = cluster.pod()
    pod.status("ImagePullBackOff")
    cluster.pass_time(2)
    pod.pulling()
    cluster.pass_time(5)
    pod.pulled()
    cluster.pass_time(11)
    assert shown(cluster) == []


def test_a_container_that_pulls_again_waits_again() -> None:
    cluster = Cluster(Limits(pod_linger=10))
    pod = cluster.pod(more={"other": OTHER})
    pod.pulling()
    cluster.sleep(2)
    pod.pulled()
    pod.run()
    cluster.pass_time(60)
    pod.status("CrashLoopBackOff")
    assert shown(cluster) == []
    cluster.pass_time(60)
    pod.pulling()
    assert shown(cluster) == [("web", "app", PodPhase.QUEUED)]
    assert waiting_seconds(cluster) == [0.0]


def test_a_patched_image_is_another_wait(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.status("ImagePullBackOff")
    cluster.pass_time(100)
    pod.status("ContainerCreating", image=OTHER)
    assert shown(cluster) == []
    pod.pulling()
    (row,) = cluster.tick().pods
    assert row.labels.image == OTHER
    assert waiting_seconds(cluster) == [0.0]


# Since when


def test_the_wait_is_as_old_as_its_first_request(cluster: Cluster) -> None:
    pod = cluster.pod()
    cluster.sleep(20)
    pod.pulling(age=3)
    assert waiting_seconds(cluster) == [3.0]
    cluster.pass_time(10)
    pod.failed()
    cluster.pass_time(10)
    pod.pulling()
    assert waiting_seconds(cluster) == [23.0]


@pytest.mark.parametrize("hours", [-1, 1])
def test_ages_do_not_depend_on_what_the_clocks_show(hours: int) -> None:
    cluster = Cluster(server_ahead=3600.0 * hours, node_ahead=-3600.0 * hours)
    pod = cluster.pod()
    cluster.sleep(60)
    pod.pulling(age=20)
    cluster.node().pull(started_at=cluster.node().now - 15)
    assert shown(cluster) == [("web", "app", PodPhase.DOWNLOADING)]
    assert waiting_seconds(cluster) == [20.0]
    cluster.sleep(10, step=-7200.0)
    assert waiting_seconds(cluster) == [30.0]


@pytest.mark.parametrize("pods_first", [True, False])
def test_the_order_of_the_first_lists_does_not_matter_to_a_wait(cluster: Cluster, pods_first: bool) -> None:
    pod = cluster.pod(told=False)
    cluster.sleep(90)
    if pods_first:
        pod.status("ImagePullBackOff")
        assert waiting_seconds(cluster) == [90.0]
    pod.pulling(age=20, change=Change.LISTED)
    if not pods_first:
        pod.status("ImagePullBackOff")
    assert waiting_seconds(cluster) == [20.0]


def test_a_request_that_comes_now_does_not_make_an_old_wait_young(cluster: Cluster) -> None:
    pod = cluster.pod(told=False)
    cluster.sleep(90)
    pod.status("ImagePullBackOff")
    pod.pulling()
    assert waiting_seconds(cluster) == [90.0]


def test_a_wait_that_a_pull_tells_of_is_as_old_as_that_but_not_older_than_the_pod(cluster: Cluster) -> None:
    cluster.pod("old")
    cluster.sleep(100)
    cluster.node().pull()
    cluster.sleep(50)
    cluster.pod("young")
    cluster.sleep(5)
    cluster.tick()
    ages = {row.labels.pod: cluster.now.monotonic - row.since for row in cluster.view.pods}
    assert ages == {"old": 55.0, "young": 5.0}


# Deletion


def test_a_deleted_pod_leaves_at_once(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.pulling()
    cluster.tick()
    pod.delete()
    assert shown(cluster) == []
    pod.pulling()
    pod.back_off()
    assert shown(cluster) == []


def test_a_pod_whose_deletion_was_asked_for_waits_no_more(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.pulling()
    cluster.tick()
    pod.terminating = True
    pod.tell()
    assert shown(cluster) == []


def test_a_pod_of_the_same_name_replaces_the_old_one_at_once(cluster: Cluster) -> None:
    old = cluster.pod("db-0")
    old.status("ImagePullBackOff")
    old.pulling()
    cluster.pass_time(50)
    new = cluster.pod("db-0", node="node-2")
    assert shown(cluster) == []
    new.pulling()
    old.pulling()
    old.status("ErrImagePull")
    (row,) = cluster.tick().pods
    assert (row.uid, row.labels.node) == (new.uid, "node-2")
    assert waiting_seconds(cluster) == [0.0]


def test_nodes_of_other_shards_are_left_alone() -> None:
    cluster = Cluster(owns=lambda node: node == "node-1")
    for name in ("node-1", "node-2"):
        pod = cluster.pod(f"on-{name}", node=name)
        pod.pulling()
        pod.failed("not found")
        cluster.pod(f"unseen-{name}", node=name, told=False).pulling()
    assert {row.labels.node for row in cluster.tick().pods} == {"node-1"}
    assert {node.node for node in cluster.view.nodes} == {"node-1"}
    assert sum(cluster.view.totals.failures.values()) == 1


def test_a_repeated_list_changes_nothing(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.pulling()
    cluster.pass_time(5)
    before = cluster.tick().pods
    cluster.relist()
    assert cluster.tick().pods == before
    assert pod.events
    assert all(event.change is not Change.LISTED for event in pod.events.values())


# Static pods


@pytest.mark.parametrize("told", [True, False], ids=["pod-first", "event-first"])
def test_events_of_a_static_pod_bear_the_uid_that_its_mirror_names(cluster: Cluster, told: bool) -> None:
    pod = cluster.pod(static_uid="f00d", told=told)
    pod.pulling()
    if not told:
        cluster.tick(answer=False)
        pod.tell()
    cluster.tick()
    assert (pod.row().phase, pod.row().uid) == (PodPhase.QUEUED, pod.uid)
    pod.pulled()
    pod.run()
    cluster.tick()
    assert pod.row().phase is PodPhase.PULLED
    pod.delete()
    assert cluster.tick().pods == ()
    again = cluster.pod(static_uid="f00d")
    again.pulling()
    cluster.tick()
    assert again.row().uid == again.uid


def test_a_static_pod_that_is_not_pending_is_rechecked_by_its_name(cluster: Cluster) -> None:
    pod = cluster.pod(static_uid="f00d", told=False)
    pod.phase = "Running"
    pod.pulling()
    cluster.tick()
    assert [row.uid for row in cluster.view.pods] == ["f00d"]
    cluster.pass_time(602, each=2)
    assert pod.row().phase is PodPhase.QUEUED


# The pause image

PAUSE = "registry.example/pause:3.10"


def test_a_pod_whose_pause_image_cannot_be_pulled_waits_for_it(cluster: Cluster) -> None:
    cluster.node()
    pod = cluster.pod()
    cluster.pass_time(5)
    pod.sandbox_failed(PAUSE, "unexpected status: 401 Unauthorized")
    cluster.pass_time(10)
    pod.status("ContainerCreating")
    cluster.tick()
    row = pod.row("POD")
    assert (row.labels.container_type, row.labels.image) == (ContainerType.SANDBOX, PAUSE)
    assert (row.phase, row.cause, row.failure) == (PodPhase.FAILED, Cause.CREDENTIALS, FailureReason.UNAUTHORIZED)
    assert cluster.now.monotonic - row.since == 10
    pod.sandbox_failed(PAUSE, "unexpected status: 401 Unauthorized")
    cluster.tick()
    assert pod.row("POD").since == row.since


def test_the_retry_of_a_pause_image_shows_its_pull_and_ends_with_it(cluster: Cluster) -> None:
    node, pod = cluster.node(), cluster.pod()
    pod.sandbox_failed(PAUSE)
    cluster.pass_time(15)
    node.pull(PAUSE, known=True)
    cluster.tick()
    assert pod.row("POD").phase is PodPhase.DOWNLOADING
    cluster.pass_time(5)
    node.end(PAUSE)
    cluster.tick()
    assert (pod.row("POD").phase, pod.row("POD").cause) == (PodPhase.PULLED, None)


@pytest.mark.parametrize("by", ["event", "status"])
def test_a_pause_image_is_there_when_the_pods_own_images_are_asked_for(cluster: Cluster, by: str) -> None:
    pod = cluster.pod()
    pod.sandbox_failed(PAUSE)
    cluster.pass_time(15)
    if by == "event":
        pod.pulling()
    else:
        pod.status("ErrImagePull")
    cluster.tick()
    assert pod.row("POD").phase is PodPhase.PULLED
    assert pod.row().phase is not PodPhase.PULLED
    cluster.pass_time(200)
    assert [row.labels.container for row in pod.rows] == ["app"]


def test_a_pause_image_that_is_missing_again_is_another_wait(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.sandbox_failed(PAUSE)
    cluster.pass_time(15)
    pod.pulling()
    pod.failed()
    cluster.pass_time(600)
    pod.sandbox_failed(PAUSE)
    cluster.pass_time(5)
    assert cluster.now.monotonic - pod.row("POD").since == 5
