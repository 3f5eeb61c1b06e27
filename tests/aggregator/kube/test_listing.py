"""What is there at the start is listed, in pages, and each object is projected to what is used of it."""

import time

import pytest

from aggregator.kube.adapter_setup import AdapterSetup
from pulltrace_aggregator.kube import resources
from pulltrace_aggregator.kubelet.messages import EVENT_REASONS
from pulltrace_aggregator.model.cluster import (
    Change,
    EventSeen,
    ImageUse,
    ImageUser,
    Listed,
    Observed,
    PodSeen,
    RunState,
)
from pulltrace_aggregator.model.image_message import UNKNOWN, ImageMessage, Kind
from pulltrace_aggregator.model.states import ContainerType
from rig.kubernetes import objects

MAIN = ImageUser(ContainerType.CONTAINER, "main")


def test_a_list_of_many_pages_is_complete_before_its_mark(setup: AdapterSetup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "PAGE_SIZE", 3)
    names = {f"app-{number}" for number in range(8)}
    for name in names:
        setup.pod(name)
    following = setup.follow().wait_up()
    mark = following.seen.log.index(Listed("pods", setup.namespace, ""))
    listed = [each.name for each in following.seen.log[:mark] if isinstance(each, PodSeen)]
    assert sorted(listed) == sorted(names)


def test_only_pods_that_wait_on_a_node_are_seen(setup: AdapterSetup) -> None:
    setup.pod("unscheduled", node="")
    setup.api.set_status(setup.pod("running"), phase="Running")
    setup.pod("waiting")
    following = setup.follow().wait_up()
    setup.pod("later-unscheduled", node="")
    setup.pod("last")
    following.seen.wait(lambda: following.seen.pod("last"))
    assert [each.name for each in following.seen.of(PodSeen)] == ["waiting", "last"]


def test_a_pod_is_seen_with_what_the_kubelet_says_of_each_container(setup: AdapterSetup) -> None:
    before = time.time()
    pod = setup.pod(
        "app",
        objects.container("main", "registry.example.org:5000/team/app"),
        objects.container("side", "side@sha256:" + "1" * 64),
        node="node-7",
        initContainers=[objects.container("first", "init:2")],
    )
    setup.api.set_status(
        pod,
        initContainerStatuses=[objects.running("first", "init@sha256:" + "2" * 64)],
        containerStatuses=[objects.waiting("main", "ImagePullBackOff", 'Back-off pulling image "x"')],
    )
    following = setup.follow()
    seen = following.seen.wait(lambda: following.seen.pod("app"))
    assert seen.uses == (
        ImageUse(
            ImageUser(ContainerType.INIT, "first"),
            "init:2",
            RunState.RUNNING,
            image_id="init@sha256:" + "2" * 64,
        ),
        ImageUse(
            MAIN,
            "registry.example.org:5000/team/app",
            RunState.WAITING,
            "ImagePullBackOff",
            'Back-off pulling image "x"',
        ),
        ImageUse(ImageUser(ContainerType.CONTAINER, "side"), "side@sha256:" + "1" * 64),
    )
    assert (seen.namespace, seen.node, seen.phase, seen.uid) == (
        setup.namespace,
        "node-7",
        "Pending",
        pod["metadata"]["uid"],
    )
    assert not seen.terminating
    assert seen.created_at is not None
    assert before - 2 < seen.created_at < time.time() + 2


def test_events_that_were_there_are_told_from_those_that_happen(setup: AdapterSetup) -> None:
    pod = setup.pod()
    setup.event(pod, "Failed", "Failed to pull image", count=3, at="2024-05-06T07:08:09Z")
    following = setup.follow().wait_up()
    setup.event(pod, "Pulling", 'Pulling image "x"', at="2024-05-06T07:08:10Z")
    pulling = following.seen.wait(lambda: following.seen.events_of("app", Change.ADDED))
    failed = following.seen.events_of("app", Change.LISTED)
    assert [(each.reason, each.message, each.count, each.first_at) for each in [*failed, *pulling]] == [
        ("Failed", UNKNOWN, 3, 1714979289.0),
        ("Pulling", ImageMessage(Kind.PULLING, "x"), 1, 1714979290.0),
    ]
    assert {(each.node, each.user, each.pod_uid) for each in [*failed, *pulling]} == {
        ("node-1", MAIN, pod["metadata"]["uid"])
    }


def test_only_events_of_kubelets_about_images_of_pods_are_seen(setup: AdapterSetup) -> None:
    pod = setup.pod()
    following = setup.follow().wait_up()
    setup.event(pod, "Scheduled")
    setup.event(pod, "Failed", "not a kubelet", name="other", source={"component": "job-controller"})
    about = {"kind": "Node", "name": "node-1", "namespace": setup.namespace, "uid": "1"}
    setup.event(pod, "Pulled", "not a pod", name="node", involvedObject=about)
    for reason in EVENT_REASONS:
        setup.event(pod, reason)
    following.seen.wait(lambda: len(following.seen.events) == len(EVENT_REASONS))
    assert {each.reason for each in following.seen.of(EventSeen)} == set(EVENT_REASONS)


@pytest.mark.contract
def test_a_list_whose_rest_is_forgotten_begins_again(fake_setup: AdapterSetup, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the fake: API servers from 1.34 on keep the rest of a list whatever etcd forgets."""
    monkeypatch.setattr(resources, "PAGE_SIZE", 2)
    names = {f"app-{number}" for number in range(5)}
    for name in names:
        fake_setup.pod(name)

    class Compacting:
        """Lets the revision of the list be forgotten between its first page and its second."""

        def __init__(self) -> None:
            self.done = False

        def receive(self, _: Observed) -> None:
            if not self.done:
                self.done = True
                fake_setup.pod("late")
                fake_setup.cluster.compact()

    following = fake_setup.follow([resources.waiting_pods(fake_setup.namespace)], receiver=Compacting()).wait_up()
    assert {each.name for each in following.seen.pods.values()} == {*names, "late"}
    assert following.restarts("pods", "expired") == 1
    assert not following.problems
