"""The state machine: observations and a clock in, pulls and totals out. It does no I/O and reads no clock."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pulltrace.clock import Instant, NodeTime
from pulltrace.model.pull import ImageKey, Phase
from pulltrace_exporter.model.events import Event
from pulltrace_exporter.model.observation import BlobInfo, Intent, Lease, Observation
from pulltrace_exporter.model.view import View
from pulltrace_exporter.tracking.counters import Counters
from pulltrace_exporter.tracking.download_accounting import DownloadAccounting
from pulltrace_exporter.tracking.event_log import EventLog
from pulltrace_exporter.tracking.lease_state import LeaseState, by_age, ended_leases
from pulltrace_exporter.tracking.naming import Repositories, image_of, is_below, matching_references, root_of
from pulltrace_exporter.tracking.poll import Poll, WallClock, shifted
from pulltrace_exporter.tracking.pull_state import PullState
from pulltrace_exporter.tracking.queue import ImageIntent, parse_intents, queued, references_of
from pulltrace_exporter.tracking.stale_leases import StaleLeases


@dataclass(frozen=True, slots=True)
class Tracked:
    """What is known after a poll, and the events since the one before, in the order in which they were noticed.

    `valid_seconds` is the time until the first ended pull has to leave the view, even if nothing else happens.
    """

    view: View
    events: tuple[Event, ...] = ()
    valid_seconds: float = math.inf


class Tracker:
    """Makes pulls from leases.

    `linger` is how long an ended pull stays. A lease that does not change for `abandoned` counts as left behind by a
    killed client. Both are in seconds. `label_values` limits the registries and media types. `ignored` are leases that
    containerd still lists though nobody pulls with them any more.

    Memory is bounded: leases by what containerd lists, pulls and their blobs by `linger`, ingests of failed pulls and
    sources of roots by constants, label values by `label_values` and a constant.
    """

    def __init__(self, started: Instant, *, linger: float, abandoned: float, label_values: int) -> None:
        self._started = started
        self._linger = linger
        self._abandoned = abandoned
        self._counters = Counters(label_values)
        self._events = EventLog()
        self._downloads = DownloadAccounting(self._counters, self._events)
        self._repositories = Repositories()
        self._stale = StaleLeases()
        self._wall_clock = WallClock(started)
        self._leases: dict[str, LeaseState] = {}
        self._pulls: dict[ImageKey, PullState] = {}
        self.ignored: frozenset[str] = frozenset()
        self._inherited: frozenset[str] = frozenset()
        self._intents: tuple[ImageIntent, ...] = ()
        self._updated: Instant | None = None
        self._observed: Instant | None = None
        self._removed = False

    def observe(self, seen: Observation, now: Instant, intents: Iterable[Intent] = ()) -> Tracked:
        """Process one observation made at `now`; `intents` are the images that the kubelet says it pulls."""
        self._follow_clock(now)
        poll = Poll(seen, now, parse_intents(intents), self._observed)
        if self._observed is None:  # what is older than this exporter, as far as one can tell
            begun = self._started.wall
            self._inherited = frozenset(each.id for each in seen.leases if not begun <= each.created_at <= now.wall)
        self.ignored &= {lease.id for lease in seen.leases}
        self._end_stale_leases(poll)
        live = [lease for lease in by_age(seen.leases) if lease.id not in self.ignored]
        ended = ended_leases(self._leases.values(), seen)
        for lease in ended:
            self._update(lease, poll, final=True)
        for lease in live:
            if lease.id in self._leases:
                self._update(lease, poll)
        self._downloads.advance(self._running(), live, poll)
        for lease in ended:
            self._end(lease, poll)
        for lease in seen.inferred:
            self._add_inferred(lease, poll)
        abandoned = [state.id for state in self._leases.values() if state.is_abandoned(now, self._abandoned)]
        self._orphan(abandoned, poll, reason="abandoned")
        # After the ends: a retry that came within one interval is a new pull, not a second request.
        self._add_new(live, poll)
        self._observed = now
        self._intents = poll.intents
        return self._publish(now, observed=True)

    def elapse(self, now: Instant, intents: Iterable[Intent] = ()) -> Tracked:
        """What is known at `now` while containerd cannot be read: only the time and the kubelet's queue are new."""
        self._follow_clock(now)
        self._intents = parse_intents(intents)
        return self._publish(now, observed=False)

    def _publish(self, now: Instant, *, observed: bool) -> Tracked:
        self._count_active(now, observed=observed)
        self._expire(now)
        running = self._running()
        for pull in running:
            pull.references = pull.references or references_of(self._intents, pull.key)
        starts = (NodeTime(state.started.wall) for state in self._leases.values() if state.is_resolving(now))
        resolving = tuple(sorted(starts))
        unidentified = sum(state.is_unidentified(now) for state in self._leases.values())
        view = View(
            pulls=tuple(pull.publish(now.monotonic) for pull in self._pulls.values()),
            resolving=resolving,
            queued=queued(self._intents, [pull.key for pull in running], len(resolving) + unidentified),
            totals=self._counters.totals(),
            unidentified=unidentified,
            at=now,
        )
        ends = (pull.ended.monotonic for pull in self._pulls.values() if pull.ended is not None)
        return Tracked(view, self._events.drain(), min(ends, default=math.inf) + self._linger - now.monotonic)

    def _running(self) -> list[PullState]:
        return [pull for pull in self._pulls.values() if pull.ended is None]

    def _follow_clock(self, now: Instant) -> None:
        """Keep ages right when the wall clock is stepped: move all remembered times with it."""
        step = self._wall_clock.step(now)
        if step:
            self._started = shifted(self._started, step)
            for state in self._leases.values():
                state.shift(step)
            for pull in self._pulls.values():
                pull.shift(step)

    def _add_new(self, live: list[Lease], poll: Poll) -> None:
        """Add new leases, and those whose pull was just orphaned by another lease."""
        added: dict[PullState, None] = {}
        for lease in live:
            state = self._leases.get(lease.id)
            new = state is None and lease.id not in self._stale.suspected | self.ignored
            if new or (state is not None and state.pull is None):
                pull = self._update(lease, poll).pull
                added |= {pull: None} if pull else {}
        if added:
            self._downloads.advance(list(added), live, poll)

    def _update(self, lease: Lease, poll: Poll, *, final: bool = False, inherited: bool = False) -> LeaseState:
        state = self._leases.get(lease.id)
        if state is None:
            inherited |= lease.id in self._inherited
            state = self._leases[lease.id] = LeaseState.begin(lease, poll, inherited=inherited)
        grown = state.update(lease, poll)
        if state.pull is not None and grown and is_below(state.pull.key.digest, lease, poll.seen.documents):
            self._detach(state, state.pull)
        if state.pull is None:
            self._identify(state, lease, poll, final=final)
        if state.pull is not None:
            self._downloads.add_lease(state.pull, lease, poll)
        return state

    def _identify(self, state: LeaseState, lease: Lease, poll: Poll, *, final: bool) -> None:
        """Attach a lease to the pull of its image once that is known."""
        root = root_of(lease, poll.seen.documents)
        if root is None:
            return
        if state.root != root.digest:
            state.root, state.root_seen = root.digest, poll.now
            state.sources_before = self._repositories.sources_before(root)
        key = state.choose_image(root, lease, poll, self._leases.values(), final=final)
        if key is None:
            return
        # What else was added may be another lease's that began at the same time.
        self._repositories.remember(root.digest, {*state.sources_before, key[:2]})
        pull = self._pulls.get(key)
        if pull is None or pull.ended is not None:
            pull = self._start(key, state, root, poll)
        pull.leases.add(state.id)
        pull.repositories = tuple(dict.fromkeys(repository for _, repository in root.sources)) or (key.repository,)
        document = poll.seen.documents.get(root.digest)
        pull.media_type = document.media_type if document else pull.media_type
        state.pull = pull

    def _start(self, key: ImageKey, state: LeaseState, root: BlobInfo, poll: Poll) -> PullState:
        now = poll.now
        self._counters.add_registry(key.registry)
        previous = self._pulls.pop(key, None)
        pull = PullState(key, state.started, now, state.since, state.observed_from, inherited=state.inherited)
        if previous is not None:  # the series continue
            pull.references, pull.snapshotter = previous.references, previous.snapshotter
        pull.references = references_of(poll.intents, key) or pull.references
        pull.resolved_at = state.age(now)
        if not root.sources and state.answered_at is not None:
            pull.resolved_at = state.age(state.answered_at)  # its root is made when all layers are there
        elif state.since.covers(root.created_at, now):
            pull.resolved_at = min(max(root.created_at - state.started.wall, 0.0), pull.resolved_at)
        self._pulls[key] = pull
        self._events.started(pull, now)
        return pull

    def _detach(self, state: LeaseState, pull: PullState) -> None:
        """Take a lease from a pull: what seemed its root is below another document, so it does not pull that image."""
        state.pull = None
        pull.leases.discard(state.id)
        if not pull.leases:
            del self._pulls[pull.key]
            self._removed = True

    def _end(self, lease: Lease, poll: Poll) -> None:
        state = self._leases.pop(lease.id)
        pull = state.pull
        if pull is None:
            # Its age at the last poll that saw it: the time since then may be only the pause between two polls.
            last_seen = poll.previous or poll.now
            if state.is_resolving(last_seen) or state.is_unidentified(last_seen):
                self._counters.add_unresolved()
            return
        digest = pull.key.digest
        if (root := lease.contents.get(digest)) is not None:
            self._repositories.remember(digest, root.sources)
        pull = self._exchange(state, pull, poll)
        others = self._other_images(state, pull)
        own = [record for record in state.written_records(digest, poll) if image_of(record, digest) not in others]
        names = (*matching_references(pull.key, own), *matching_references(pull.key, poll.seen.images.get(digest, ())))
        pull.references = tuple(dict.fromkeys(names)) or pull.references
        # A client unpacks after it has written the record, and may fail then.
        succeeded = bool(own) and lease.unpacked is not False
        self._finish(state, pull, Phase.SUCCEEDED if succeeded else Phase.FAILED, poll)

    def _exchange(self, state: LeaseState, pull: PullState, poll: Poll) -> PullState:
        """The pull that a lease was for, by the record that it wrote.

        Of two requests for one root that began together, nothing tells which is which before the first has succeeded.
        """
        written = {image_of(record, pull.key.digest) for record in state.written_records(pull.key.digest, poll)}
        if not state.guessed or pull.key in written:
            return pull
        for other in self._leases.values():
            if other.guessed and other.pull is not None and other.pull.key in written:
                own, other.pull = other.pull, pull
                own.leases.symmetric_difference_update((state.id, other.id))
                pull.leases.symmetric_difference_update((state.id, other.id))
                return own
        return pull

    def _other_images(self, state: LeaseState, pull: PullState) -> set[ImageKey]:
        """The other images that were pulled while a lease was there: their own pulls may have written their records.

        One that has failed may have the name that is this lease's, if that was guessed.
        """
        since = state.started.monotonic
        others = (each for each in self._pulls.values() if each is not pull)
        others = (each for each in others if not (state.guessed and each.phase is Phase.FAILED))
        return {other.key for other in others if other.ended is None or other.ended.monotonic > since}

    def _add_inferred(self, lease: Lease, poll: Poll) -> None:
        """Count a pull that ended before a poll saw it; it gets series like any other."""
        state = self._update(lease, poll, final=True)
        if state.pull is not None and state.pull.leases == {lease.id}:
            self._downloads.advance([state.pull], [lease], poll)
        self._end(lease, poll)

    def _end_stale_leases(self, poll: Poll) -> None:
        """End leases that a crash left behind. One that no poll saw alive is shown as orphaned, or just counted.

        It is just counted if a pull of its image is shown already.
        """
        leases = {lease.id: lease for lease in poll.seen.leases}
        for lease_id in self._stale.confirm(poll, self.ignored):
            if lease_id not in self._leases:
                root = root_of(leases[lease_id], poll.seen.documents)
                if root is None or not any(key.digest == root.digest for key in self._pulls):
                    self._update(leases[lease_id], poll, final=True, inherited=True)
                    self._downloads.advance(self._running(), poll.seen.leases, poll)
                elif root.sources:
                    self._counters.add_ended(root.sources[0][0], Phase.ORPHANED)
            self._orphan([lease_id], poll, reason="containerd crashed")

    def _orphan(self, leases: Iterable[str], poll: Poll, reason: str) -> None:
        for lease_id in leases:
            self.ignored |= {lease_id}
            state = self._leases.pop(lease_id, None)
            if state is not None and state.pull is not None:
                self._finish(state, state.pull, Phase.ORPHANED, poll, reason)
            elif state is not None and state.nameless:
                self._counters.add_unresolved()

    def _finish(self, state: LeaseState, pull: PullState, result: Phase, poll: Poll, reason: str = "") -> None:
        pull.leases.discard(state.id)
        self._counters.add_ended(pull.key.registry, result)
        if pull.leases and result is not Phase.ORPHANED:
            return
        # The leases that go on beside an orphaned one are an ordinary pull: it begins when they are next seen.
        for other in pull.leases:
            self._leases[other].pull = None
        self._downloads.finish(pull, result, poll, [other for other in self._running() if other is not pull])
        pull.end(result, poll.now)
        self._events.ended(pull, reason, poll.now)
        if result is Phase.SUCCEEDED:
            self._counters.add_durations(pull.key.registry, pull.stage_seconds(poll.now))

    def _count_active(self, now: Instant, *, observed: bool) -> None:
        previous, self._updated = self._updated, now
        if previous is not None and observed:  # what happened while containerd could not be read is not known
            self._counters.add_active(
                (pull.key.registry, stage, seconds)
                for pull in self._pulls.values()
                for stage, seconds in pull.active_between(previous, now)
            )

    def _expire(self, now: Instant) -> None:
        for pull in list(self._pulls.values()):
            if pull.ended is not None and now.monotonic - pull.ended.monotonic >= self._linger:
                del self._pulls[pull.key]
                self._removed = True
        if self._removed:
            self._downloads.forget(self._pulls.values())
            self._removed = False
