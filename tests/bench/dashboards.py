"""What a refresh of a dashboard costs Prometheus in a large cluster, with all of its queries."""

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.processes import cpu_seconds
from bench.rows import Row, median_row, seconds
from rig.dashboards import Look, Query, files, queries
from rig.prometheus import Prometheus
from rig.sample_hour.large_cluster import large
from rig.sample_hour.loaded import loaded
from rig.sample_hour.stored_series import stored_hour
from rig.sample_hour.timelines import HOUR_END

NODES, PULLS, WAITS = 500, 300, 2000
SCRAPE, STEP, RATE_INTERVAL = 60, 15, 240
ROUNDS, CONNECTIONS = 5, 6
TARGET = "at most 1000"
CHOSEN = {
    "overview": {},
    "pod": {"namespace": "team-1", "pod": "app-1"},
    "node": {"node": "node-0001"},
    "registry": {},
    "itself": {},
}


def measure() -> Iterator[Row]:
    epoch = time.time() // SCRAPE * SCRAPE - HOUR_END
    with tempfile.TemporaryDirectory() as name:
        stored = stored_hour(large(NODES, PULLS, WAITS), epoch, SCRAPE)
        series = len(stored.series)
        with loaded(stored, epoch + HOUR_END, SCRAPE, Path(name)) as server:
            for dashboard in ("overview", *(name for name in files() if name != "overview")):
                yield from _refreshes(server, dashboard, epoch, series)


def _refreshes(server: Prometheus, dashboard: str, epoch: float, series: int) -> Iterator[Row]:
    asked = queries(dashboard, files()[dashboard])
    ask = _Asking(server, epoch)
    ask.one(asked[0])  # the first question reads the index
    before = cpu_seconds(server.pid)
    one_by_one = [[ask.one(query) for query in asked] for _ in range(ROUNDS)]
    spent = 1000 * (cpu_seconds(server.pid) - before) / ROUNDS
    size = f"{NODES} nodes, {PULLS} pulls, {WAITS} waiting containers, {series} series"
    target = TARGET if dashboard == "overview" else ""
    slowest = max(range(len(asked)), key=lambda place: one_by_one[-1][place])
    how = f"{len(asked)} queries over 1 h one by one; {size}; slowest: {asked[slowest].panel}"
    yield median_row(f"dashboard {dashboard}: refresh", [sum(times) for times in one_by_one], "ms", target, how)
    how = f"of Prometheus for a refresh; mean of {ROUNDS}"
    yield Row(f"dashboard {dashboard}: processor", spent, "ms", target, how)
    together = [ask.together(asked) for _ in range(ROUNDS)]
    how = f"the same with {CONNECTIONS} connections, as a browser asks"
    yield median_row(f"dashboard {dashboard}: refresh, seen", together, "ms", "", how)


class _Asking:
    """Queries as Grafana asks them for the last hour, timed."""

    def __init__(self, server: Prometheus, epoch: float) -> None:
        self._look = Look(server, epoch + HOUR_END, HOUR_END, STEP, RATE_INTERVAL)

    def one(self, query: Query) -> float:
        """Milliseconds until the answer is read."""
        return 1000 * seconds(lambda: self._look.answer(query, CHOSEN[query.dashboard]))

    def together(self, asked: list[Query]) -> float:
        """Milliseconds until all are answered."""
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            return 1000 * seconds(lambda: list(pool.map(self.one, asked)))
