"""What a rule is."""

from dataclasses import dataclass
from typing import Final

SEVERITIES: Final = ("critical", "warning", "info")

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording rule. `labels` are those of its series."""

    name: str
    labels: Labels
    expr: str


@dataclass(frozen=True, slots=True)
class Alert:
    """An alerting rule. `hold` is how long `expr` must hold before it fires, in seconds before scaling.

    `outlast` is how long it goes on firing when `expr` holds no longer: what silences others has to end after them.
    `labels` are those that the alert may have besides `severity`. `needs` names a program beside Prometheus and
    Pulltrace whose series are used.
    """

    name: str
    severity: str
    hold: float
    labels: Labels
    expr: str
    summary: str
    description: str
    needs: str = ""
    outlast: float = 0.0


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other, so that a later one reads an earlier one of the same moment."""

    name: str
    rules: tuple[Recording | Alert, ...]
