"""Which waits are shown, and in which order; and which are news, for a watch that cannot be redrawn."""

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from pulltrace_kubectl.model.pulls import Pull, Wait

_PULLING: Final = ("downloading", "unpacking")

Known = frozenset[tuple[object, ...]]
"""What was told of each wait or pull."""
Row = TypeVar("Row", Wait, Pull)


def in_namespace(waits: Iterable[Wait], namespace: str) -> list[Wait]:
    """The waits of a namespace; all if it is empty."""
    return [wait for wait in waits if not namespace or wait.namespace == namespace]


def of_pods(waits: Iterable[Wait], pods: Iterable[tuple[str, str]]) -> list[Wait]:
    """The waits of the pods with these namespaces and names."""
    wanted = frozenset(pods)
    return [wait for wait in waits if (wait.namespace, wait.pod) in wanted]


def longest_first(waits: Iterable[Wait]) -> list[Wait]:
    """What waits, the longest first; then what has come."""
    return sorted(waits, key=lambda wait: (wait.over, -(wait.waiting or 0.0), wait.namespace, wait.pod, wait.container))


def line_of(node: str, waits: Iterable[Wait]) -> list[Wait]:
    """The images that a node has still to bring, one wait for each: what is being pulled first, then by time."""
    there = [wait for wait in longest_first(waits) if wait.node == node and not wait.over and _in_line(wait)]
    there.sort(key=lambda wait: wait.phase == "queued")
    first: dict[str, Wait] = {}
    for wait in there:
        first.setdefault(wait.image, wait)
    return list(first.values())


def ahead_of(wait: Wait, waits: Sequence[Wait]) -> list[Wait]:
    """The images that the node pulls before this one; none unless this one is queued."""
    if wait.phase != "queued":
        return []
    line = line_of(wait.node, waits)
    position = next((index for index, each in enumerate(line) if each.image == wait.image), len(line))
    return line[:position]


def running_first(pulls: Iterable[Pull]) -> list[Pull]:
    """Pulls under way, the oldest first; then those that have ended, the latest first."""
    return sorted(pulls, key=lambda pull: (pull.ended_age is not None, pull.ended_age or -(pull.age or 0.0)))


def nodes_to_ask(waits: Iterable[Wait]) -> list[str]:
    """Nodes whose exporters know layers of these waits."""
    return sorted({wait.node for wait in waits if wait.node and wait.phase in _PULLING})


def news(rows: Sequence[Row], before: Known) -> tuple[list[Row], Known]:
    """The rows with another phase or cause than before, or ten percent further on; and what is known now."""
    return [row for row in rows if _state(row) not in before], frozenset(_state(row) for row in rows)


def _state(row: Wait | Pull) -> tuple[object, ...]:
    tenths = None if row.ratio is None else int(row.ratio * 10)
    if isinstance(row, Pull):
        return (row.node, row.name, row.digest, row.phase, row.stale, tenths)
    return (*row.key, row.phase, row.cause, row.reason, tenths)


def _in_line(wait: Wait) -> bool:
    return wait.phase in (*_PULLING, "resolving", "queued")
