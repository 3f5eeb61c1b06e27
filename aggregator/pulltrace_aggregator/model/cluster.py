"""What the adapter tells of the cluster: immutable values with the few fields that are used."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, TypeAlias, TypeVar

from pulltrace.clock import NodeTime, ServerTime
from pulltrace_aggregator.model.image_message import ImageMessage
from pulltrace_aggregator.model.states import ContainerType


@dataclass(frozen=True, slots=True)
class ImageUser:
    """A container of a pod or one of its image volumes; `name` is empty where the kubelet gives none."""

    type: ContainerType
    name: str = ""


SANDBOX: Final = ImageUser(ContainerType.SANDBOX, "POD")
"""Named like the containers of the pause image under dockershim, `k8s_POD_…`."""


class RunState(StrEnum):
    """State of a container. The kubelet reports none of an image volume, and nothing before it has seen the pod."""

    WAITING = "waiting"
    RUNNING = "running"
    TERMINATED = "terminated"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ImageUse:
    """One container or image volume of a pod.

    `image` is as written in the pod. `reason` and `message` are the kubelet's words while it waits; the reason may be
    any text. `image_id` is the runtime's name of the image that a container was started from, empty until then.
    `ended_at` is when its last run ended, on the node's clock in whole seconds.
    """

    user: ImageUser
    image: str
    state: RunState = RunState.UNKNOWN
    reason: str = ""
    message: str = ""
    image_id: str = ""
    ended_at: NodeTime | None = None


@dataclass(frozen=True, slots=True)
class PodSeen:
    """A pod as it is now. `created_at` is the API server's stamp (Unix time); `node` is empty before scheduling.

    `terminating` means that its deletion was asked for. `static_uid` is set for the mirror of a static pod: it is the
    uid in the kubelet's events about that pod. `daemonset` is the name of the DaemonSet that owns the pod, or empty.
    """

    namespace: str
    name: str
    uid: str
    node: str
    phase: str
    created_at: ServerTime | None
    terminating: bool
    uses: tuple[ImageUse, ...]
    static_uid: str = ""
    daemonset: str = ""

    @property
    def event_uid(self) -> str:
        """The uid in the kubelet's events about it."""
        return self.static_uid or self.uid


@dataclass(frozen=True, slots=True)
class PodGone:
    """A pod is no longer among those that are watched: it left the phase Pending, or it is deleted.

    A watch does not tell which. `terminating` means that its deletion had been asked for: the API server marks each pod
    so before it deletes it. A pod that leaves without the mark began to run, or ended. A mark may be missed while the
    connection is down; `Cluster.pod` tells for certain.
    """

    namespace: str
    name: str
    uid: str
    terminating: bool = False
    static_uid: str = ""

    @property
    def event_uid(self) -> str:
        """The uid in the kubelet's events about it."""
        return self.static_uid or self.uid


class Change(StrEnum):
    """How an event arrived. A listed one may have happened long ago, and may have arrived before."""

    LISTED = "listed"
    ADDED = "added"
    MODIFIED = "modified"


@dataclass(frozen=True, slots=True)
class EventSeen:
    """An event that a kubelet has sent about a pod.

    `name` and `uid` are the event's own; it is in the namespace of its pod. `user` has no name where the event names no
    container, as for image volumes, and is None for any other field path. `first_at` and `last_at` are on the node's
    clock in whole seconds, `created_at` on the API server's (Unix time). `count` is at least 1 and grows when the event
    repeats.
    """

    namespace: str
    name: str
    uid: str
    pod: str
    pod_uid: str
    user: ImageUser | None
    node: str
    reason: str
    message: ImageMessage
    count: int
    created_at: ServerTime | None
    first_at: NodeTime | None
    last_at: NodeTime | None
    change: Change


@dataclass(frozen=True, slots=True)
class EventGone:
    """The API server has dropped an event: by default an hour after its last change (`--event-ttl`)."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """A node as Kubernetes knows it. `runtime` is `containerd`, `docker`, `cri-o` or another; texts may be empty.

    `virtual` means that there is no machine that could run a DaemonSet.
    """

    name: str
    operating_system: str
    runtime: str
    virtual: bool

    @property
    def can_have_exporter(self) -> bool:
        """Whether an exporter could run there: nothing says otherwise."""
        return not self.virtual and self.operating_system in ("", "linux") and self.runtime in ("", "containerd")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One exporter: its node, and the address and port of its metrics. `address` may be an IPv6 address or a name."""

    node: str
    address: str
    port: int
    ready: bool


@dataclass(frozen=True, slots=True)
class SliceSeen:
    """An EndpointSlice as it is now, with every endpoint that has a node and an address, ready or not."""

    namespace: str
    name: str
    uid: str
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class SliceGone:
    """An EndpointSlice is deleted."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A list is complete: all objects of the selection have come since its last such mark.

    Pods and slices that are missing from it were reported gone before this mark; events were not. `namespace` is
    empty for all namespaces, `detail` the reason for events.
    """

    resource: str
    namespace: str
    detail: str


Seen: TypeAlias = PodSeen | EventSeen | SliceSeen
Gone: TypeAlias = PodGone | EventGone | SliceGone
Observed: TypeAlias = Seen | Gone | Listed


T = TypeVar("T", contravariant=True)


class Receiver(Protocol[T]):
    """Takes what an adapter observes. The adapter's threads call it and wait, so it returns at once."""

    def receive(self, observed: T, /) -> None:
        """Take one observation; those of one selection or node come in order."""
