"""How much of each blob is on the node, how fast it comes, and how much of it came while the exporter watched."""

from collections import OrderedDict, deque

from pulltrace.clock import Instant, Monotonic, NodeTime
from pulltrace_exporter.model.observation import BlobInfo, Ingest

REMEMBERED_INGESTS = 1024
CLOCK_DRIFT_SECONDS = 0.1

WINDOW_SECONDS = 10.0
LIMIT_SECONDS = 60.0
MIN_SPAN_SECONDS = 0.2
"""Over less, two polls say more of when they happened than of the rate."""


class Rate:
    """Bytes per second over the last 10 s or the last two advances, whichever is longer, 60 s at most.

    Only advances are kept, and each is dropped once, so that neither adding nor asking walks the history.
    Two advances are needed for slow downloads: containerd's offset moves in steps of 1 MiB, and at 50 kB/s a
    fixed window of 10 s would see nothing most of the time.
    """

    __slots__ = ("_samples", "_value")

    def __init__(self, at: Monotonic, value: int) -> None:
        self._samples: deque[tuple[float, int]] = deque([(at, value)])
        self._value = value

    def advance(self, at: Monotonic, value: int) -> None:
        """Record that `value` was reached; anything not larger is no advance."""
        if value > self._value:
            self._value = value
            self._samples.append((at, value))

    def per_second(self, at: Monotonic) -> float | None:
        """The rate now; None while too little time was seen."""
        samples = self._samples
        earliest = at - LIMIT_SECONDS
        start = at - WINDOW_SECONDS
        if len(samples) > 1:
            start = max(min(start, samples[-2][0]), earliest)
        while len(samples) > 1 and samples[1][0] <= start:
            samples.popleft()
        base_at, base = samples[0]
        base_at = max(base_at, start)  # since the base nothing advanced until the span began
        if at - base_at < MIN_SPAN_SECONDS:
            return None
        return (self._value - base) / (at - base_at)


class Blob:
    """One blob, shared by all pulls that name it: a node fetches a blob once, whoever asked for it.

    `downloaded` is the highest number of bytes seen on the node, `completed_at` when all of them were seen, `absent_at`
    when it was found to be gone before that, `started` when its download was first seen. `ingest_updated_at` moves even
    while the offset of the ingest stands still.
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
        """Begin to measure its rate: since then it has had what is downloaded now."""
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
        """Whether all of it was there before `info` was created: it was deleted since, and fetched again."""
        age = now.wall - info.created_at
        return self.complete and 0.0 <= age < now.monotonic - self.completed_at - CLOCK_DRIFT_SECONDS

    def bytes_per_second(self, at: Monotonic) -> float | None:
        """The present rate; None once the blob is complete and while it is unknown."""
        return None if self.complete or self.rate is None else self.rate.per_second(at)


class UnfinishedIngests:
    """How far ingests were when the pull that fed them ended, so that a resumption counts only what is new.

    Bounded to `REMEMBERED_INGESTS`. For older ones, resumed bytes that came between two polls go uncounted.
    """

    def __init__(self) -> None:
        self._ingests: OrderedDict[str, tuple[NodeTime, int]] = OrderedDict()

    def remember(self, ingest: Ingest, downloaded: int) -> None:
        """Keep an unfinished ingest of which so many bytes are accounted for."""
        self._ingests[ingest.digest] = ingest.started_at, downloaded
        self._ingests.move_to_end(ingest.digest)
        if len(self._ingests) > REMEMBERED_INGESTS:
            self._ingests.popitem(last=False)

    def resumed(self, ingest: Ingest) -> int | None:
        """How many bytes of this very ingest are accounted for; None for one never seen before."""
        started_at, downloaded = self._ingests.get(ingest.digest, (None, 0))
        return downloaded if started_at == ingest.started_at else None

    def downloaded(self, digest: str) -> int:
        """How many bytes of a blob are accounted for that was completed between two polls."""
        return self._ingests[digest][1] if digest in self._ingests else 0

    def forget(self, digest: str) -> None:
        """The blob is complete."""
        self._ingests.pop(digest, None)
