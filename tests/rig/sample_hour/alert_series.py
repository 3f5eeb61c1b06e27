"""The alerts that fire in the hour, as the Prometheus that evaluates them stores them."""

from collections.abc import Iterator

from pulltrace_alerts.model import PLATFORM, Alert
from pulltrace_alerts.settings import Settings
from pulltrace_alerts.table import alerts
from rig.sample_hour.exporter_series import Sample, labels
from rig.sample_hour.timelines import FOREVER, PullTimeline, Scenario

SETTINGS = Settings()
ALERTS = {alert.name: alert for alert in alerts(SETTINGS)}
PERMANENT = ("unauthorized", "not_found")


def firing(scenario: Scenario, t: float) -> Iterator[Sample]:
    """The series `ALERTS` at a time."""
    for wait in scenario.waits:
        if wait.reason in PERMANENT and t >= wait.asked + SETTINGS.failing_for and wait.phase(t):
            own = {"registry": wait.image.registry, "repository": wait.image.repository, "reason": wait.reason}
            yield _sample("PulltraceImagePullFailing", {**wait.labels, **own})
    for pull, reason, since in scenario.stale:
        if reason == "no_progress" and since + SETTINGS.stalled_for <= t <= pull.end:
            yield from _stalled(scenario, pull, reason)
    node, since = scenario.faulty
    if since < FOREVER and t >= SETTINGS.fault_for:
        yield _sample("PulltraceWebConfigInvalid", {"job": "pulltrace/exporter", "node": node})


def _stalled(scenario: Scenario, pull: PullTimeline, reason: str) -> Iterator[Sample]:
    for wait in scenario.waits_on(pull.node):
        if wait.pull is pull:
            yield _sample("PulltracePullStalled", {**wait.labels, **labels(pull), "reason": reason})


def _sample(name: str, own: dict[str, str]) -> Sample:
    alert: Alert = ALERTS[name]
    assert own.keys() == set(alert.labels) - {"cluster"}, name
    team = {"team": PLATFORM} if alert.owner == PLATFORM else {}
    return "ALERTS", {"alertname": name, "alertstate": "firing", "severity": alert.severity, **team, **own}, 1
