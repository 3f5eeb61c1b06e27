"""What can be set, and how a rule writes it: as a value, or as a place that the chart fills from `rules.settings`."""

from dataclasses import dataclass, fields, replace
from typing import Any, Final

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
WEEK: Final = 7 * DAY
RUNBOOKS: Final = "https://github.com/pulltrace/pulltrace/blob/main/docs/runbooks"


class UnknownSetting(Exception):
    """There is no setting of this name, or its value is not of its kind."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The settings that are values of the chart, too: durations are whole seconds, counts and shares are floats.

    How long a pull may stand still is not one of them: the aggregator's flags `stale.*` decide it for alerts, too.
    """

    many_pods: float = 10.0
    """From this many pods that wait for images on, an alert pages."""
    many_namespaces: float = 3.0
    """Namespaces that these pods must be of: the mistake of a single team pages no one."""
    many_after: int = 10 * MINUTE
    many_for: int = 5 * MINUTE
    failing_for: int = 5 * MINUTE
    short_lived_failures: float = 5.0
    """Failed pulls of a namespace in an hour, where no pod waits for long."""
    short_lived_for: int = 10 * MINUTE
    queue_after: int = 10 * MINUTE
    queue_for: int = MINUTE

    stalled_for: int = MINUTE
    """This comes on top of `stale.no-progress`: containerd itself gives up after five minutes without a byte."""
    unpack_after: int = 30 * MINUTE
    """A large layer alone takes longer than `stale.unpack` on a slow disk."""
    slow_share: float = 0.25
    """A node is slow below this part of the median of its peers; the aggregator's `slow_download` is the same."""
    slow_peers: float = 3.0
    """A median of fewer nodes says nothing."""
    slow_for: int = 10 * MINUTE

    unanswered_nodes: float = 2.0
    """From this many nodes on the registry is at fault, below it the node."""
    unanswered_for: int = 3 * MINUTE
    known_nodes: float = 2.0
    """Nodes that have pulled from a name within the week, before the name is believed to be a registry's."""
    registry_slow_share: float = 0.5
    """A registry is slow below this part of its median hour of the last week."""
    registry_slow_hours: float = 24.0
    """Hours with downloads that the last week must have had."""
    registry_slow_active: int = 30
    """Download time that a node must have had in the last hour: small layers are slow, whatever the registry."""
    registry_slow_for: int = 30 * MINUTE
    objective: float = 0.99
    """Part of the pulls that a registry itself may not make fail."""
    burn_fast: float = 14.4
    """Times the allowed rate of failures, over an hour."""
    burn_slow: float = 6.0
    """Times the allowed rate of failures, over six hours."""
    burn_attempts: float = 10.0
    """A ratio of fewer attempts says nothing."""
    burn_nodes: float = 2.0
    """Nodes whose pods failed so: one pod in back-off alone makes attempts enough."""
    burn_for: int = 5 * MINUTE

    containerd_for: int = 5 * MINUTE
    poll_after: int = 5 * MINUTE
    """Age of an exporter's last poll."""
    exporter_for: int = 20 * MINUTE
    """Longer than `node_for`: a node that is not ready has no exporter that answers, either."""
    node_for: int = 15 * MINUTE
    absent_for: int = 15 * MINUTE
    blind_share: float = 0.5
    """Part of the exporters that do not answer the aggregator."""
    covered_share: float = 0.9
    """Part of the nodes with an exporter that all shards together have to know."""
    blind_for: int = 10 * MINUTE
    fault_for: int = 15 * MINUTE


@dataclass(frozen=True, slots=True)
class Settings(Thresholds):
    """With `scale` 60 a rule that speaks of five minutes speaks of five seconds: a test can wait for that.

    The names of recording rules keep the unscaled durations, since queries know them by name.
    """

    scale: float = 1.0
    runbooks: str = RUNBOOKS
    dashboards: str = ""
    """Base URL of Grafana. Without one, alerts do not link their dashboard."""

    def duration(self, setting: str) -> str:
        """A setting as Prometheus writes a duration, scaled."""
        return self.fixed(getattr(self, setting))

    def seconds(self, setting: str) -> str:
        """A setting as a number of seconds to compare an age with, scaled."""
        return number(getattr(self, setting) / self.scale)

    def number(self, setting: str) -> str:
        """A setting that is a count or a share."""
        return number(getattr(self, setting))

    def fixed(self, seconds: float) -> str:
        """A duration that is no setting, scaled."""
        return duration(seconds / self.scale)


class Places(Settings):
    """Writes `@name@` for a setting, and `@name:s@` for its seconds: the chart puts its values there."""

    def duration(self, setting: str) -> str:
        """The place of a duration."""
        return f"@{camel(setting)}@"

    def seconds(self, setting: str) -> str:
        """The place of a duration in seconds."""
        return f"@{camel(setting)}:s@"

    def number(self, setting: str) -> str:
        """The place of a number."""
        return f"@{camel(setting)}@"


def places() -> Settings:
    """The settings of the chart's copy of the rules."""
    return Places(dashboards="@dashboards@")


def camel(name: str) -> str:
    """The name of a setting as a value of the chart."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def chart_values() -> dict[str, Any]:
    """`rules.settings` of the chart with their defaults."""
    defaults = {field.name: field.default for field in fields(Thresholds)}
    return {camel(name): duration(one) if isinstance(one, int) else one for name, one in defaults.items()}


def duration(seconds: float) -> str:
    """A duration in the units of Prometheus; 1 ms is the shortest there is."""
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
    """The number as PromQL reads it, without trailing zeros."""
    return f"{value:.6g}" if value < 1e6 else f"{value:.0f}"


def changed(settings: Settings, assignments: list[str]) -> Settings:
    """The settings with `name=value` applied; raises UnknownSetting."""
    kinds = {field.name: type(getattr(settings, field.name)) for field in fields(settings)}
    for assignment in assignments:
        name, _, value = assignment.partition("=")
        if name not in kinds:
            raise UnknownSetting(f"no setting {name!r}; there are {', '.join(sorted(kinds))}")
        try:
            given: Any = kinds[name](value)
        except ValueError as error:
            raise UnknownSetting(f"{name}: {value!r} is not of type {kinds[name].__name__}") from error
        settings = replace(settings, **{name: given})
    return settings
