"""A poller of exporters for tests: quick, and all that it tells is kept."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pulltrace.clock import Instant, Monotonic, SystemClock
from pulltrace.model.pull import NodeReport
from pulltrace_aggregator.exporters.discovery import Discovery, Target
from pulltrace_aggregator.exporters.errors import Result
from pulltrace_aggregator.exporters.http_config import HttpAccess
from pulltrace_aggregator.exporters.poller import PollerThread
from pulltrace_aggregator.exporters.schedule import Pace
from pulltrace_aggregator.exporters.state import ExporterGone, ExporterSeen
from pulltrace_aggregator.model.cluster import Endpoint, SliceSeen
from pulltrace_aggregator.model.node import NodeState
from rig.web import wait_until

INTERVAL = 0.05
PATIENT = 60.0
"""Seconds for what comes to its end on a busy machine as well."""
QUICK = Pace(interval=INTERVAL, per_second=1000, idle_interval=600.0, first_retry=0.2)


def answers(seen: ExporterSeen) -> bool:
    return seen.reading.state is NodeState.OK


def fails(seen: ExporterSeen) -> bool:
    return seen.reading.state is NodeState.UNREACHABLE


def report_of(seen: ExporterSeen) -> NodeReport:
    assert seen.reading.report is not None
    return seen.reading.report


class ImpatientClock(SystemClock):
    """Shows monotonic time as it is, and lets files be looked at on every occasion: each look is seconds later."""

    def __init__(self) -> None:
        self._looks = 0

    def now(self) -> Instant:
        self._looks += 10
        now = super().now()
        return Instant(now.wall, Monotonic(now.monotonic + self._looks))


class Watched:
    """A poller and what it has told, in order."""

    def __init__(self, poller: PollerThread) -> None:
        self.poller = poller
        self.news: list[ExporterSeen | ExporterGone] = []
        self.exporters: dict[str, ExporterSeen] = {}

    def receive(self, observed: ExporterSeen | ExporterGone) -> None:
        if isinstance(observed, ExporterSeen):
            self.exporters[observed.node] = observed
        else:
            self.exporters.pop(observed.node, None)
        self.news.append(observed)

    @property
    def requests(self) -> dict[Result, int]:
        return self.poller.requests

    def seen(self, node: str = "n1") -> ExporterSeen:
        return self.exporters[node]

    def count(self, result: Result) -> int:
        return self.requests[result]

    def wait(self, met: Callable[[ExporterSeen], object], node: str = "n1") -> ExporterSeen:
        """The first state of the node that is as wanted."""
        found = wait_until(
            lambda: seen if (seen := self.exporters.get(node)) and met(seen) else None,
            PATIENT,
            lambda: self.exporters.get(node),
        )
        assert found
        return found

    def wait_for(self, result: Result, times: int = 1) -> None:
        wanted = self.count(result) + times
        wait_until(lambda: self.count(result) >= wanted, PATIENT)


@contextlib.contextmanager
def reading(
    *targets: str,
    wanted: Iterable[str] = ("n1",),
    config: Path | None = None,
    pace: Pace = QUICK,
    timeout: float = PATIENT,
) -> Iterator[Watched]:
    """A poller that reads these, `NODE=URL`, and whatever it is told of besides."""
    clock = SystemClock()
    access = HttpAccess(config, ImpatientClock() if config else clock)
    watched: Watched

    class Receiver:
        def receive(self, observed: ExporterSeen | ExporterGone) -> None:
            watched.receive(observed)

    discovery = Discovery([Target.parse(target) for target in targets])
    poller = PollerThread(discovery, access, clock, Receiver(), pace=pace, timeout=timeout)
    watched = Watched(poller)
    poller.want(wanted)
    poller.start()
    with contextlib.closing(poller):
        yield watched


def a_slice(*endpoints: tuple[str, str, int], name: str = "exporters-1") -> SliceSeen:
    return SliceSeen("monitoring", name, f"uid-{name}", tuple(Endpoint(*endpoint, True) for endpoint in endpoints))
