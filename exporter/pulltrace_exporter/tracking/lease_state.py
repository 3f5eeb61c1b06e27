"""One request for an image: a lease, followed from the observation that first shows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple, Self

from pulltrace.clock import Instant, Monotonic
from pulltrace_exporter.model.observation import Ingest, Lease, Snapshots
from pulltrace_exporter.tracking.naming import Source
from pulltrace_exporter.tracking.pull_state import Attempt
from pulltrace_exporter.tracking.stamps import Since


class Signature(NamedTuple):
    """Everything of a lease that moves while somebody is pulling; `moving` holds (digest, offset, updated_at)."""

    contents: frozenset[str]
    snapshots: tuple[tuple[str, Snapshots], ...]
    moving: frozenset[tuple[str, int, float]]


@dataclass(slots=True, eq=False)
class Request:
    """What is known of one lease.

    `started` is the lease's creation, `changed` when anything of it last moved. `inherited` says that it was
    under way when the exporter started: what is there already was not fetched before our eyes, which were opened
    at `watched`. `since` is the lease's creation for comparison with other stamps of containerd.
    """

    id: str
    started: Instant
    since: Since
    watched: Instant
    changed: Instant
    inherited: bool
    signature: Signature
    attempt: Attempt | None = None
    root: str | None = None
    root_seen: Instant | None = None
    before: frozenset[Source] = frozenset()
    nameless: bool = True

    @classmethod
    def begin(cls, lease: Lease, now: Instant, signature: Signature, *, inherited: bool) -> Self:
        """A lease seen for the first time."""
        age = max(now.wall - lease.created_at, 0.0)
        # A creation in the future is one before the clock was stepped back.
        started = Instant(min(lease.created_at, now.wall), Monotonic(now.monotonic - age))
        since = Since(lease.created_at, started.wall)
        return cls(lease.id, started, since, now if inherited else started, now, inherited, signature)

    def note(self, signature: Signature, now: Instant) -> None:
        """Take note of what the lease holds now."""
        if signature != self.signature:
            self.signature = signature
            self.changed = now

    def age(self, now: Instant) -> float:
        """Seconds since the lease was created."""
        return max(now.monotonic - self.started.monotonic, 0.0)

    def shift(self, seconds: float) -> None:
        """Move all wall-clock times, because the wall clock was stepped."""
        self.started = Instant(self.started.wall + seconds, self.started.monotonic)
        self.watched = Instant(self.watched.wall + seconds, self.watched.monotonic)
        self.changed = Instant(self.changed.wall + seconds, self.changed.monotonic)
        self.since = self.since.shifted(seconds)


def signature_of(lease: Lease, ingests: Mapping[str, Ingest], claimed: frozenset[str] = frozenset()) -> Signature:
    """The present signature of a lease.

    `claimed` are digests that other leases download: the retry after a crash takes the ghost's ingests over, so
    that their advance says nothing of the ghost.
    """
    ours = [ingests[digest] for digest in lease.ingests - claimed if digest in ingests]
    return Signature(
        frozenset(lease.contents),
        tuple(sorted(lease.snapshots.items(), key=itemgetter(0))),
        frozenset((ingest.digest, ingest.offset, ingest.updated_at) for ingest in ours),
    )
