"""How much of each blob is on the node, how fast it comes, and how much of an unfinished one is counted already."""

from collections import OrderedDict, deque

from pulltrace.clock import Instant, Monotonic, NodeTime
from pulltrace_exporter.model.observation import BlobInfo, Ingest
from pulltrace_exporter.tracking.poll import Since

REMEMBERED_INGESTS = 1024
CLOCK_DRIFT_SECONDS = 0.1

WINDOW_SECONDS = 10.0
LIMIT_SECONDS = 60.0
MIN_SPAN_SECONDS = 0.2
"""Over a shorter span the times of the polls distort the rate too much."""


class Rate:
    """Bytes per second over the last 10 s or the last two advances, whichever is longer, 60 s at most.

    Only advances are kept, and each is dropped once, so that neither adding nor asking walks the history.
    Slow downloads need the two advances: containerd's offset moves in steps of 1 MiB, so at 50 kB/s most windows
    of 10 s have no advance.
    """

    __slots__ = ("_samples", "_value")

    def __init__(self, at: Monotonic, value: int) -> None:
        self._samples: deque[tuple[float, int]] = deque([(at, value)])
        self._value = value

    def advance(self, at: Monotonic, value: int) -> None:
        """Record that `value` was reached; one that is not larger than the last is ignored."""
        if value > self._value:
            self._value = value
            self._samples.append((at, value))

    def per_second(self, at: Monotonic) -> float | None:
        """The rate at `at`; None while less than `MIN_SPAN_SECONDS` was observed."""
        samples = self._samples
        earliest = at - LIMIT_SECONDS
        start = at - WINDOW_SECONDS
        if len(samples) > 1:
            start = max(min(start, samples[-2][0]), earliest)
        while len(samples) > 1 and samples[1][0] <= start:
            samples.popleft()
        base_at, base = samples[0]
        base_at = max(base_at, start)  # nothing advanced between the base and the start of the span
        if at - base_at < MIN_SPAN_SECONDS:
            return None
        return (self._value - base) / (at - base_at)


class Blob:
    """One blob, shared by all pulls that name it: a node fetches a blob once for all of them.

    `downloaded` is the highest number of bytes seen on the node, `completed_at` when all of them were seen, `started`
    when its download was first seen. `absent_at` is when a manifest named the blob and it was not known to be on the
    node. `ingest_updated_at` changes even while the offset of the ingest does not.
    """

    __slots__ = (
        "absent_at",
        "complete",
        "completed_at",
        "digest",
        "downloaded",
        "ingest_updated_at",
        "media_type",
        "rate",
        "registry",
        "size",
        "started",
    )

    def __init__(self, digest: str, size: int, media_type: str, registry: str) -> None:
        self.digest = digest
        self.size = size
        self.media_type = media_type
        self.registry = registry
        self.downloaded = 0
        self.complete = False
        self.completed_at = Monotonic(0.0)
        self.absent_at = Monotonic(0.0)
        self.rate: Rate | None = None
        self.started: Instant | None = None
        self.ingest_updated_at = NodeTime(0.0)

    def measure(self, since: Monotonic) -> None:
        """Begin to measure the rate: at `since` the bytes that are there now were there already."""
        if self.rate is None:
            self.rate = Rate(since, self.downloaded)

    def advance(self, at: Monotonic, downloaded: int) -> int:
        """Record how many bytes are there; returns how many of them are new."""
        downloaded = min(downloaded, self.size)
        if downloaded <= self.downloaded:
            return 0
        new = downloaded - self.downloaded
        self.downloaded = downloaded
        if self.rate is not None:
            self.rate.advance(at, downloaded)
        return new

    def finish(self, at: Monotonic) -> int:
        """Record that all of it is there; returns how many bytes are new."""
        new = self.advance(at, self.size)
        self.complete, self.completed_at = True, at
        return new

    def is_older_than(self, info: BlobInfo, now: Instant) -> bool:
        """Whether it was complete before `info` was created: then it was deleted since, and fetched again."""
        age = now.wall - info.created_at
        return self.complete and 0.0 <= age < now.monotonic - self.completed_at - CLOCK_DRIFT_SECONDS

    def bytes_per_second(self, at: Monotonic) -> float | None:
        """The present rate; None once the blob is complete and while it is unknown."""
        return None if self.complete or self.rate is None else self.rate.per_second(at)


class UnfinishedIngests:
    """How many bytes ingests had when their pull ended, so that a pull that resumes one counts only new bytes.

    The last `REMEMBERED_INGESTS` are kept. When an older one is resumed, the bytes that come before the first poll
    that sees it are not counted.
    """

    def __init__(self) -> None:
        self._ingests: OrderedDict[str, tuple[NodeTime, int]] = OrderedDict()

    def remember(self, ingest: Ingest, downloaded: int) -> None:
        """Remember an unfinished ingest of which `downloaded` bytes are counted."""
        self._ingests[ingest.digest] = ingest.started_at, downloaded
        self._ingests.move_to_end(ingest.digest)
        if len(self._ingests) > REMEMBERED_INGESTS:
            self._ingests.popitem(last=False)

    def bytes_before(self, ingest: Ingest, since: Since, now: Instant) -> int:
        """How many bytes of an ingest are counted. If it is not remembered: all if it began before `since`, else 0."""
        started_at, downloaded = self._ingests.get(ingest.digest, (None, 0))
        if started_at == ingest.started_at:
            return downloaded
        return 0 if since.covers(ingest.started_at, now) else ingest.downloaded

    def downloaded(self, digest: str) -> int:
        """How many bytes are counted of a blob that was completed between two polls."""
        return self._ingests[digest][1] if digest in self._ingests else 0

    def forget(self, digest: str) -> None:
        """Forget a blob, because it is complete."""
        self._ingests.pop(digest, None)
