"""What is news, for a watch that cannot be redrawn."""

from collections.abc import Mapping, Sequence

from pulltrace_kubectl.model.pulls import Wait

Known = Mapping[tuple[str, str, str, str], tuple[object, ...]]


def news(waits: Sequence[Wait], before: Known) -> tuple[list[Wait], Known]:
    """The waits with another phase or cause than before, or ten percent further on; and what is known now."""
    now = {wait.key: _state(wait) for wait in waits}
    return [wait for wait in waits if before.get(wait.key) != now[wait.key]], now


def _state(wait: Wait) -> tuple[object, ...]:
    return (wait.phase, wait.cause, wait.reason, None if wait.ratio is None else int(wait.ratio * 10))
