"""What can be set: thresholds and durations, and one factor that shortens all durations alike."""

from dataclasses import dataclass, fields, replace
from typing import Final

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
WEEK: Final = 7 * DAY
MIB: Final = 2**20
RUNBOOKS: Final = "https://github.com/pulltrace/pulltrace/blob/main/docs/runbooks"


class UnknownSetting(Exception):
    """There is no setting of this name, or its value is not of its kind."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Durations are seconds before `scale` divides them, rates are bytes per second.

    With `scale` 60 a rule that speaks of five minutes speaks of five seconds: a test can wait for that. The names of
    recording rules keep the unscaled durations, since queries know them by name.
    """

    scale: float = 1.0
    runbooks: str = RUNBOOKS

    stalled_after: float = MINUTE
    """No byte for so long: far below the five minutes after which containerd itself gives up."""
    stalled_for: float = MINUTE
    unpack_after: float = 10 * MINUTE
    unpack_for: float = MINUTE
    slow_share: float = 0.25
    """Below this part of the median of its peers a node is slow; the aggregator's verdict uses the same."""
    slow_peers: int = 3
    """A median of fewer says nothing."""
    slow_for: float = 5 * MINUTE
    too_long_for: float = 5 * MINUTE
    ghost_window: float = HOUR
    ghost_for: float = MINUTE
    queue_after: float = 10 * MINUTE
    queue_for: float = MINUTE

    flap: float = 3 * MINUTE
    """Failing counts as going on through a retry, during which the verdict is another for a moment."""
    failing_for: float = 5 * MINUTE
    failing_window: float = 15 * MINUTE
    """Longer than the kubelet's longest pause between two attempts, five minutes."""

    registry_slow: float = 1.0 * MIB
    registry_slow_nodes: int = 3
    registry_slow_active: float = 30.0
    """Seconds of download that a node must have had in five minutes: tiny layers are slow, whatever the registry."""
    registry_slow_for: float = 5 * MINUTE
    registry_silent_nodes: int = 2
    """From so many nodes on it is the registry, below it is the node."""
    registry_silent_for: float = 2 * MINUTE
    objective: float = 0.99
    """Part of the pulls that a registry itself may not make fail."""
    burn_fast: float = 14.4
    burn_fast_for: float = 2 * MINUTE
    burn_slow: float = 6.0
    burn_slow_for: float = 15 * MINUTE
    burn_attempts: float = 10
    """A ratio of fewer attempts in the longer window says nothing."""
    burn_nodes: int = 2
    """Nodes with pods that failed in the longer window: a single pod in back-off makes attempts enough."""
    fallen_share: float = 0.5
    fallen_hours: int = 24
    """Hours with downloads that the last week must have had."""
    fallen_active: float = 30.0
    """Seconds of download that a node must have had in the last hour, for the reason of `registry_slow_active`."""
    fallen_for: float = 30 * MINUTE

    containerd_for: float = 2 * MINUTE
    exporter_for: float = 3 * MINUTE
    node_for: float = 2 * MINUTE
    uncovered_for: float = 15 * MINUTE

    outlast: float = 2 * MINUTE
    """So much longer fires what explains other alerts, which are evaluated and told at moments of their own."""

    blind_share: float = 0.5
    blind_for: float = 5 * MINUTE
    absent_for: float = 5 * MINUTE
    asked_share: float = 0.9
    """Part of the nodes with an exporter that all shards together have to know."""
    suppressed_for: float = 15 * MINUTE

    def duration(self, seconds: float) -> str:
        """As Prometheus writes it, scaled."""
        return duration(seconds / self.scale)

    def seconds(self, seconds: float) -> str:
        """A number of seconds to compare an age with, scaled."""
        return number(seconds / self.scale)


def duration(seconds: float) -> str:
    """In the units of Prometheus; 1 ms is the shortest there is."""
    rest = max(1, round(seconds * 1000))
    parts = []
    for unit, size in (("w", WEEK * 1000), ("d", DAY * 1000), ("h", HOUR * 1000), ("m", MINUTE * 1000), ("s", 1000)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    if rest:
        parts.append(f"{rest}ms")
    return "".join(parts)


def number(value: float) -> str:
    """Without a fraction that is none."""
    return f"{value:.6g}" if value < 1e6 else f"{value:.0f}"


def changed(settings: Settings, assignments: list[str]) -> Settings:
    """The settings with `name=value` applied; raises UnknownSetting."""
    kinds = {field.name: type(getattr(settings, field.name)) for field in fields(settings)}
    for assignment in assignments:
        name, _, value = assignment.partition("=")
        if name not in kinds:
            raise UnknownSetting(f"no setting {name!r}; there are {', '.join(sorted(kinds))}")
        try:
            settings = replace(settings, **{name: kinds[name](value)})
        except ValueError as error:
            raise UnknownSetting(f"{name}: {value!r} is not of type {kinds[name].__name__}") from error
    return settings
