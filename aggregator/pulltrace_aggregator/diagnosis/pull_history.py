"""What became of each pull of each node, so that it is counted once: bytes, result, and stale reasons. Pure.

An exporter is read again and again, may be restarted in mid-pull, and may be out of reach when a pull ends. All counts
are lower bounds: what happened between an aggregator's end and the next one's first reading is left out.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from pulltrace.clock import Monotonic, NodeTime
from pulltrace.model.pull import ImageKey, Phase, Pull
from pulltrace_aggregator.model.exporter import NodeReading
from pulltrace_aggregator.model.states import StaleReason
from pulltrace_aggregator.model.view import NodePull

SAME_START_SECONDS: Final = 2.0
"""Instants that are no further apart are one start, reported twice."""
MOST_UNREPORTED: Final = 20
"""Pulls of a node that are remembered though its exporter, just restarted perhaps, reports them no more."""
MOST_FORGOTTEN: Final = 1000
"""Nodes without an exporter whose pulls are remembered: it may be about to come back."""


@dataclass(frozen=True, slots=True)
class PullChange:
    """What is to be counted of a pull. `fetched` is in bytes, `result` is how it ended, `stale` why it became stale."""

    key: ImageKey
    fetched: int = 0
    result: Phase | None = None
    stale: StaleReason | None = None


@dataclass(slots=True)
class _Attempt:
    """One pull from its start to its end.

    `started_at` is what the node reported last; it and `began_at` are None while the start is not known. `whole` means
    that it cannot have been counted before. `present` is the most that was on the node, None while unknown, and
    `resumed` what an attempt before it may have left there.
    """

    started_at: NodeTime | None
    began_at: Monotonic | None
    seen_at: Monotonic
    whole: bool
    resumed: int = 0
    present: int | None = None
    result: Phase | None = None
    reasons: set[StaleReason] = field(default_factory=set)

    def fetch(self, pull: Pull) -> int:
        """The bytes that were fetched since the last time."""
        if pull.downloaded is None:
            return 0
        # After its restart an exporter takes for cached what it does not know to have been fetched.
        present, before = (pull.cached or 0) + pull.downloaded, self.present
        self.present = max(present, before or 0)
        if before is None:
            return max(0, pull.downloaded - self.resumed) if self.whole else 0
        return min(max(0, present - before), pull.downloaded)

    def end(self, phase: Phase) -> Phase | None:
        """The result, once."""
        news = phase if phase.ended and self.result is None else None
        self.result = self.result or news
        return news


class PullHistory:
    """Remembers the pulls of all nodes. `started` is when the aggregator was."""

    def __init__(self, started: Monotonic) -> None:
        self._started = started
        self._nodes: dict[str, dict[ImageKey, _Attempt]] = {}
        self._forgotten: OrderedDict[str, dict[ImageKey, _Attempt]] = OrderedDict()

    def forget(self, node: str) -> None:
        """The node has no exporter any more."""
        if (attempts := self._nodes.pop(node, None)) is not None:
            self._forgotten[node] = attempts
            if len(self._forgotten) > MOST_FORGOTTEN:
                self._forgotten.popitem(last=False)

    def update(self, reading: NodeReading, pulls: Iterable[NodePull]) -> list[PullChange]:
        """What is new of the `pulls` that are shown of a node."""
        if reading.answered_at is None:
            return []
        before = self._nodes.get(reading.node, self._forgotten.pop(reading.node, None))
        attempts, first, changes = dict(before or {}), before is None, list[PullChange]()
        for entry in pulls:
            known = attempts.pop(entry.key, None)
            attempt = attempts[entry.key] = self._attempt(entry, known, reading.answered_at, first=first)
            changes += _changes(entry, attempt, first=first)
        if reading.runtime_up or attempts:
            # An exporter that has not read containerd yet does not know its pulls.
            self._nodes[reading.node] = _latest(attempts, {pull.key for pull in reading.pulls})
        return changes

    def _attempt(self, entry: NodePull, known: _Attempt | None, answered_at: Monotonic, *, first: bool) -> _Attempt:
        pull, began_at = entry.pull, entry.began_at
        if known is not None and not (known.result and entry.running) and not _is_later(entry, known):
            known.seen_at = answered_at
            known.started_at = known.started_at if pull.started_at is None else pull.started_at
            known.began_at = began_at if known.began_at is None else known.began_at
            return known
        attempt = _Attempt(pull.started_at, began_at, answered_at, whole=not first)
        if first:
            attempt.whole = began_at is not None and began_at >= self._started
            # One that began before we did may have been counted, and so may its end.
            attempt.result = pull.phase if pull.phase.ended and not attempt.whole else None
        elif known is not None and known.result is not Phase.SUCCEEDED:
            attempt.resumed = known.present or 0
        return attempt


def _changes(entry: NodePull, attempt: _Attempt, *, first: bool) -> Iterable[PullChange]:
    fetched, result = attempt.fetch(entry.pull), attempt.end(entry.pull.phase)
    if fetched or result:
        yield PullChange(entry.key, fetched, result)
    if entry.stale is not None and entry.stale not in attempt.reasons:
        attempt.reasons.add(entry.stale)
        if attempt.whole or not first:
            yield PullChange(entry.key, stale=entry.stale)


def _latest(attempts: dict[ImageKey, _Attempt], reported: set[ImageKey]) -> dict[ImageKey, _Attempt]:
    """The attempts that are reported, and the last ones of the others."""
    gone = [key for key in attempts if key not in reported]
    for key in gone[:-MOST_UNREPORTED]:
        del attempts[key]
    return attempts


def _is_later(entry: NodePull, known: _Attempt) -> bool:
    """Whether a pull began after a known one of its image.

    A clock that is stepped moves one of the two instants and leaves the other; an answer that stands still moves the
    start on without end, but not past the answer before, in which the pull was there already. Without an age there is
    no start. An orphan is reported as long as its lease is there, and no pull of its image runs in between.
    """
    if known.result is Phase.ORPHANED and entry.pull.phase is Phase.ORPHANED:
        return False
    started_at, began_at = entry.pull.started_at, entry.began_at
    if started_at is None or began_at is None or known.started_at is None or known.began_at is None:
        return False
    return (
        abs(started_at - known.started_at) > SAME_START_SECONDS
        and began_at > known.began_at + SAME_START_SECONDS
        and began_at > known.seen_at - SAME_START_SECONDS
    )
