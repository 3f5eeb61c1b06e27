"""How fast other nodes download the same image, or from the same registry: what is slow is slow against them."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from pulltrace.model.pull import Phase, Pull

Group = tuple[str, str]
"""`digest` or `registry`, and which one."""

_NONE: Final[dict[str, float]] = {}


class PeerRates:
    """The present download rates of all nodes, in bytes per second."""

    def __init__(self) -> None:
        self._rates: dict[Group, dict[str, float]] = {}
        self._groups: dict[str, tuple[Group, ...]] = {}
        self._sorted: dict[Group, list[float]] = {}

    def __len__(self) -> int:
        """Number of nodes with a rate."""
        return len(self._groups)

    def update(self, node: str, pulls: Iterable[Pull]) -> None:
        """Replace what is known of a node; without pulls it is no peer any more."""
        for group in self._groups.pop(node, ()):
            rates = self._rates[group]
            del rates[node]
            self._sorted.pop(group, None)
            if not rates:
                del self._rates[group]
        sums: defaultdict[Group, float] = defaultdict(float)
        for pull in pulls:
            if pull.phase is Phase.DOWNLOADING and pull.bytes_per_second is not None:
                for group in groups_of(pull):
                    sums[group] += pull.bytes_per_second
        for group, rate in sums.items():
            self._rates.setdefault(group, {})[node] = rate
            self._sorted.pop(group, None)
        if sums:
            self._groups[node] = tuple(sums)

    def share(self, node: str, pull: Pull) -> float | None:
        """The node's rate as a part of the median of the others; None when there is no node to compare with.

        The nodes that pull the same digest are the others, or where there are none those that pull from its registry.
        """
        for group in groups_of(pull):
            own = self._rates.get(group, _NONE).get(node)
            median = None if own is None else self._median_of_others(group, own)
            if own is not None and median is not None:
                return own / median if median else None
        return None

    def _median_of_others(self, group: Group, own: float) -> float | None:
        rates = self._sorted.get(group)
        if rates is None:
            rates = self._sorted[group] = sorted(self._rates[group].values())
        return _median_without(rates, bisect_left(rates, own))


def groups_of(pull: Pull) -> tuple[Group, Group]:
    """The closest peers first."""
    return ("digest", pull.key.digest), ("registry", pull.key.registry.lower())


def _median_without(rates: Sequence[float], left_out: int) -> float | None:
    """The median of sorted rates but one."""
    count = len(rates) - 1
    if count < 1:
        return None
    lower, upper = (count - 1) // 2, count // 2
    return (rates[lower + (lower >= left_out)] + rates[upper + (upper >= left_out)]) / 2
