"""Makes our values of the API's JSON objects. Pure; whatever a server sends, nothing here raises.

An object without its identity (a name; for a pod a uid too) gives None, so that an odd object costs only itself.
"""

import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pulltrace.clock import NodeTime, ServerTime
from pulltrace.text import presentable
from pulltrace_aggregator.kubelet.messages import SANDBOX_FAILED, parse_event, parse_field_path
from pulltrace_aggregator.model.cluster import (
    SANDBOX,
    Change,
    Endpoint,
    EventGone,
    EventSeen,
    ImageUse,
    ImageUser,
    NodeSeen,
    PodGone,
    PodSeen,
    RunState,
    SliceGone,
    SliceSeen,
)
from pulltrace_aggregator.model.states import ContainerType

Object = Mapping[str, Any]

METRICS_PORT: Final = "metrics"
SERVICE_LABEL: Final = "kubernetes.io/service-name"
KUBELET: Final = "kubelet"
POD: Final = "Pod"
DAEMON_SET: Final = "DaemonSet"
MIRROR_ANNOTATION: Final = "kubernetes.io/config.mirror"
VIRTUAL_KUBELET: Final = "virtual-kubelet.io/"
VIRTUAL: Final = frozenset({"virtual-kubelet", "virtual-node", "fargate"})
"""Values of labels and taints of nodes without a machine. Their keys differ between clouds."""
LONGEST_MESSAGE: Final = 4096
"""Most characters of a message that are kept. The API server limits only those of events with an `eventTime`."""
HIGHEST_PORT: Final = 65535

_CONTAINERS: Final = (
    (ContainerType.INIT, "initContainers", "initContainerStatuses"),
    (ContainerType.CONTAINER, "containers", "containerStatuses"),
    (ContainerType.EPHEMERAL, "ephemeralContainers", "ephemeralContainerStatuses"),
)
_STATES: Final = (RunState.RUNNING, RunState.TERMINATED, RunState.WAITING)


def pod(item: Object) -> PodSeen | None:
    """A core/v1 Pod."""
    if not (known := pod_gone(item)):
        return None
    return PodSeen(
        known.namespace,
        known.name,
        known.uid,
        node=_shared(member(item, "spec"), "nodeName"),
        phase=_shared(member(item, "status"), "phase"),
        created_at=_created_at(item),
        terminating=known.terminating,
        uses=(*_containers(item), *_volumes(item)),
        static_uid=known.static_uid,
        daemonset=_daemonset(item),
    )


def node(item: Object) -> NodeSeen | None:
    """A core/v1 Node."""
    identity = _identity(item)
    if not identity:
        return None
    info = member(member(item, "status"), "nodeInfo")
    labels = member(member(item, "metadata"), "labels")
    taints = [(_text(taint, "key"), _text(taint, "value")) for taint in members(member(item, "spec"), "taints")]
    return NodeSeen(
        name=identity[1],
        operating_system=_text(info, "operatingSystem"),
        runtime=_text(info, "containerRuntimeVersion").partition("://")[0],
        virtual=any(
            key.startswith(VIRTUAL_KUBELET) or value in VIRTUAL
            for key, value in (*((key, _text(labels, key)) for key in labels), *taints)
        ),
    )


def pod_gone(item: Object) -> PodGone | None:
    """The last state of a Pod that left the selection."""
    identity = _identity(item)
    if not identity or not identity[2]:
        return None
    terminating = bool(_text(member(item, "metadata"), "deletionTimestamp"))
    static_uid = _text(member(member(item, "metadata"), "annotations"), MIRROR_ANNOTATION)
    return PodGone(*identity, terminating, static_uid)


def event(item: Object, change: Change) -> EventSeen | None:
    """A core/v1 Event of a kubelet about a pod; None if it names another sender or another kind of object."""
    identity, about, source = _identity(item), member(item, "involvedObject"), member(item, "source")
    # Newer client libraries fill both fields, others only one of them.
    senders = {_text(source, "component"), _text(item, "reportingComponent")}
    if not identity or (KUBELET not in senders and senders != {""}) or _text(about, "kind") not in ("", POD):
        return None
    series, reason = member(item, "series"), _shared(item, "reason")
    created_at, event_time = _created_at(item), _time(item, "eventTime")
    return EventSeen(
        *identity,
        pod=_text(about, "name"),
        pod_uid=_text(about, "uid"),
        user=SANDBOX if reason == SANDBOX_FAILED else parse_field_path(_text(about, "fieldPath")),
        node=_shared(source, "host") or _shared(item, "reportingInstance"),
        reason=reason,
        message=parse_event(reason, _words(item, "message")),
        count=max(_count(item, "count"), _count(series, "count"), 1),
        created_at=created_at,
        first_at=_node_time(_time(item, "firstTimestamp"), event_time, created_at),
        last_at=_node_time(_time(item, "lastTimestamp"), _time(series, "lastObservedTime"), event_time, created_at),
        change=change,
    )


def event_of_reason(reason: str, item: Object, change: Change) -> EventSeen | None:
    """An event with this reason, else None. A server that ignores selectors sends events of all reasons."""
    seen = event(item, change)
    return seen if seen is not None and seen.reason == reason else None


def event_gone(item: Object) -> EventGone | None:
    """An Event that the server has dropped."""
    identity = _identity(item)
    return EventGone(*identity) if identity else None


def endpoint_slice(item: Object) -> SliceSeen | None:
    """A discovery.k8s.io/v1 EndpointSlice."""
    identity = _identity(item)
    return SliceSeen(*identity, tuple(_endpoints(item))) if identity else None


def slice_of_service(service: str, item: Object) -> SliceSeen | None:
    """A slice of this Service, else None. A server that ignores selectors sends those of all Services."""
    named = _text(member(member(item, "metadata"), "labels"), SERVICE_LABEL)
    return endpoint_slice(item) if named in ("", service) else None


def endpoint_slice_gone(item: Object) -> SliceGone | None:
    """An EndpointSlice that was deleted."""
    identity = _identity(item)
    return SliceGone(*identity) if identity else None


def _identity(item: Object) -> tuple[str, str, str] | None:
    """Namespace, name and uid; None without a name. Namespace and uid may be empty."""
    meta = member(item, "metadata")
    name = _text(meta, "name")
    return (_shared(meta, "namespace"), name, _text(meta, "uid")) if name else None


def _containers(item: Object) -> Iterator[ImageUse]:
    spec, status = member(item, "spec"), member(item, "status")
    for kind, wanted, reported in _CONTAINERS:
        statuses = {_text(each, "name"): each for each in members(status, reported)}
        for container in members(spec, wanted):
            if image := _text(container, "image"):
                yield _use(kind, container, image, statuses.get(_text(container, "name"), {}))


def _daemonset(item: Object) -> str:
    owners = members(member(item, "metadata"), "ownerReferences")
    return next((_shared(each, "name") for each in owners if _text(each, "kind") == DAEMON_SET), "")


def _use(kind: ContainerType, container: Object, image: str, status: Object) -> ImageUse:
    states = member(status, "state")
    state = next((each for each in _STATES if each in states), RunState.UNKNOWN)
    waiting = member(states, RunState.WAITING)
    ended = member(states, RunState.TERMINATED) or member(member(status, "lastState"), RunState.TERMINATED)
    return ImageUse(
        user=ImageUser(kind, _shared(container, "name")),
        image=sys.intern(image),
        state=state,
        reason=_shared(waiting, "reason"),
        message=_words(waiting, "message"),
        image_id=_text(status, "imageID"),
        ended_at=_node_time(_time(ended, "finishedAt")) if ended else None,
    )


def _volumes(item: Object) -> Iterator[ImageUse]:
    for volume in members(member(item, "spec"), "volumes"):
        if reference := _text(member(volume, "image"), "reference"):
            yield ImageUse(ImageUser(ContainerType.VOLUME, _shared(volume, "name")), sys.intern(reference))


def _endpoints(item: Object) -> Iterator[Endpoint]:
    port = _metrics_port(item)
    if not 0 < port <= HIGHEST_PORT:
        return
    for endpoint in members(item, "endpoints"):
        addresses, node = endpoint.get("addresses"), _shared(endpoint, "nodeName")
        # All addresses of an endpoint are equivalent: consumers take the first (discovery/v1, `Endpoint.addresses`).
        first = addresses[0] if isinstance(addresses, list) and addresses else None
        if node and isinstance(first, str) and first:
            # A missing condition means ready (discovery/v1, `EndpointConditions.ready`).
            ready = member(endpoint, "conditions").get("ready") is not False
            yield Endpoint(node, first, port, ready)


def _metrics_port(item: Object) -> int:
    """The port named `metrics`, or the only port if it has no name; else 0."""
    ports = {_text(each, "name"): _count(each, "port") for each in members(item, "ports")}
    return ports.get(METRICS_PORT) or (ports.get("", 0) if len(ports) == 1 else 0)


def member(value: Object, key: str) -> Object:
    """The object under a key; an empty one if there is none."""
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def members(value: Object, key: str) -> Iterator[Object]:
    """The objects of the list under a key; anything else in it is left out."""
    found = value.get(key)
    return (each for each in found if isinstance(each, dict)) if isinstance(found, list) else iter(())


def _text(value: Object, key: str) -> str:
    found = value.get(key)
    return presentable(found) if isinstance(found, str) else ""


def _shared(value: Object, key: str) -> str:
    """A text that many objects hold, kept once in memory."""
    return sys.intern(_text(value, key))


def _words(value: Object, key: str) -> str:
    """A message, cut to `LONGEST_MESSAGE`, without lone surrogates."""
    found = value.get(key)
    return found[:LONGEST_MESSAGE].encode("utf-8", "replace").decode() if isinstance(found, str) else ""


def _count(value: Object, key: str) -> int:
    found = value.get(key)
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else 0


def _time(value: Object, key: str) -> float | None:
    """Unix time of an RFC 3339 stamp."""
    try:
        moment = datetime.fromisoformat(_text(value, key))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _created_at(item: Object) -> ServerTime | None:
    stamp = _time(member(item, "metadata"), "creationTimestamp")
    return None if stamp is None else ServerTime(stamp)


def _node_time(*stamps: float | None) -> NodeTime | None:
    """The first stamp that is known. The server's own stamp is the last resort."""
    return next((NodeTime(stamp) for stamp in stamps if stamp is not None), None)
