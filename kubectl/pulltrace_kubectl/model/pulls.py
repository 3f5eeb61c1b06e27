"""What `/v1/pulls` of an aggregator or an exporter answers. A field that is None is unknown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

PULLED: Final = "pulled"
_NAMES: Final = {"soci": "SOCI"}
PROGRESSING: Final = "progressing"


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a pull; sizes are compressed bytes."""

    index: int
    media_type: str
    state: str
    size: int | None = None
    downloaded: int | None = None
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Pull:
    """One image being pulled to a node. Sizes are in bytes, `rate` is bytes per second, times are seconds.

    `remote` is the size of the layers that a remote snapshotter fetches, whose bytes nobody sees; `remote_pending` the
    part of it that it has not finished. `raw` is the document it was read from.
    """

    registry: str
    repository: str
    digest: str
    phase: str
    raw: Mapping[str, Any]
    node: str = ""
    references: tuple[str, ...] = ()
    size: int | None = None
    cached: int | None = None
    downloaded: int | None = None
    unpacked: int | None = None
    rate: float | None = None
    eta: float | None = None
    age: float | None = None
    ended_age: float | None = None
    idle: float | None = None
    stale: str = ""
    snapshotter: str = ""
    remote: int = 0
    remote_pending: int = 0
    layers: tuple[Layer, ...] = ()

    @property
    def wanted(self) -> int | None:
        """Bytes that have to be fetched and can be seen: what was on the node before is not one of them."""
        return None if self.size is None else max(0, self.size - (self.cached or 0) - self.remote)

    @property
    def unseen(self) -> bool:
        """Whether a remote snapshotter fetches it now, so that nobody knows how far it is."""
        return self.phase == "downloading" and self.remote_pending > 0

    @property
    def fetcher(self) -> str:
        """The remote snapshotter that fetches it, under the name that people use."""
        return _NAMES.get(self.snapshotter, self.snapshotter) or "a remote snapshotter"

    @property
    def ratio(self) -> float | None:
        """How much is done of what goes on now, fetching or unpacking, from 0 to 1; None when unknown."""
        if self.unseen:
            return None
        if self.phase == "unpacking":
            return _share(self.unpacked, self.size)
        return _share(self.downloaded, self.wanted)

    @property
    def name(self) -> str:
        """The image with its tag where that is known."""
        tagged = [each for each in self.references if "@" not in each]
        return tagged[0] if tagged else f"{self.registry}/{self.repository}"


@dataclass(frozen=True, slots=True)
class Wait:
    """One image that a container, image volume or sandbox of a pod waits for, or waited for a short while ago."""

    namespace: str
    pod: str
    container: str
    image: str
    phase: str
    raw: Mapping[str, Any]
    uid: str = ""
    container_type: str = ""
    node: str = ""
    waiting: float | None = None
    cause: str = ""
    reason: str = ""
    behind: str = ""
    pull: Pull | None = None

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """By which waits are told apart: namespace, pod, uid, and the container with its type."""
        return (self.namespace, self.pod, self.uid, self.container_type, self.container)

    @property
    def over(self) -> bool:
        """Whether the image has come."""
        return self.phase == PULLED

    @property
    def ratio(self) -> float | None:
        """How far the pull is, None where this image is not being pulled."""
        if self.over:
            return 1.0
        return self.pull.ratio if self.pull is not None and self.phase in ("downloading", "unpacking") else None


@dataclass(frozen=True, slots=True)
class Answer:
    """What one aggregator, or all shards of one together, answered. `nodes` are the names of those that are known."""

    waits: tuple[Wait, ...] = ()
    pulls: tuple[Pull, ...] = ()
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What one node's exporter answered.

    `resolving` are the ages in seconds of the pulls whose registry has not answered, `queued` are references with the
    seconds that they have been in the kubelet's queue.
    """

    node: str
    raw: Mapping[str, Any]
    up: bool = True
    runtime_version: str = ""
    resolving: tuple[float, ...] = ()
    queued: tuple[tuple[str, float | None], ...] = ()
    pulls: tuple[Pull, ...] = ()


def _share(part: int | None, whole: int | None) -> float | None:
    if part is None or whole is None:
        return None
    return min(1.0, part / whole) if whole > 0 else 1.0
