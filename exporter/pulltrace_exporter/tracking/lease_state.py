"""One request for an image: a lease, followed from the poll that first shows it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple, Self

from pulltrace.clock import Instant, Monotonic, NodeTime
from pulltrace.model.pull import ImageKey
from pulltrace_exporter.model.observation import BlobInfo, ImageRecord, Ingest, Lease, Observation, Snapshots
from pulltrace_exporter.tracking.naming import Source, choose_image
from pulltrace_exporter.tracking.poll import Poll, Since, shifted
from pulltrace_exporter.tracking.pull_state import PullState

LABELS_SECONDS = 2.0
"""How long a root's labels may still change: containerd adds the source label last."""

RESOLVING_SECONDS = 1.0
"""A lease that holds nothing is a resolving pull only from this age on: a container's start has one for a moment."""

UNSEEN_TIMES = 8
"""While a remote snapshotter fetches layers unseen, the limit for abandoned pulls is multiplied by this. SOCI itself
gives up after 2 h."""


class Activity(NamedTuple):
    """Everything of a lease that changes while a client is pulling; `ingests` holds (digest, bytes, updated_at)."""

    contents: frozenset[str]
    snapshots: tuple[tuple[str, Snapshots], ...]
    ingests: frozenset[tuple[str, int, float]]


@dataclass(slots=True, eq=False)
class LeaseState:
    """What is known of one lease.

    `started` is the lease's creation, `since` the same for comparison with containerd's timestamps. `changed` is when
    it last changed. `inherited`: it was there before the exporter started, so bytes that were on the node at
    `observed_from` are not counted. `fetched`: blobs were fetched for it, so it is a pull. `answered_at` is the first
    poll at which it held anything. `guessed`: several repositories were added to its root at once, and any may be its,
    or what another lease has left of them.
    """

    id: str
    started: Instant
    since: Since
    observed_from: Instant
    changed: Instant
    inherited: bool
    activity: Activity
    pull: PullState | None = None
    root: str | None = None
    root_seen: Instant | None = None
    sources_before: tuple[Source, ...] = ()
    nameless: bool = True
    fetched: bool = False
    answered_at: Instant | None = None
    guessed: bool = False

    @classmethod
    def begin(cls, lease: Lease, poll: Poll, *, inherited: bool) -> Self:
        """A lease seen for the first time."""
        now = poll.now
        age = max(now.wall - lease.created_at, 0.0)
        # A creation time in the future was written before the clock was stepped back.
        started = Instant(min(lease.created_at, now.wall), Monotonic(now.monotonic - age))
        since = Since(lease.created_at, NodeTime(started.wall))
        activity = activity_of(lease, poll.seen.ingests)
        return cls(lease.id, started, since, now if inherited else started, now, inherited, activity)

    def update(self, lease: Lease, poll: Poll) -> bool:
        """Record what the lease holds now; returns whether its contents changed."""
        activity = activity_of(lease, poll.seen.ingests)
        grown = activity.contents != self.activity.contents
        if activity != self.activity:
            self.activity, self.changed = activity, poll.now
        self.nameless &= lease.nameless
        self.fetched |= lease.fetched or bool(lease.ingests)
        if not self.nameless and self.answered_at is None:
            self.answered_at = poll.now
        return grown

    def choose_image(
        self, root: BlobInfo, lease: Lease, poll: Poll, others: Iterable["LeaseState"], *, final: bool
    ) -> ImageKey | None:
        """The image that this lease pulls, None while that can still change; `final`: the lease is gone."""
        waited = poll.now.monotonic - (self.root_seen or poll.now).monotonic >= LABELS_SECONDS
        # containerd labels the root before it fetches what the root names.
        passed = len(lease.contents) > 1 or bool(lease.ingests) or bool(lease.snapshots)
        beside = [other for other in others if other is not self and other.root == root.digest]
        new = self.since.covers(root.created_at, poll.now)
        added = set(root.sources).difference(self.sources_before)
        if new and not added and len(root.sources) > 1:
            # It came with this lease, and was first seen when it had all these sources.
            self.sources_before, added = (), set(root.sources)
        self.guessed = len(added) > 1 or any(other.guessed for other in beside)
        return choose_image(
            root,
            self.sources_before,
            fresh=new and not beside,
            final=final or waited or passed,
            intents=[item.reference for item in poll.intents],
            records=self.written_records(root.digest, poll) if final or lease.fetched else (),
            fetched=lease.fetched,
            taken=added.intersection(other.pull.key[:2] for other in beside if other.pull is not None),
        )

    def written_records(self, root: str, poll: Poll) -> list[ImageRecord]:
        """The image records of a root that were written since the lease began: they show that it succeeded."""
        records = poll.seen.images.get(root, ())
        return [record for record in records if self.since.covers(record.updated_at, poll.now)]

    def age(self, now: Instant) -> float:
        """Seconds since the lease was created."""
        return max(now.monotonic - self.started.monotonic, 0.0)

    def is_resolving(self, now: Instant) -> bool:
        """Whether it is a pull whose registry has not answered."""
        return self.nameless and self.age(now) > RESOLVING_SECONDS

    def is_unidentified(self, now: Instant) -> bool:
        """Whether it downloads for an image that is not known yet."""
        return self.pull is None and self.fetched and self.age(now) > RESOLVING_SECONDS

    def is_abandoned(self, now: Instant, limit: float) -> bool:
        """Whether nothing has changed for `limit` seconds, or for longer where a remote snapshotter fetches unseen."""
        last = self.changed.monotonic
        if self.pull is not None:  # a second request holds nothing while the first one downloads
            last = max(last, self.pull.progressed.monotonic)
            limit *= UNSEEN_TIMES if self.pull.remote.pending else 1
        return now.monotonic - last >= limit

    def shift(self, seconds: float) -> None:
        """Move all wall-clock times, because the wall clock was stepped."""
        self.started = shifted(self.started, seconds)
        self.observed_from = shifted(self.observed_from, seconds)
        self.changed = shifted(self.changed, seconds)
        self.since = self.since.shifted(seconds)


def activity_of(lease: Lease, ingests: Mapping[str, Ingest], claimed: frozenset[str] = frozenset()) -> Activity:
    """The present activity of a lease.

    `claimed` are digests that other leases download, which are left out: the retry after a crash takes over the
    ingests of the stale lease, so their progress does not show that the stale lease is alive.
    """
    own = [ingests[digest] for digest in lease.ingests - claimed if digest in ingests]
    return Activity(
        frozenset(lease.contents),
        tuple(sorted(lease.snapshots.items(), key=itemgetter(0))),
        frozenset((ingest.digest, ingest.downloaded, ingest.updated_at) for ingest in own),
    )


def by_age(leases: Iterable[Lease]) -> list[Lease]:
    """The leases, the oldest first: the pull starts with it."""
    return sorted(leases, key=lambda lease: lease.created_at)


def ended_leases(states: Iterable[LeaseState], seen: Observation) -> list[Lease]:
    """The leases that are no longer listed, by age, each with what was found after it had gone."""
    listed = {lease.id for lease in seen.leases}
    found = {lease.id: lease for lease in seen.ended}
    gone = [state for state in states if state.id not in listed]
    return by_age(found.get(state.id) or Lease(state.id, NodeTime(state.started.wall)) for state in gone)
