"""How much of each blob is on the node, and how much of that came over the network while we watched."""

from collections import OrderedDict
from dataclasses import dataclass

from pulltrace.clock import Instant
from pulltrace_exporter.model.observation import BlobInfo, Ingest
from pulltrace_exporter.tracking.rate import Rate

REMEMBERED_INGESTS = 4096
CLOCK_DRIFT_SECONDS = 0.1


class Blob:
    """One blob, shared by all pulls that name it: a node fetches a blob once, whoever asked for it.

    `have` is the highest number of bytes seen on the node, `completed` the monotonic time at which all were seen.
    """

    __slots__ = ("begun", "complete", "completed", "digest", "have", "media_type", "moved", "rate", "registry", "size")

    def __init__(self, digest: str, size: int, media_type: str, registry: str) -> None:
        self.digest = digest
        self.size = size
        self.media_type = media_type
        self.registry = registry
        self.have = 0
        self.complete = False
        self.completed = 0.0
        self.rate: Rate | None = None
        self.begun: Instant | None = None
        self.moved: float = 0.0
        """`updated_at` of its ingest: it can move although the offset stands still."""

    def watch(self, since: float, have: int) -> None:
        """Begin to measure its rate: at the monotonic time `since` it had `have` bytes."""
        if self.rate is None:
            self.rate = Rate(since, have)

    def reach(self, have: int, at: float) -> int:
        """Take note of `have` bytes at the monotonic time `at`; returns by how much that is more than before."""
        have = min(have, self.size)
        if have <= self.have:
            return 0
        grown = have - self.have
        self.have = have
        if self.rate is not None:
            self.rate.advance(at, have)
        return grown

    def complete_at(self, at: float) -> int:
        """Take note that all of it is there, since the monotonic time `at`; returns how much that is more."""
        grown = self.reach(self.size, at)
        self.complete, self.completed = True, at
        return grown

    def is_older_than(self, content: BlobInfo, now: Instant) -> bool:
        """Whether all of it was there before `content` came: it was deleted since, and fetched again."""
        age = now.wall - content.created_at
        return self.complete and 0.0 <= age < now.monotonic - self.completed - CLOCK_DRIFT_SECONDS

    def bytes_per_second(self, at: float) -> float | None:
        """The present rate; None once the blob is complete and while it is unknown."""
        if self.complete or self.rate is None:
            return None
        return self.rate.per_second(at)


@dataclass(frozen=True, slots=True)
class _Left:
    started_at: float
    have: int


class LeftIngests:
    """How far ingests were when the pull that fed them ended, so that a resumption counts only what is new.

    Bounded: of the oldest beyond the bound, resumed bytes that came while nobody looked go uncounted.
    """

    def __init__(self) -> None:
        self._left: OrderedDict[str, _Left] = OrderedDict()

    def leave(self, ingest: Ingest, have: int) -> None:
        """Remember an unfinished ingest of which `have` bytes are accounted for."""
        self._left[ingest.digest] = _Left(ingest.started_at, have)
        self._left.move_to_end(ingest.digest)
        if len(self._left) > REMEMBERED_INGESTS:
            self._left.popitem(last=False)

    def resume(self, ingest: Ingest) -> int | None:
        """How much of this very ingest is accounted for; None for one never seen before."""
        left = self._left.get(ingest.digest)
        if left is None or left.started_at != ingest.started_at:
            return None
        return left.have

    def accounted(self, digest: str) -> int:
        """How much of a blob is accounted for that was completed while nobody looked."""
        left = self._left.get(digest)
        return left.have if left else 0

    def forget(self, digest: str) -> None:
        """The blob is complete."""
        self._left.pop(digest, None)
