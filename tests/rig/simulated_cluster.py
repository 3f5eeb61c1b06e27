"""A cluster simulated in values: nodes that pull, pods that wait, and the aggregator's core that hears of both.

Its clocks differ as much as a test likes: that of each node, that of the API server, and ours.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from pulltrace.clock import Instant, Monotonic, NodeTime, ServerTime
from pulltrace.model.pull import Daemon, ImageKey, Layer, LayerState, NodeReport, Phase, Pull, QueuedImage
from pulltrace.model.reference import Reference
from pulltrace_aggregator.controller.reconciler import Limits, Reconciler, TickResult
from pulltrace_aggregator.kubelet.messages import parse_event
from pulltrace_aggregator.model.cluster import (
    SANDBOX,
    Change,
    EventSeen,
    ImageUse,
    ImageUser,
    Listed,
    Observed,
    PodGone,
    PodSeen,
    RunState,
)
from pulltrace_aggregator.model.node import NodePull, NodeReading, NodeState, NodeStatus
from pulltrace_aggregator.model.states import ContainerType
from pulltrace_aggregator.model.view import PodPull, View
from rig.images import digest
from rig.sample_views import a_pull, a_report

START = Instant(1_700_000_000.0, Monotonic(5000.0))
IMAGE = "registry.example/team/app:1"
MIB = 2**20


class PullingNode:
    """What a node pulls and its exporter knows. Change its parts at will."""

    SIZE = 100 * MIB
    """The size of an image, in bytes."""

    def __init__(self, name: str, ahead: float = 0.0) -> None:
        self.name = name
        self.ahead = ahead
        self.containerd_up = True
        self.pulls: dict[str, Pull] = {}
        self.resolving: list[NodeTime] = []
        self.unidentified = 0
        self.queued: list[QueuedImage] = []

    @property
    def now(self) -> NodeTime:
        """The node's own clock."""
        raise NotImplementedError

    def pull(self, image: str = IMAGE, *, known: bool = False, content: str = "", **changes: Any) -> Pull:
        """Begin a pull; `known` tells whether the exporter knows the reference already."""
        reference = Reference.parse(image)
        root = reference.digest or digest(content or image)
        key = ImageKey(reference.host, reference.repository, root)
        begun: dict[str, Any] = {
            "key": key,
            "references": (image,) if known else (),
            "media_type": "",
            "size": self.SIZE,
            "cached": 0,
            "downloaded": 0,
            "bytes_per_second": None,
            "started_at": self.now,
            "last_progress_at": self.now,
            "layers": (),
        }
        self.pulls[image] = a_pull(reference.repository, **{**begun, **changes})
        return self.pulls[image]

    def change(self, image: str = IMAGE, **changes: Any) -> None:
        """Something of a pull is different; nothing has moved for that."""
        self.pulls[image] = replace(self.pulls[image], **changes)

    def advance(self, image: str = IMAGE, *, ratio: float, rate: float | None = 1.0 * MIB, **changes: Any) -> None:
        """Let this part of an image be there."""
        size = self.pulls[image].size or 0
        self.change(image, downloaded=int(size * ratio), bytes_per_second=rate, last_progress_at=self.now, **changes)

    def end(self, image: str = IMAGE, phase: Phase = Phase.SUCCEEDED) -> None:
        """The pull ends; a success has written the reference's name."""
        well = phase is Phase.SUCCEEDED
        done: dict[str, Any] = {"downloaded": self.pulls[image].size, "references": (image,)} if well else {}
        self.change(image, phase=phase, ended_at=self.now, requests=0, bytes_per_second=None, **done)

    def forget(self, image: str = IMAGE) -> None:
        """The exporter's linger is over."""
        del self.pulls[image]

    def intent(self, image: str) -> None:
        """The kubelet has written that it wants to pull this."""
        reference = Reference.parse(image)
        self.queued.append(QueuedImage(reference.host, reference.repository, image, self.now))

    def state(self) -> NodeReport:
        """What its exporter says now."""
        return a_report(
            *self.pulls.values(),
            node=self.name,
            now=self.now,
            daemon=Daemon(up=self.containerd_up, version="2.1.9"),
            resolving=tuple(self.resolving),
            unidentified=self.unidentified,
            queued=tuple(self.queued),
        )


class SimulatedNode(PullingNode):
    """A node with its exporter; the node's clock is `ahead` of ours. Change its parts, then `cluster.tick`."""

    def __init__(self, cluster: "Cluster", name: str, ahead: float = 0.0) -> None:
        super().__init__(name, ahead)
        self.cluster = cluster
        self.answers = True
        self.last: NodeReading | None = None

    @property
    def now(self) -> NodeTime:
        return NodeTime(self.cluster.now.wall + self.ahead)

    def reading(self) -> NodeReading:
        """How the exporter is read now; an unchanged state is a 304."""
        at = self.cluster.now.monotonic
        report = replace(self.state(), node="whatever it says")
        last = self.last
        if not self.answers:
            last = (last or NodeReading(self.name, NodeState.UNKNOWN)).failed(at)
        elif last and last.report and replace(last.report, now=report.now) == report:
            last = replace(last, state=NodeState.OK, answered_at=at, failing_since=None)
        else:
            last = NodeReading(self.name, NodeState.OK, report, at, at)
        self.last = last
        return last


@dataclass(eq=False)
class SimulatedPod:
    """A pod. What happens to it is told at once, as Pending pods' changes are; events come on their own."""

    cluster: "Cluster"
    namespace: str
    name: str
    uid: str
    node: SimulatedNode
    created: ServerTime
    uses: dict[tuple[ContainerType, str], ImageUse]
    static_uid: str
    daemonset: str
    phase: str = "Pending"
    terminating: bool = False
    events: dict[tuple[str, str, str, str], EventSeen] = field(default_factory=dict)

    @property
    def seen(self) -> PodSeen:
        """As the API shows it."""
        return PodSeen(
            self.namespace,
            self.name,
            self.uid,
            self.node.name,
            self.phase,
            self.created,
            self.terminating,
            tuple(self.uses.values()),
            self.static_uid,
            self.daemonset,
        )

    def tell(self) -> None:
        """The watch shows the pod as it is."""
        self.cluster.observe(self.seen)

    def status(self, reason: str = "", message: str = "", container: str = "app", **changes: Any) -> None:
        """A container's status changes."""
        key = self._key(container)
        state = changes.pop("state", RunState.WAITING)
        self.uses[key] = replace(self.uses[key], state=state, reason=reason, message=message, **changes)
        self.tell()

    def run(self, container: str = "app") -> None:
        """A container is started; its image ID says from what."""
        self.status(container=container, state=RunState.RUNNING, image_id="x@" + digest(container))

    def complete(self, container: str) -> None:
        """An init container has done its work."""
        self.status(container=container, state=RunState.TERMINATED)

    def crash(self, container: str = "app", reason: str = "", *, age: float = 0.0) -> None:
        """A run ended `age` seconds ago; with a reason the container waits for the next one."""
        state = RunState.WAITING if reason else RunState.TERMINATED
        self.status(reason, container=container, state=state, ended_at=NodeTime(int(self.node.now - age)))

    @property
    def gone(self) -> PodGone:
        """What a watch reports once it is no longer among the pods that are watched."""
        seen = self.seen
        return PodGone(seen.namespace, seen.name, seen.uid, seen.terminating, seen.static_uid)

    def leave(self, *, phase: str = "Running") -> None:
        """The pod is no longer Pending, so that it is no longer watched."""
        self.phase = phase
        self.cluster.observe(self.gone)

    def delete(self, *, terminating: bool = True) -> None:
        """It is deleted, by force unless `terminating`."""
        self.phase = "gone"
        self.terminating = terminating
        self.cluster.observe(self.gone)

    # Events

    def pulling(self, container: str = "app", **options: Any) -> EventSeen:
        return self.event("Pulling", f'Pulling image "{self._image(container)}"', container, **options)

    def pulled(self, container: str = "app", took: str = "2s", total: str = "", **options: Any) -> EventSeen:
        waited = f" ({total} including waiting)" if total else ""
        text = f'Successfully pulled image "{self._image(container)}" in {took}{waited}'
        return self.event("Pulled", text, container, **options)

    def present(self, container: str = "app", **options: Any) -> EventSeen:
        text = f'Container image "{self._image(container)}" already present on machine'
        return self.event("Pulled", text, container, **options)

    def failed(self, error: str = "no such luck", container: str = "app", **options: Any) -> None:
        """Both events of a failed attempt."""
        self.event("Failed", f'Failed to pull image "{self._image(container)}": {error}', container, **options)
        self.event("Failed", "Error: ErrImagePull", container, **options)

    def back_off(self, container: str = "app", **options: Any) -> EventSeen:
        return self.event("BackOff", f'Back-off pulling image "{self._image(container)}"', container, **options)

    def sandbox_failed(self, image: str, error: str = "no such luck", **options: Any) -> EventSeen:
        text = f'failed to get sandbox image "{image}": failed to pull image "{image}": {error}'
        return self.event("FailedCreatePodSandBox", f"Failed to create pod sandbox: {text}", SANDBOX.name, **options)

    def event(
        self, reason: str, message: str, container: str = "app", *, change: Change | None = None, age: float = 0.0
    ) -> EventSeen:
        """The kubelet sends an event, `age` seconds ago; one that it has sent before counts."""
        user = self._user(container)
        key = (reason, message, user.type, user.name)
        before = self.events.get(key)
        cluster = self.cluster
        at = NodeTime(int(self.node.now - age))
        event = EventSeen(
            namespace=self.namespace,
            name=before.name if before else f"{self.name}.{next(cluster.numbers):x}",
            uid=before.uid if before else f"event-{next(cluster.numbers)}",
            pod=self.name,
            pod_uid=self.seen.event_uid,
            user=user,
            node=self.node.name,
            reason=reason,
            message=parse_event(reason, message),
            count=before.count + 1 if before else 1,
            created_at=before.created_at if before else ServerTime(cluster.server_now - age),
            first_at=before.first_at if before else at,
            last_at=at,
            change=change or (Change.MODIFIED if before else Change.ADDED),
        )
        self.events[key] = event
        cluster.observe(event)
        return event

    def row(self, container: str = "app") -> PodPull:
        """What the view says of one of its images."""
        (row,) = [row for row in self.rows if row.labels.container == container]
        return row

    @property
    def rows(self) -> list[PodPull]:
        return [row for row in self.cluster.view.pods if row.uid == self.uid]

    def _key(self, container: str) -> tuple[ContainerType, str]:
        return next(key for key in self.uses if key[1] == container)

    def _image(self, container: str) -> str:
        return self.uses[self._key(container)].image

    def _user(self, container: str) -> ImageUser:
        if container == SANDBOX.name:
            return SANDBOX
        kind, name = self._key(container)
        return ImageUser(kind, "" if kind is ContainerType.VOLUME else name)


class Cluster:
    """All of it. Nothing happens by itself: time passes with `sleep`, and the core looks at a `tick`."""

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        server_ahead: float = 0.0,
        node_ahead: float = 0.0,
        owns: Callable[[str], bool] = lambda _: True,
        exporter: tuple[str, str] | None = None,
    ) -> None:
        self.now = START
        self.server_ahead = server_ahead
        self.node_ahead = node_ahead
        self.limits = limits
        self.numbers = count(1)
        self.nodes: dict[str, SimulatedNode] = {}
        self.pods: list[SimulatedPod] = []
        self._owns = owns
        self._exporter = exporter
        self.core = Reconciler(START, limits, owns, exporter)
        self.turn = TickResult(View(), (), frozenset(), frozenset())

    @property
    def server_now(self) -> ServerTime:
        """The API server's clock."""
        return ServerTime(self.now.wall + self.server_ahead)

    @property
    def view(self) -> View:
        return self.turn.view

    def sleep(self, seconds: float, *, step: float = 0.0) -> None:
        """Let time pass without a look; somebody may step our wall clock."""
        self.now = Instant(self.now.wall + seconds + step, Monotonic(self.now.monotonic + seconds))

    def pass_time(self, seconds: float, each: float = 1.0) -> View:
        left = seconds
        while left > 0:
            self.sleep(min(each, left))
            left -= each
            self.tick()
        return self.view

    def node(self, name: str = "node-1") -> SimulatedNode:
        if name not in self.nodes:
            self.nodes[name] = SimulatedNode(self, name, self.node_ahead)
        return self.nodes[name]

    def pod(
        self,
        name: str = "web",
        image: str = IMAGE,
        *,
        namespace: str = "shop",
        node: str = "node-1",
        uid: str = "",
        told: bool = True,
        static_uid: str = "",
        daemonset: str = "",
        init: Mapping[str, str] | None = None,
        more: Mapping[str, str] | None = None,
        ephemeral: Mapping[str, str] | None = None,
        volumes: Mapping[str, str] | None = None,
    ) -> SimulatedPod:
        """A pod with the container `app` comes to a node; `told` unless nobody watches it."""
        users = (
            *((ContainerType.INIT, *each) for each in (init or {}).items()),
            (ContainerType.CONTAINER, "app", image),
            *((ContainerType.CONTAINER, *each) for each in (more or {}).items()),
            *((ContainerType.EPHEMERAL, *each) for each in (ephemeral or {}).items()),
            *((ContainerType.VOLUME, *each) for each in (volumes or {}).items()),
        )
        reason = "PodInitializing" if init else "ContainerCreating"
        uses = {
            (kind, user): ImageUse(
                ImageUser(kind, user),
                reference,
                state=RunState.UNKNOWN if kind is ContainerType.VOLUME else RunState.WAITING,
                reason="" if kind is ContainerType.VOLUME else reason,
            )
            for kind, user, reference in users
        }
        uid = uid or f"uid-{next(self.numbers)}"
        pod = SimulatedPod(self, namespace, name, uid, self.node(node), self.server_now, uses, static_uid, daemonset)
        self.pods.append(pod)
        if told:
            pod.tell()
        return pod

    def observe(self, seen: Observed) -> None:
        self.core.observe(seen, self.now, self.server_ahead)

    def listed(self) -> None:
        """All lists are complete."""
        for resource, detail in (("pods", ""), ("events", "Pulling"), ("events", "Pulled"), ("events", "Failed")):
            self.observe(Listed(resource, "", detail))

    def tick(self, *, read: Iterable[str] | None = None, answer: bool = True) -> View:
        """Read the nodes, all unless it is said which, and look; `answer` rechecks as the API would."""
        for name in self.nodes if read is None else read:
            self.core.read(self.nodes[name].reading())
        self.turn = self.core.tick(self.now)
        if answer and self.turn.rechecks:
            self.look()
            self.turn = replace(self.core.tick(self.now), rechecks=self.turn.rechecks)
        return self.view

    def look(self) -> None:
        """Answer the rechecks of the last tick."""
        for recheck in self.turn.rechecks:
            named = (
                pod
                for pod in reversed(self.pods)
                if (pod.namespace, pod.name) == (recheck.namespace, recheck.name) and pod.phase != "gone"
            )
            pod = next(named, None)
            self.core.rechecked(recheck, pod.seen if pod else None, self.now, self.server_ahead)

    def restart(self, *, lists: bool = True) -> None:
        """Another aggregator starts, which sees what the API and the exporters show."""
        self.core = Reconciler(self.now, self.limits, self._owns, self._exporter)
        if lists:
            self.relist()

    def relist(self) -> None:
        """All is listed anew: pods that are Pending, and the events that are an hour old at most."""
        for pod in self.pods:
            if pod.phase == "Pending":
                pod.tell()
        for pod in self.pods:
            for event in pod.events.values():
                self.observe(replace(event, change=Change.LISTED))
        self.listed()

    def pull_of(self, image: str = IMAGE) -> NodePull:
        """A pull of the first node in the view."""
        wanted = "node-1", self.node().pulls[image].key
        (entry,) = [entry for entry in self.view.pulls if (entry.node, entry.pull.key) == wanted]
        return entry

    def status_of(self) -> NodeStatus:
        (status,) = [status for status in self.view.nodes if status.node == "node-1"]
        return status


def a_layer(name: str, **changes: Any) -> Layer:
    """A layer that is on its way."""
    layer = Layer(0, digest(name), "", 1000, 10, None, LayerState.DOWNLOADING)
    return replace(layer, **changes)
