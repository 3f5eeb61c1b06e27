"""Pulls and layers as both programs speak of them. Values only: nothing here does I/O or reads a clock."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from math import isfinite
from typing import NamedTuple

from pulltrace.clock import NodeTime


class Phase(StrEnum):
    """The present step of a pull. The last three are ends."""

    DOWNLOADING = "downloading"
    UNPACKING = "unpacking"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ORPHANED = "orphaned"

    @property
    def ended(self) -> bool:
        """Whether a pull in this phase is over."""
        return self in ENDS


ENDS = (Phase.SUCCEEDED, Phase.FAILED, Phase.ORPHANED)


class LayerState(StrEnum):
    """The present step of one layer. A remote snapshotter fetches a `remote` one unseen, or has left it unfetched."""

    WAITING = "waiting"
    DOWNLOADING = "downloading"
    DOWNLOADED = "downloaded"
    UNPACKING = "unpacking"
    UNPACKED = "unpacked"
    CACHED = "cached"
    REMOTE = "remote"


class ImageKey(NamedTuple):
    """The identity of a pull on its node: what is pulled, not who asked or when.

    `registry` is the host without its port, as containerd labels content; `digest` is the root's, that of the
    index or of the manifest where there is no index.
    """

    registry: str
    repository: str
    digest: str


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a pull: `index` is its position in the manifest from 0, sizes are compressed bytes.

    `downloaded` is what is on the node and was not there before the pull: 0 for a cached layer, None for one that a
    remote snapshotter brought or left unfetched.
    `bytes_per_second` is None once the layer is complete and while it is not known.
    """

    index: int
    digest: str
    media_type: str
    size: int
    downloaded: int | None
    bytes_per_second: float | None
    state: LayerState


@dataclass(frozen=True)
class Pull:
    """One image being pulled, or pulled a short while ago.

    Sizes are in bytes and None while the manifest has not been read. `remote` is the compressed size of the layers that
    a remote snapshotter fetches, brought or left unfetched, whose bytes nobody sees; `remote_pending` is the part of it
    whose snapshots are not committed yet. Both are 0 without such layers. `*_at` are Unix times on the node's clock:
    compare them with each other and with the node's report, never with another machine's clock. `requests`,
    `started_at` and `last_progress_at` are None where a report that was read lacks them.
    """

    key: ImageKey
    repositories: tuple[str, ...]
    references: tuple[str, ...]
    media_type: str
    snapshotter: str
    phase: Phase
    requests: int | None
    size: int | None
    cached: int | None
    downloaded: int | None
    unpacked: int | None
    bytes_per_second: float | None
    started_at: NodeTime | None
    ended_at: NodeTime | None
    last_progress_at: NodeTime | None
    layers: tuple[Layer, ...] = ()
    remote: int = 0
    remote_pending: int = 0

    @property
    def wanted(self) -> int | None:
        """Bytes that have to be fetched and can be seen; None while unknown or while a remote snapshotter fetches."""
        if self.size is None or self.cached is None or self.remote_pending:
            return None
        return max(self.size - self.cached - self.remote, 0)

    @property
    def remaining(self) -> int | None:
        """Bytes still to be fetched; None when unknown."""
        return None if self.wanted is None or self.downloaded is None else self.wanted - self.downloaded

    @property
    def progress_ratio(self) -> float | None:
        """Fetched part of what has to be fetched, 0 to 1; 1 when that is nothing, None when it is unknown."""
        if self.wanted is None or self.downloaded is None:
            return None
        return self.downloaded / self.wanted if self.wanted else 1.0

    @property
    def eta_seconds(self) -> float | None:
        """Seconds until all bytes are there at the present rate; None when unknown."""
        if not self.remaining or not self.bytes_per_second:
            return None
        seconds = self.remaining / self.bytes_per_second
        return seconds if isfinite(seconds) else None

    @cached_property
    def layer_counts(self) -> Mapping[LayerState, int]:
        """Number of layers in each state, zeros included."""
        found = Counter(layer.state for layer in self.layers)
        return {state: found[state] for state in LayerState}


@dataclass(frozen=True, slots=True)
class QueuedImage:
    """An image in the kubelet's queue, asked for but not yet begun; `since` is Unix time on the node's clock."""

    registry: str
    repository: str
    reference: str
    since: NodeTime


@dataclass(frozen=True, slots=True)
class Daemon:
    """The container runtime as last seen; `version` is empty and `started_at` None while unknown."""

    up: bool = False
    version: str = ""
    started_at: NodeTime | None = None


@dataclass(frozen=True, slots=True)
class NodeReport:
    """All that one node says of its pulls: the content of the exporter's `/v1/pulls`.

    `now` is the node's clock when the report was made. `timed` is False for a report without the node's time: then
    `now` is the reader's clock, and only ages follow from instants. `resolving` holds the start of each pull whose
    registry has not answered yet. `unidentified` is the number of pulls that download for an image that is not known
    yet.
    """

    node: str
    version: str
    now: NodeTime
    daemon: Daemon
    resolving: tuple[NodeTime, ...] = ()
    queued: tuple[QueuedImage, ...] = ()
    pulls: tuple[Pull, ...] = ()
    timed: bool = True
    unidentified: int = 0

    @property
    def active(self) -> bool:
        """Whether a pull runs, waits for its registry, or is queued."""
        return bool(self.resolving or self.unidentified or self.queued) or any(
            not pull.phase.ended for pull in self.pulls
        )
