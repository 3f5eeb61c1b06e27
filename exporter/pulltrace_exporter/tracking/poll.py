"""One poll, as the tracker's parts pass it on, and how containerd's timestamps compare when a clock is stepped."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Self

from pulltrace.clock import Instant, Monotonic, NodeTime
from pulltrace_exporter.model.observation import FetchedLayer, Lease, Observation, Snapshots
from pulltrace_exporter.tracking.queue import ImageIntent

CLOCK_STEP_SECONDS = 1.0
"""Smaller differences between the wall clock and the monotonic clock are drift."""


@dataclass(frozen=True, slots=True)
class Poll:
    """What was seen at `now`; `previous` is when the node was last seen, None at the first poll."""

    seen: Observation
    now: Instant
    intents: tuple[ImageIntent, ...] = ()
    previous: Instant | None = None

    def earliest_arrival(self, observed_from: Instant) -> Monotonic:
        """The earliest time at which content that is new in this poll can have come to a pull observed since then."""
        since = observed_from.monotonic
        return since if self.previous is None else max(self.previous.monotonic, since)

    def last_arrival(self, digests: Collection[str]) -> Monotonic:
        """When the last of these blobs came, by the creation times read from the leases that have ended; else now."""
        found = (info for lease in self.seen.ended for info in (*lease.contents.values(), *lease.found_blobs.values()))
        arrivals = [info.created_at for info in found if info and info.digest in digests]
        return Monotonic(self.now.monotonic - max(self.now.wall - max(arrivals, default=self.now.wall), 0.0))


@dataclass(frozen=True, slots=True)
class NodeContents:
    """What leases of the node hold together at one poll, and what a remote snapshotter fetches for running pulls.

    `ingests` are only those of leases that still exist: what an ended lease was downloading may have been complete
    before a newer pull began.
    """

    contents: frozenset[str]
    ingests: frozenset[str]
    snapshots: Snapshots
    fetched: Mapping[str, FetchedLayer]

    @classmethod
    def of(cls, live: Collection[Lease], fetched: Mapping[str, FetchedLayer], poll: Poll) -> Self:
        """What the `live` leases hold, together with what the leases held that ended since the last poll."""
        leases = (*poll.seen.ended, *live)
        snapshots = [held for lease in leases for held in lease.snapshots.values()]
        # A lease whose manifest was first read after it had gone could not be asked what else it held.
        found = {digest for lease in poll.seen.ended for digest, info in lease.found_blobs.items() if info is not None}
        return cls(
            frozenset(found).union(*(lease.contents.keys() for lease in leases)),
            frozenset().union(*(lease.ingests for lease in live)),
            Snapshots(
                frozenset().union(*(held.committed for held in snapshots)),
                frozenset().union(*(held.extracting for held in snapshots)),
            ),
            fetched,
        )


@dataclass(frozen=True, slots=True)
class Since:
    """A moment: `stamp` as containerd wrote it, `earliest` the lowest timestamp that it can have after clock steps."""

    stamp: NodeTime
    earliest: NodeTime

    def covers(self, stamp: NodeTime, now: Instant) -> bool:
        """Whether content with the timestamp `stamp` may have come at this moment or later."""
        if stamp > now.wall:  # written before the clock was stepped back: comparable only with a moment that also was
            return stamp >= self.stamp > now.wall
        return stamp >= self.earliest

    def shifted(self, seconds: float) -> Self:
        """The same moment after a clock step. Content from before a step forward keeps its old, lower timestamps."""
        return type(self)(self.stamp, NodeTime(self.earliest + min(seconds, 0.0)))


class WallClock:
    """Finds out when the wall clock is stepped, by the monotonic clock."""

    def __init__(self, now: Instant) -> None:
        self._offset = now.wall - now.monotonic

    def step(self, now: Instant) -> float:
        """By how many seconds the wall clock was stepped since the last call; 0.0 for drift."""
        step = now.wall - now.monotonic - self._offset
        self._offset += step
        return step if abs(step) >= CLOCK_STEP_SECONDS else 0.0


def shifted(instant: Instant, seconds: float) -> Instant:
    """The same moment on a wall clock that was stepped by so many seconds. No Unix time is below zero."""
    return Instant(max(instant.wall + seconds, 0.0), instant.monotonic)
