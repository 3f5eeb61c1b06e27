"""Objects of the API become values; whatever they hold, nothing raises."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulltrace.clock import NodeTime
from pulltrace_aggregator.kube import decode
from pulltrace_aggregator.kube.decode import Object
from pulltrace_aggregator.model.cluster import (
    SANDBOX,
    Change,
    EventGone,
    EventSeen,
    ImageUser,
    NodeSeen,
    PodGone,
    PodSeen,
    RunState,
    SliceGone,
)
from pulltrace_aggregator.model.states import ContainerType
from rig.kubernetes import objects

pytestmark = pytest.mark.unit

META = {"namespace": "team", "name": "app", "uid": "u-1", "creationTimestamp": "2024-01-02T03:04:05Z"}
KUBELET: dict[str, Any] = {
    "metadata": META,
    "involvedObject": {"kind": "Pod", "namespace": "team", "name": "app-1", "uid": "p-1", "fieldPath": ""},
    "source": {"component": "kubelet", "host": "node-1"},
    "reason": "Pulling",
    "message": "",
}
KEYS = sorted(
    {"metadata", "spec", "status", "name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "nodeName"}
    | {"containers", "initContainers", "ephemeralContainers", "volumes", "image", "reference", "pullPolicy", "state"}
    | {"containerStatuses", "initContainerStatuses", "waiting", "running", "reason", "message", "imageID", "phase"}
    | {"lastState", "terminated", "finishedAt"}
    | {"involvedObject", "source", "component", "host", "fieldPath", "series", "count", "eventTime", "ports", "port"}
    | {"labels", "annotations", "taints", "key", "value", "ownerReferences", "kind", "nodeInfo", "operatingSystem"}
    | {"endpoints", "addresses", "conditions", "ready", "reportingComponent", "firstTimestamp", "lastTimestamp"}
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from(["kubelet", "metrics", "2024-01-02T03:04:05Z", "0001-01-01T00:00:00+23:59", "\ud800"]),
)
ANYTHING = st.recursive(
    SCALARS, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.sampled_from(KEYS), part, max_size=6)
)
OBJECTS = st.dictionaries(st.sampled_from(KEYS), ANYTHING, max_size=8)


def maybe_event(**changes: Any) -> EventSeen | None:
    return decode.event({**KUBELET, **changes}, Change.ADDED)


def event(**changes: Any) -> EventSeen:
    seen = maybe_event(**changes)
    assert seen is not None
    return seen


def pod(*statuses: Object, **meta: Any) -> PodSeen:
    """A pod of one container, `main`."""
    spec = {"containers": [{"name": "main", "image": "app"}]}
    status = {"containerStatuses": [{"name": "main", **each} for each in statuses]}
    seen = decode.pod({"metadata": {**META, **meta}, "spec": spec, "status": status})
    assert seen is not None
    return seen


@given(OBJECTS)
def test_nothing_raises(item: dict[str, Any]) -> None:
    named = {**item, "metadata": META}
    for each in (item, named, {**named, "source": {"component": "kubelet"}}):
        decode.pod(each)
        decode.pod_gone(each)
        decode.event(each, Change.LISTED)
        decode.event_gone(each)
        decode.endpoint_slice(each)
        decode.endpoint_slice_gone(each)
        decode.node(each)


@given(OBJECTS)
def test_every_text_can_be_written(item: dict[str, Any]) -> None:
    for seen in (decode.pod({**item, "metadata": META}), maybe_event(**item)):
        repr(seen).encode()


def test_an_object_without_identity_is_dropped() -> None:
    for meta in ({}, {"uid": "u"}, {"name": "", "uid": ""}):
        item = {**KUBELET, "metadata": meta}
        assert decode.event(item, Change.ADDED) is None
        assert decode.endpoint_slice(item) is None
        assert decode.pod_gone(item) is None
        assert decode.event_gone(item) is None
        assert decode.endpoint_slice_gone(item) is None
    for meta in ({}, {"uid": "u"}, {"name": "app"}):
        assert decode.pod({"metadata": meta}) is None, "names of pods come again, their uid does not"


def test_the_only_port_needs_no_name() -> None:
    ends = [{"addresses": ["10.0.0.1"], "nodeName": "node-1"}]
    for ports, port in (
        ([{"port": 1}], 1),
        ([{"name": "", "port": 1}], 1),
        ([{"name": "http", "port": 1}], None),
        ([{"port": 1}, {"name": "metrics", "port": 2}], 2),
        ([{"port": 1}, {"name": "http", "port": 2}], None),
        ([], None),
    ):
        seen = decode.endpoint_slice({"metadata": {"name": "s"}, "ports": ports, "endpoints": ends})
        assert seen is not None
        assert [end.port for end in seen.endpoints] == ([] if port is None else [port])


def test_an_object_that_leaves_keeps_its_name() -> None:
    assert decode.pod_gone({"metadata": META}) == PodGone("team", "app", "u-1")
    assert decode.event_gone({"metadata": META}) == EventGone("team", "app", "u-1")
    assert decode.endpoint_slice_gone({"metadata": META}) == SliceGone("team", "app", "u-1")


@pytest.mark.parametrize(
    ("changes", "count", "first_at", "last_at"),
    [
        ({}, 1, 1704164645.0, 1704164645.0),
        ({"count": 4, "firstTimestamp": "2024-01-02T00:00:00Z"}, 4, 1704153600.0, 1704164645.0),
        ({"count": None, "eventTime": "2024-01-02T00:00:00.250000Z"}, 1, 1704153600.25, 1704153600.25),
        (
            {"series": {"count": 9, "lastObservedTime": "2024-01-02T00:00:01.5Z"}, "eventTime": "2024-01-02T00:00:00Z"},
            9,
            1704153600.0,
            1704153601.5,
        ),
        ({"count": -1, "lastTimestamp": "yesterday"}, 1, 1704164645.0, 1704164645.0),
        ({"count": True, "firstTimestamp": "0001-01-01T00:00:00Z"}, 1, -62135596800.0, 1704164645.0),
    ],
)
def test_both_ways_of_counting_events_are_read(
    changes: dict[str, Any], count: int, first_at: float, last_at: float
) -> None:
    seen = event(**changes)
    assert (seen.count, seen.first_at, seen.last_at) == (count, first_at, last_at)


def test_a_kubelet_is_known_by_either_pair_of_fields() -> None:
    assert event(source={}, reportingComponent="kubelet", reportingInstance="node-2").node == "node-2"
    assert maybe_event(source={"component": "scheduler"}) is None
    assert event(source=None), "nobody says that it is anybody else's"
    assert maybe_event(involvedObject={"kind": "Node", "name": "node-1"}) is None


@pytest.mark.parametrize(
    ("path", "user"),
    [
        ("spec.initContainers{first}", ImageUser(ContainerType.INIT, "first")),
        ("", ImageUser(ContainerType.VOLUME)),
        ("spec.other{x}", None),
    ],
)
def test_the_container_comes_from_the_field_path(path: str, user: ImageUser | None) -> None:
    assert event(involvedObject={**KUBELET["involvedObject"], "fieldPath": path}).user == user


def test_a_failed_sandbox_is_about_the_pause_image() -> None:
    message = "Failed to create pod sandbox: no more addresses"
    assert event(reason="FailedCreatePodSandBox", message=message).user == SANDBOX


def test_a_mirror_pod_carries_the_uid_that_its_events_bear() -> None:
    seen = pod(annotations={"kubernetes.io/config.mirror": "f00d"})
    assert (seen.uid, seen.static_uid) == ("u-1", "f00d")


@pytest.mark.parametrize(("kind", "name"), [("DaemonSet", "pulltrace-exporter"), ("ReplicaSet", "")])
def test_a_pod_names_its_daemonset(kind: str, name: str) -> None:
    assert pod(ownerReferences=[{"kind": kind, "name": "pulltrace-exporter"}]).daemonset == name


def a_node(system: str = "", runtime: str = "", labels: Object | None = None, taint: str = "") -> NodeSeen:
    info = {"operatingSystem": system, "containerRuntimeVersion": runtime} if system else {}
    taints = [{"key": taint, "value": "azure", "effect": "NoSchedule"}] if taint else []
    meta = {"name": "node-1", "labels": labels or {}}
    seen = decode.node({"metadata": meta, "spec": {"taints": taints}, "status": {"nodeInfo": info}})
    assert seen is not None
    return seen


@pytest.mark.parametrize(
    ("seen", "can"),
    [
        (a_node("linux", "containerd://2.1.9", {"role": "worker"}), True),
        (a_node(), True),
        (a_node("windows", "containerd://1.7.24"), False),
        (a_node("linux", "cri-o://1.34.0"), False),
        (a_node("linux", "docker://24.0.7"), False),
        (a_node("Linux", labels={"type": "virtual-kubelet"}), False),
        (a_node(taint="virtual-kubelet.io/provider"), False),
        (a_node(labels={"eks.amazonaws.com/compute-type": "fargate"}), False),
    ],
)
def test_nodes_that_cannot_have_an_exporter(seen: NodeSeen, can: bool) -> None:
    assert seen.can_have_exporter is can


def test_all_users_of_images_are_seen() -> None:
    item = objects.pod(
        "team",
        "app",
        objects.container("main", "a:1"),
        {"name": "no-image"},
        initContainers=[objects.container("first", "b:1")],
        ephemeralContainers=[objects.container("debug", "c:1")],
        volumes=[{"name": "models", "image": {"reference": "d:1"}}, {"name": "tmp"}],
    )
    status = {"ephemeralContainerStatuses": [objects.waiting("debug", "ImagePullBackOff")]}
    seen = decode.pod({**item, "metadata": META, "status": status})
    assert seen is not None
    assert [(use.user.type.value, use.user.name, use.image, use.reason) for use in seen.uses] == [
        ("init", "first", "b:1", ""),
        ("container", "main", "a:1", ""),
        ("ephemeral", "debug", "c:1", "ImagePullBackOff"),
        ("volume", "models", "d:1", ""),
    ]


def test_a_container_that_has_been_reported_twice_is_one() -> None:
    seen = pod({"state": {"waiting": {"reason": "ErrImagePull"}}}, {"state": {"running": {}}})
    assert [(use.user.name, use.state) for use in seen.uses] == [("main", RunState.RUNNING)]


@pytest.mark.parametrize(
    "status",
    [
        {"state": {"terminated": {"finishedAt": "2024-01-02T03:04:05Z"}}},
        {"state": {"waiting": {}}, "lastState": {"terminated": {"finishedAt": "2024-01-02T03:04:05Z"}}},
    ],
)
def test_when_the_last_run_of_a_container_ended(status: Object) -> None:
    assert pod(status).uses[0].ended_at == NodeTime(1704164645.0)


def test_a_long_message_is_cut() -> None:
    seen = pod({"state": {"waiting": {"reason": "ErrImagePull", "message": "x" * 10_000}}})
    assert len(seen.uses[0].message) == decode.LONGEST_MESSAGE
