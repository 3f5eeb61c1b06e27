"""What a rule is."""

from dataclasses import dataclass
from typing import Final

SEVERITIES: Final = ("critical", "warning", "info")
PLATFORM: Final = "platform"
NAMESPACE: Final = "namespace"
OWNERS: Final = (PLATFORM, NAMESPACE)
"""Who acts: those who run the cluster, or those whose pods the namespace holds."""

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording rule. `labels` are those of its series."""

    name: str
    labels: Labels
    expr: str


@dataclass(frozen=True, slots=True)
class Alert:
    """An alerting rule. `hold` names the setting that says how long `expr` must hold before the alert fires.

    `labels` are those that the alert may have besides `severity` and `team`. `dashboard` is the one to open, by the end
    of its uid. `outlast`: the alert fires for a while after `expr` has ended, because it explains others, which must
    end first. `needs` names a program beside Prometheus and Pulltrace whose series are used.
    """

    name: str
    severity: str
    owner: str
    hold: str
    labels: Labels
    dashboard: str
    expr: str
    summary: str
    description: str
    needs: str = ""
    outlast: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other, so that a later one reads an earlier one of the same moment."""

    name: str
    rules: tuple[Recording | Alert, ...]
