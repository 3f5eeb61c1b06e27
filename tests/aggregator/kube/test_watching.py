"""What happens after the list is seen as it happens, and what leaves is seen to leave."""

import time
from dataclasses import replace

import pytest

from aggregator.kube.adapter_setup import QUICK, AdapterSetup
from aggregator.kube.recorder import Recorder
from pulltrace.clock import Instant, SystemClock
from pulltrace_aggregator.kube import resources
from pulltrace_aggregator.kube.listwatch import ListWatch
from pulltrace_aggregator.kubelet.messages import EVENT_REASONS
from pulltrace_aggregator.model.cluster import Change, EventGone, PodGone, PodSeen, RunState
from pulltrace_aggregator.model.image_message import ImageMessage, Kind
from pulltrace_aggregator.model.states import FailureReason
from rig.kubernetes import objects
from rig.kubernetes.api import Object


def uid(item: Object) -> str:
    return str(item["metadata"]["uid"])


def test_a_pod_is_seen_to_come_change_and_run(setup: AdapterSetup) -> None:
    following = setup.follow().wait_up()
    pod = setup.pod()
    following.seen.wait(lambda: following.seen.pod("app"))
    setup.api.set_status(pod, containerStatuses=[objects.waiting("main", "ErrImagePull", "no such host")])
    following.seen.wait(lambda: (seen := following.seen.pod("app")) and seen.uses[0].reason == "ErrImagePull")
    setup.api.set_status(pod, phase="Running", containerStatuses=[objects.running()])
    following.seen.wait(lambda: not following.seen.pods)
    assert following.seen.of(PodGone) == [PodGone(setup.namespace, "app", uid(pod), terminating=False)]


def test_a_pod_that_is_deleted_says_so_before_it_leaves(setup: AdapterSetup) -> None:
    following = setup.follow().wait_up()
    pod = setup.pod()
    setup.api.delete(pod, grace=None)
    following.seen.wait(lambda: (seen := following.seen.pod("app")) and seen.terminating)
    setup.api.delete(pod)
    following.seen.wait(lambda: not following.seen.pods)
    assert following.seen.of(PodGone) == [PodGone(setup.namespace, "app", uid(pod), terminating=True)]


def test_a_pod_made_again_under_its_name_is_another_pod(setup: AdapterSetup) -> None:
    following = setup.follow().wait_up()
    first = setup.pod()
    setup.api.delete(first)
    second = setup.pod(node="node-2")
    seen = following.seen.wait(lambda: following.seen.pods.get(uid(second)))
    assert seen.node == "node-2"
    assert list(following.seen.pods) == [uid(second)]
    order = [
        (type(each), each.uid, each.terminating) for each in following.seen.log if isinstance(each, PodSeen | PodGone)
    ]
    assert order == [
        (PodSeen, uid(first), False),
        (PodSeen, uid(first), True),
        (PodGone, uid(first), True),
        (PodSeen, uid(second), False),
    ]


def test_a_look_at_a_pod_tells_what_became_of_it(setup: AdapterSetup) -> None:
    following = setup.follow()
    pod = setup.pod()
    setup.api.set_status(pod, phase="Running", containerStatuses=[objects.running(image_id="x@sha256:" + "3" * 64)])
    seen = following.cluster.pod(setup.namespace, "app")
    assert seen is not None
    assert (seen.phase, seen.uses[0].state, seen.uses[0].image_id) == (
        "Running",
        RunState.RUNNING,
        "x@sha256:" + "3" * 64,
    )
    setup.api.delete(pod)
    assert following.cluster.pod(setup.namespace, "app") is None


def test_a_repeated_event_comes_with_its_new_count(setup: AdapterSetup) -> None:
    following = setup.follow().wait_up()
    event = setup.event(setup.pod(), "Failed")
    setup.api.patch(event, {"count": 5, "lastTimestamp": "2024-01-02T04:00:00Z"})
    seen = following.seen.wait(lambda: following.seen.events_of("app", Change.MODIFIED))[-1]
    assert (seen.count, seen.last_at, seen.first_at) == (5, 1704168000.0, 1704164645.0)
    setup.api.delete(event)
    following.seen.wait(lambda: following.seen.of(EventGone))
    assert not following.seen.events


def test_a_watch_that_comes_to_its_end_is_carried_on(setup: AdapterSetup) -> None:
    timing = replace(QUICK, watch=1.0, at_once=0.0)
    following = setup.follow([resources.waiting_pods(setup.namespace)], timing=timing).wait_up()
    until, number = time.monotonic() + 4, 0
    while time.monotonic() < until:
        number += 1
        setup.pod(f"app-{number}")
        following.seen.wait(lambda: following.seen.pod(f"app-{number}"))  # noqa: B023 - called at once
    assert following.seen.lists("pods") == 1
    assert [each.name for each in following.seen.of(PodSeen)] == [f"app-{each + 1}" for each in range(number)]
    assert not following.cluster.health.restarts


def test_bookmarks_move_a_watch_on_that_sees_no_changes(setup: AdapterSetup) -> None:
    unselected: list[Object] = []

    class Unselected:
        """Makes pods, once the watch runs, that only a bookmark can tell to be past."""

        def listed(self) -> None:
            assert not unselected

        def watching(self) -> None:
            unselected.extend(setup.pod(f"unscheduled-{number}", node="") for number in range(3))

    # A server tells how far it is two seconds before the end, which is when the pods must be there.
    selection, timing = resources.waiting_pods(setup.namespace), replace(QUICK, watch=7.0)
    following = ListWatch(setup.client(), selection, Recorder(), Unselected(), timing, lambda: 0.5)
    following.run()
    assert int(following.resource_version) >= int(unselected[-1]["metadata"]["resourceVersion"])


def test_several_namespaces_are_followed_and_no_others(setup: AdapterSetup) -> None:
    second, third = setup.new_namespace(), setup.new_namespace()
    following = setup.follow(resources.selections([setup.namespace, second, second])).wait_up()
    for namespace in (third, second, setup.namespace):
        setup.event(setup.pod(f"in-{namespace}", namespace=namespace))
    following.seen.wait(lambda: len(following.seen.pods) == 2 == len(following.seen.events))
    assert {each.namespace for each in following.seen.pods.values()} == {setup.namespace, second}


def test_all_namespaces_are_followed_by_one_watch_of_each_kind(setup: AdapterSetup) -> None:
    following = setup.follow(resources.selections()).wait_up()
    names = {f"in-{namespace}": namespace for namespace in (setup.namespace, setup.new_namespace())}
    for name, namespace in names.items():
        setup.event(setup.pod(name, namespace=namespace))
    following.seen.wait(lambda: names.keys() <= {each.pod for each in following.seen.events.values()})
    following.seen.wait(lambda: all(following.seen.pod(name) for name in names))
    assert len(following.cluster.health.watches) == 1 + len(EVENT_REASONS)


@pytest.mark.parametrize("step", [0.0, 3600.0, -3600.0])
def test_the_clock_of_the_server_is_known(setup: AdapterSetup, step: float) -> None:
    """Also at once when ours has been stepped, before the server answers again."""
    following = setup.follow().wait_up()
    now = SystemClock().now()
    ahead = following.cluster.server_ahead(Instant(now.wall + step, now.monotonic))
    assert ahead == pytest.approx(-step, abs=2.5)


def test_names_and_messages_may_hold_anything(setup: AdapterSetup) -> None:
    message = 'Failed to pull image "\u2028 \t\U0001f40b": \\ \n' + "long " * 150 + "no such host"
    following = setup.follow().wait_up()
    setup.event(setup.pod(), "Failed", message)
    (event,) = following.seen.wait(lambda: following.seen.events_of("app"))
    assert event.message == ImageMessage(Kind.FAILED, "\u2028 \t\U0001f40b", FailureReason.DNS)
