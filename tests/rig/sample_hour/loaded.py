"""The hour in a running Prometheus, with what the recording rules for dashboards make of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pulltrace_alerts.recorded import overviews
from pulltrace_alerts.settings import Settings
from rig import prometheus
from rig.prometheus import Prometheus, Release
from rig.sample_hour.stored_series import StoredSeries, lines_of
from rig.sample_hour.timelines import HOUR_END


@contextmanager
def loaded(
    stored: StoredSeries, end: float, step: float, folder: Path, release: Release = prometheus.NEW
) -> Iterator[Prometheus]:
    """Run a Prometheus until the end of the block, on an hour that ended at `end`, scraped each `step` seconds."""
    lookback = f"{step - 1:.0f}s"
    data = prometheus.written(release, stored.lines(), folder)
    with prometheus.prometheus(release, data=data, lookback=lookback) as server:
        recorded = list(_recorded(server, end, step))
    prometheus.written(release, recorded, folder)
    with prometheus.prometheus(release, data=data, lookback=lookback) as server:
        yield server


def _recorded(server: Prometheus, end: float, step: float) -> Iterator[str]:
    """Rules are not evaluated in the past, so each is asked for the hour."""
    for rule in overviews(Settings()):
        for series in server.query_range(rule.expr, end - HOUR_END, end, step):
            yield from lines_of(rule.name, series.labels.items(), series.points)
