"""A classic Prometheus histogram as an immutable value."""

from bisect import bisect_left
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts per bucket (not cumulated; the last is `+Inf`) under the upper `bounds`, and the `total` of all values."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float = 0.0

    @classmethod
    def empty(cls, bounds: tuple[float, ...]) -> Self:
        """A histogram of no observation."""
        return cls(bounds, (0,) * (len(bounds) + 1))

    def observe(self, value: float) -> Self:
        """This histogram with one more value."""
        counts = list(self.counts)
        counts[bisect_left(self.bounds, value)] += 1
        return type(self)(self.bounds, tuple(counts), self.total + value)

    @property
    def count(self) -> int:
        """Number of values observed."""
        return sum(self.counts)
