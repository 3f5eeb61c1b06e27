"""How one pull and one wait go: pure functions of time, in seconds since the hour began."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from rig.images import MIB, digest

LINGER = 120.0
POD_LINGER = 60.0
FOREVER = 1e9
HOUR_END = 3600.0


@dataclass(frozen=True, slots=True)
class Image:
    """What can be pulled; sizes of its layers in bytes."""

    registry: str
    repository: str
    tag: str
    layers: tuple[int, ...]

    @property
    def reference(self) -> str:
        return f"{self.registry}/{self.repository}:{self.tag}"

    @property
    def digest(self) -> str:
        return digest(self.reference)

    @property
    def size(self) -> int:
        return sum(self.layers)


@dataclass(frozen=True, slots=True)
class PullTimeline:
    """A pull on a node: `rate` bytes per second, nothing between `stall` and its end, and an end.

    With a remote `snapshotter` no byte of it is seen: a layer is `remote` until it is committed.
    """

    node: str
    image: Image
    start: float
    rate: float = 40 * MIB
    resolve: float = 0.8
    cached: int = 0
    stall: tuple[float, float] = (FOREVER, FOREVER)
    unpack_rate: float = 120 * MIB
    result: str = "succeeded"
    ends: float = FOREVER
    requests: int = 1
    snapshotter: str = ""

    @property
    def named(self) -> float:
        """When the registry has answered."""
        return self.start + self.resolve

    @property
    def wanted(self) -> int:
        return self.image.size - self.cached

    @property
    def fetched_at(self) -> float:
        """When all bytes are there."""
        plain = self.named + self.wanted / self.rate
        return plain if plain <= self.stall[0] else plain + self.stall[1] - self.stall[0]

    @property
    def end(self) -> float:
        return min(self.fetched_at + self.image.size / self.unpack_rate, self.ends)

    def moving(self, t: float) -> float:
        """Seconds until `t` in which bytes came."""
        until = min(t, self.fetched_at, self.end)
        stalled = max(min(until, self.stall[1]) - max(self.stall[0], self.named), 0.0)
        return max(until - self.named - stalled, 0.0)

    def downloaded(self, t: float) -> float:
        return 0 if self.snapshotter else min(self.moving(t) * self.rate, self.wanted)

    def unpacked(self, t: float) -> float:
        if self.snapshotter:
            return sum(size for size, _, state in self.layers(t) if state == "unpacked")
        return min(max(min(t, self.end) - self.fetched_at, 0.0) * self.unpack_rate, self.image.size)

    def phase(self, t: float) -> str:
        """Empty while there is nothing to see."""
        if t < self.start or t > self.end + LINGER:
            return ""
        if t >= self.end:
            return self.result
        if t < self.named:
            return "resolving"
        return "downloading" if t < self.fetched_at else "unpacking"

    def speed(self, t: float) -> float | None:
        """None once there is nothing to fetch."""
        if self.phase(t) != "downloading" or self.snapshotter:
            return None
        return 0.0 if self.stall[0] <= t < self.stall[1] else self.rate

    def layers(self, t: float) -> Iterator[tuple[int, float, str]]:
        """Size, downloaded bytes and state of each layer; three come in at a time."""
        if self.snapshotter:
            yield from self._remote_layers(t)
            return
        cached, here = float(self.cached), self.cached + self.downloaded(t)
        unpacked = self.unpacked(t)
        front = 0
        for size in self.image.layers:
            before, there = (min(max(some, 0.0), size) for some in (cached, here))
            cached, here, state = cached - size, here - size, "downloaded"
            if before == size:
                state = "cached"
            elif there < size:
                front += 1
                state = "downloading" if front <= 3 else "waiting"
            elif unpacked >= size:
                state = "unpacked"
            elif unpacked > 0:
                state = "unpacking"
            unpacked -= size
            yield size, there - before, state

    def _remote_layers(self, t: float) -> Iterator[tuple[int, float, str]]:
        fetched = self.moving(t) * self.rate
        for size in self.image.layers:
            fetched -= size
            yield size, 0, "unpacked" if fetched >= 0 else "remote"


@dataclass(frozen=True, slots=True)
class WaitTimeline:
    """A container that waits since `asked` for an image: for its pull, or in vain with failures at some times."""

    namespace: str
    pod: str
    image: Image
    node: str
    asked: float
    pull: PullTimeline | None = None
    cause: str = "progressing"
    since: float = 0.0
    failures: tuple[float, ...] = ()
    reason: str = ""
    container: str = "app"
    container_type: str = "container"

    @property
    def labels(self) -> dict[str, str]:
        """The labels that every series of the wait has."""
        return {
            "namespace": self.namespace,
            "pod": self.pod,
            "container": self.container,
            "container_type": self.container_type,
            "node": self.node,
            "image": self.image.reference,
        }

    @property
    def came(self) -> float:
        return self.pull.end if self.pull and self.pull.result == "succeeded" else FOREVER

    def phase(self, t: float) -> str:
        """Empty while there is nothing to see."""
        if t < self.asked or t > self.came + POD_LINGER:
            return ""
        if t >= self.came:
            return "pulled"
        if self.failures and t >= self.failures[0]:
            return "resolving" if any(0 <= t - at < 20 for at in self.failures) else "backoff"
        if self.pull is None or t < self.pull.start:
            return "queued" if self.cause == "queue" or self.pull else "resolving"
        phase = self.pull.phase(t)
        return phase if phase in ("resolving", "downloading", "unpacking") else "unknown"

    def cause_at(self, t: float, began: float = 0.0) -> str:
        """What an aggregator says that was started at `began`: it has to look for a while."""
        if self.phase(t) == "queued":
            return "queue"
        return self.cause if t >= max(self.asked, began) + self.since else "progressing"

    @property
    def stages(self) -> dict[str, float]:
        """Seconds of each stage, once the image has come."""
        assert self.pull
        pull = self.pull
        return {
            "queue": pull.start - self.asked,
            "resolve": pull.resolve,
            "download": pull.fetched_at - pull.named,
            "unpack": pull.end - pull.fetched_at,
            "backoff": 0.0,
        }


@dataclass(frozen=True)
class Scenario:
    """What happens in the hour.

    Nodes in `silent` have no exporter that answers from that time on, those in `down` a containerd that hangs for some
    time, and the exporter of the `faulty` one has a fault of its own.
    """

    nodes: Sequence[str]
    pulls: Sequence[PullTimeline]
    waits: Sequence[WaitTimeline]
    stale: Sequence[tuple[PullTimeline, str, float]] = ()
    silent: tuple[tuple[str, float], ...] = ()
    down: tuple[tuple[str, float, float], ...] = ()
    faulty: tuple[str, float] = ("", FOREVER)

    @cached_property
    def _pulls(self) -> dict[str, list[PullTimeline]]:
        return {node: [pull for pull in self.pulls if pull.node == node] for node in self.nodes}

    @cached_property
    def _waits(self) -> dict[str, list[WaitTimeline]]:
        return {node: [wait for wait in self.waits if wait.node == node] for node in self.nodes}

    def of_node(self, node: str) -> list[PullTimeline]:
        return self._pulls[node]

    def waits_on(self, node: str) -> list[WaitTimeline]:
        return self._waits[node]

    def answers(self, node: str, t: float) -> bool:
        """Whether the node has an exporter."""
        return all(node != name or t < since for name, since in self.silent)

    def reads(self, node: str, t: float) -> bool:
        """Whether that exporter can read containerd."""
        return all(node != name or not since <= t < until for name, since, until in self.down)

    def last_reading(self, node: str, t: float) -> float:
        """When containerd was asked last."""
        return next((since for name, since, until in self.down if name == node and since <= t < until), t - 0.3)

    def line(self, node: str, t: float) -> Sequence[tuple[Image, float]]:
        """The images that stand in the kubelet's line, each since when."""
        waits = [wait for wait in self.waits_on(node) if wait.phase(t) == "queued"]
        return list({wait.image: wait.asked for wait in waits}.items())
