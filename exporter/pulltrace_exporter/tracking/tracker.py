"""The state machine: observations and a clock in, pulls and totals out. It does no I/O and reads no clock."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pulltrace.clock import Instant, NodeTime
from pulltrace.model.pull import ImageKey, Phase, Pull, QueuedImage
from pulltrace_exporter.model.events import Event
from pulltrace_exporter.model.observation import BlobInfo, ImageRecord, Intent, Lease, Observation
from pulltrace_exporter.model.view import Totals
from pulltrace_exporter.tracking.counters import Ledger
from pulltrace_exporter.tracking.download_accounting import Fetching
from pulltrace_exporter.tracking.event_log import Chronicle
from pulltrace_exporter.tracking.lease_state import Request, signature_of
from pulltrace_exporter.tracking.naming import (
    SETTLE_SECONDS,
    Repositories,
    choose,
    image_of,
    is_below,
    matching_references,
    root_of,
)
from pulltrace_exporter.tracking.poll import Look
from pulltrace_exporter.tracking.pull_state import Attempt
from pulltrace_exporter.tracking.queue import Wanted, queued, tags, wanted
from pulltrace_exporter.tracking.stale_leases import Ghosts

RESOLVING_SECONDS = 1.0
"""A lease that holds nothing is a pull without an answer only from this age on: container starts hold such
leases for a moment too."""

CLOCK_STEP_SECONDS = 1.0
"""Smaller differences between the two clocks are drift, and followed in silence."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """What the tracker knows after an observation; `resolving` holds starts as Unix times.

    `events` are those since the answer before, in the order in which they were noticed; `stands_for` is after how
    many seconds the first of the ended pulls leaves, though nothing else may happen.
    """

    pulls: tuple[Pull, ...]
    resolving: tuple[NodeTime, ...]
    queued: tuple[QueuedImage, ...]
    totals: Totals
    events: tuple[Event, ...] = ()
    stands_for: float = math.inf


class Tracker:
    """Follows leases to pulls.

    `linger` is how long an ended pull stays, `abandoned` after how long without any change a lease is taken for
    left behind by a killed client, both in seconds; `label_values` bounds registries and media types.
    """

    def __init__(self, started: Instant, *, linger: float, abandoned: float, label_values: int) -> None:
        self._started = started
        self._linger = linger
        self._abandoned = abandoned
        self._ledger = Ledger(label_values)
        self._chronicle = Chronicle()
        self._fetching = Fetching(self._ledger, self._chronicle)
        self._repositories = Repositories()
        self._ghosts = Ghosts()
        self._requests: dict[str, Request] = {}
        self._ignored: frozenset[str] = frozenset()
        self._attempts: dict[ImageKey, Attempt] = {}
        self._clock_offset = started.wall - started.monotonic
        self._previous: Instant | None = None
        self._observed: Instant | None = None
        self._inherited: frozenset[str] = frozenset()
        self._waiting: tuple[Wanted, ...] = ()
        self._retracted = False

    @property
    def ignored(self) -> frozenset[str]:
        """Leases that are no longer anybody's pull, though containerd still lists them."""
        return self._ignored

    def observe(self, seen: Observation, now: Instant, intents: Iterable[Intent] = ()) -> Tracked:
        """Take in one observation made at `now`; `intents` are the images that the kubelet says it pulls."""
        self._follow_clock(now)
        look = Look(seen, now, wanted(intents), self._observed)
        if self._observed is None:
            self._inherited = self._begun_before(seen, now)
        self._ignored &= {lease.id for lease in seen.leases}
        self._bury(self._ghosts.judge(seen, self._ignored, now), look)
        live = [lease for lease in _by_age(seen.leases) if lease.id not in self._ignored]
        ended = self._ended(seen)
        known = [lease for lease in live if lease.id in self._requests]
        for lease in ended:
            self._follow(lease, look, final=True)
        for lease in known:
            self._follow(lease, look)
        self._fetching.advance(self._running(), live, look)
        for lease in ended:
            self._end(lease, look)
        for lease in seen.inferred:
            self._infer(lease, look)
        self._orphan(self._abandoned_leases(now), look, reason="abandoned")
        # After the ends: a retry that came within one interval is a new attempt, not a second request.
        self._meet(live, look)
        self._observed = now
        self._waiting = look.intents
        return self._show(now, observed=True)

    def elapse(self, now: Instant, intents: Iterable[Intent] = ()) -> Tracked:
        """What is known at `now` while containerd cannot be read: time alone moves rates and lingering.

        The kubelet may put further images in its queue meanwhile.
        """
        self._follow_clock(now)
        self._waiting = wanted(intents)
        return self._show(now, observed=False)

    def _show(self, now: Instant, *, observed: bool) -> Tracked:
        self._count_active(now, observed=observed)
        self._expire(now)
        running = self._running()
        for attempt in running:
            attempt.references = attempt.references or tags(self._waiting, attempt.key)
        resolving = sorted(self._resolving(now))
        return Tracked(
            pulls=tuple(attempt.show(now.monotonic) for attempt in self._attempts.values()),
            resolving=tuple(resolving),
            queued=queued(self._waiting, [attempt.key for attempt in running], len(resolving)),
            totals=self._ledger.totals(),
            events=self._chronicle.take(),
            stands_for=self._lingering(now),
        )

    def _ended(self, seen: Observation) -> list[Lease]:
        listed = {lease.id for lease in seen.leases}
        found = {lease.id: lease for lease in seen.ended}
        gone = [request for request in self._requests.values() if request.id not in listed]
        return _by_age(found.get(request.id) or Lease(request.id, request.started.wall) for request in gone)

    def _begun_before(self, seen: Observation, now: Instant) -> frozenset[str]:
        """The leases of the first look that are older than this exporter, as far as one can tell."""
        began = self._started.wall
        return frozenset(lease.id for lease in seen.leases if not began <= lease.created_at <= now.wall)

    def _running(self) -> list[Attempt]:
        return [attempt for attempt in self._attempts.values() if attempt.ended is None]

    # Clock

    def _follow_clock(self, now: Instant) -> None:
        """Keep ages right when the wall clock is stepped: what is remembered moves with it."""
        step = now.wall - now.monotonic - self._clock_offset
        self._clock_offset += step
        if abs(step) < CLOCK_STEP_SECONDS:
            return
        self._started = Instant(self._started.wall + step, self._started.monotonic)
        for request in self._requests.values():
            request.shift(step)
        for attempt in self._attempts.values():
            attempt.shift(step)

    # Leases

    def _meet(self, live: list[Lease], look: Look) -> None:
        """Take in new leases, and those whose pull was just orphaned by another lease."""
        met = dict[Attempt, None]()
        for lease in live:
            known = self._requests.get(lease.id)
            new = known is None and lease.id not in self._ghosts.suspected | self._ignored
            if new or (known is not None and known.attempt is None):
                attempt = self._follow(lease, look).attempt
                met |= {attempt: None} if attempt else {}
        if met:
            self._fetching.advance(list(met), live, look)

    def _follow(self, lease: Lease, look: Look, *, final: bool = False, inherited: bool = False) -> Request:
        request = self._requests.get(lease.id)
        signature = signature_of(lease, look.seen.ingests)
        if request is None:
            inherited |= lease.id in self._inherited
            request = Request.begin(lease, look.now, signature, inherited=inherited)
            self._requests[lease.id] = request
        grown = signature.contents != request.signature.contents
        request.note(signature, look.now)
        request.nameless &= lease.nameless
        if request.attempt is not None and grown and is_below(request.attempt.key.digest, lease, look.seen.documents):
            self._retract(request, request.attempt)
        if request.attempt is None:
            self._name(request, lease, look, final=final)
        if request.attempt is not None:
            self._fetching.take(request.attempt, lease, look)
        return request

    def _name(self, request: Request, lease: Lease, look: Look, *, final: bool) -> None:
        root = root_of(lease, look.seen.documents)
        if root is None:
            return
        if request.root != root.digest:
            request.root, request.root_seen = root.digest, look.now
            request.before = self._repositories.known(root)
        waited = look.now.monotonic - (request.root_seen or look.now).monotonic >= SETTLE_SECONDS
        # containerd labels the root before it goes on to what the root names.
        passed = len(lease.contents) > 1 or bool(lease.ingests) or bool(lease.snapshots)
        alone = all(other is request or other.root != root.digest for other in self._requests.values())
        key = choose(
            root,
            request.before,
            fresh=alone and request.since.covers(root.created_at, look.now),
            final=final or waited or passed,
            intents=[item.reference for item in look.intents],
            records=_written(root.digest, request, look) if final else (),
        )
        if key is not None:
            self._join(request, key, root, look)

    def _join(self, request: Request, key: ImageKey, root: BlobInfo, look: Look) -> None:
        self._repositories.remember(root)
        attempt = self._attempts.get(key)
        if attempt is None or attempt.ended is not None:
            attempt = self._begin(key, request, root, look)
        attempt.leases.add(request.id)
        attempt.repositories = tuple(dict.fromkeys(repository for _, repository in root.sources))
        document = look.seen.documents.get(root.digest)
        attempt.media_type = document.media_type if document else attempt.media_type
        request.attempt = attempt

    def _begin(self, key: ImageKey, request: Request, root: BlobInfo, look: Look) -> Attempt:
        now = look.now
        self._ledger.meet(key.registry)
        previous = self._attempts.pop(key, None)
        attempt = Attempt(key, request.started, now, request.since, request.watched, inherited=request.inherited)
        if previous is not None:  # the series continue
            attempt.references, attempt.snapshotter = previous.references, previous.snapshotter
        attempt.references = tags(look.intents, key) or attempt.references
        attempt.resolved_at = request.age(now)
        if request.since.covers(root.created_at, now):
            attempt.resolved_at = min(max(root.created_at - request.started.wall, 0.0), attempt.resolved_at)
        self._attempts[key] = attempt
        self._chronicle.started(attempt, now)
        return attempt

    def _retract(self, request: Request, attempt: Attempt) -> None:
        """What was taken for the root is none: whatever this is, it is no pull of that image."""
        request.attempt = None
        attempt.leases.discard(request.id)
        if not attempt.leases:
            del self._attempts[attempt.key]
            self._retracted = True

    # Ends

    def _end(self, lease: Lease, look: Look) -> None:
        request = self._requests.pop(lease.id)
        attempt = request.attempt
        if attempt is None:
            # Its age when it was last there: what came after that may have been the pause between two looks.
            if request.nameless and request.age(look.previous or look.now) > RESOLVING_SECONDS:
                self._ledger.unresolved()
            return
        written = _written(attempt.key.digest, request, look)
        beside = self._beside(request, attempt)
        ours = [record for record in written if image_of(record, attempt.key.digest) not in beside]
        names = (ours, look.seen.images.get(attempt.key.digest, ()))
        written_first = [name for records in names for name in matching_references(attempt.key, records)]
        attempt.references = tuple(dict.fromkeys(written_first)) or attempt.references
        # A client unpacks after it has written the record, and may fail then.
        succeeded = bool(ours) and lease.unpacked is not False
        self._leave(request, attempt, Phase.SUCCEEDED if succeeded else Phase.FAILED, look)

    def _beside(self, request: Request, attempt: Attempt) -> set[ImageKey]:
        """The images that were pulled while a request ran: their records may be their own pulls'."""
        since = request.started.monotonic
        others = (other for other in self._attempts.values() if other is not attempt)
        return {other.key for other in others if other.ended is None or other.ended.monotonic > since}

    def _infer(self, lease: Lease, look: Look) -> None:
        """Count a pull that was over before it was seen, with series like those of any other."""
        request = self._follow(lease, look, final=True)
        if request.attempt is not None and request.attempt.leases == {lease.id}:
            self._fetching.advance([request.attempt], [lease], look)
        self._end(lease, look)

    def _bury(self, ghosts: Iterable[str], look: Look) -> None:
        """End what a crash left behind; what was never seen alive is shown as the orphan it is, and counted."""
        leases = {lease.id: lease for lease in look.seen.leases}
        for lease_id in ghosts:
            if lease_id not in self._requests:
                root = root_of(leases[lease_id], look.seen.documents)
                if root is None or not any(key.digest == root.digest for key in self._attempts):
                    self._follow(leases[lease_id], look, final=True, inherited=True)
                    self._fetching.advance(self._running(), look.seen.leases, look)
                elif root.sources:
                    self._ledger.ended(root.sources[0][0], Phase.ORPHANED)
            self._orphan([lease_id], look, reason="containerd crashed")

    def _orphan(self, leases: Iterable[str], look: Look, reason: str) -> None:
        for lease_id in leases:
            self._ignored |= {lease_id}
            request = self._requests.pop(lease_id, None)
            if request is None:
                continue
            if request.attempt is not None:
                self._leave(request, request.attempt, Phase.ORPHANED, look, reason)
            elif request.nameless:
                self._ledger.unresolved()

    def _leave(self, request: Request, attempt: Attempt, result: Phase, look: Look, reason: str = "") -> None:
        attempt.leases.discard(request.id)
        self._ledger.ended(attempt.key.registry, result)
        if attempt.leases and result is not Phase.ORPHANED:
            return
        # Requests that live on beside an orphan are an ordinary pull: they begin anew when they are next seen.
        for other in attempt.leases:
            self._requests[other].attempt = None
        self._fetching.finish(attempt, result, look, [other for other in self._running() if other is not attempt])
        attempt.end(result, look.now)
        self._chronicle.ended(attempt, reason, look.now)
        if result is Phase.SUCCEEDED:
            self._time_stages(attempt, look.now)

    def _time_stages(self, attempt: Attempt, now: Instant) -> None:
        total = now.monotonic - attempt.started.monotonic
        resolve = min(attempt.resolved_at or 0.0, total)
        downloaded = total if attempt.downloaded_at is None else attempt.downloaded_at - attempt.started.monotonic
        download = min(max(downloaded - resolve, 0.0), total - resolve)
        stages = {"resolve": resolve, "download": download, "unpack": total - resolve - download}
        self._ledger.took(attempt.key.registry, stages)

    def _abandoned_leases(self, now: Instant) -> list[str]:
        return [request.id for request in self._requests.values() if self._is_abandoned(request, now)]

    def _is_abandoned(self, request: Request, now: Instant) -> bool:
        last = request.changed.monotonic
        if request.attempt is not None:  # a second request holds nothing of its own while the first one works
            last = max(last, request.attempt.progressed.monotonic)
        return now.monotonic - last >= self._abandoned

    # Time

    def _count_active(self, now: Instant, *, observed: bool) -> None:
        previous, self._previous = self._previous, now
        if previous is None or not observed:
            return  # nobody knows what happened while containerd could not be read
        self._ledger.active(
            (attempt.key.registry, stage, seconds)
            for attempt in self._attempts.values()
            for stage, seconds in attempt.active_between(previous, now)
        )

    def _expire(self, now: Instant) -> None:
        gone = [
            key
            for key, attempt in self._attempts.items()
            if attempt.ended is not None and now.monotonic - attempt.ended.monotonic >= self._linger
        ]
        for key in gone:
            del self._attempts[key]
        if gone or self._retracted:
            self._fetching.forget(self._attempts.values())
            self._retracted = False

    def _lingering(self, now: Instant) -> float:
        ends = (attempt.ended.monotonic for attempt in self._attempts.values() if attempt.ended is not None)
        return min(ends, default=math.inf) + self._linger - now.monotonic

    def _resolving(self, now: Instant) -> list[NodeTime]:
        return [
            NodeTime(request.started.wall)
            for request in self._requests.values()
            if request.nameless and request.age(now) > RESOLVING_SECONDS
        ]


def _written(root: str, request: Request, look: Look) -> list[ImageRecord]:
    """The records of a root that were written while the request ran: its success."""
    records = look.seen.images.get(root, ())
    return [record for record in records if request.since.covers(record.updated_at, look.now)]


def _by_age(leases: Iterable[Lease]) -> list[Lease]:
    """The oldest first: it is the start of the pull."""
    return sorted(leases, key=lambda lease: lease.created_at)
