"""Comparing containerd's stamps with each other, though somebody may have set the clock in between."""

from dataclasses import dataclass
from typing import Self

from pulltrace.clock import Instant


@dataclass(frozen=True, slots=True)
class Since:
    """A moment in Unix time: `stamp` as it was written down, `earliest` as a clock that was set back says it now."""

    stamp: float
    earliest: float

    def covers(self, stamp: float, now: Instant) -> bool:
        """Whether what bears `stamp` may have come at this moment or after it."""
        if stamp > now.wall:  # it was there before the clock was set back; so was this moment, or it came later
            return stamp >= self.stamp > now.wall
        return stamp >= self.earliest

    def shifted(self, seconds: float) -> Self:
        """The same moment after the clock was stepped by so much: what came before a step forward bears old times."""
        return type(self)(self.stamp, self.earliest + min(seconds, 0.0))
