"""All that a program serves of a state: made, and read again as its readers do. What it logs as an error is a fault."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from zlib import crc32

from prometheus_client.parser import text_string_to_metric_families

from pulltrace.clock import Instant, Monotonic, NodeTime
from pulltrace.exposition import TextFormat
from pulltrace.model import wire
from pulltrace.model.pull import NodeReport
from pulltrace_exporter.api.landing import landing_page
from pulltrace_exporter.journal import Journal
from pulltrace_exporter.metrics import FAMILIES as EXPORTER_FAMILIES
from pulltrace_exporter.metrics import Process as ExporterProcess
from pulltrace_exporter.metrics import Scraper as ExporterScraper
from pulltrace_exporter.metrics import SeriesLimits
from pulltrace_exporter.tracking.tracker import Tracked

WALL: Final = 1_700_000_000.0
PARSED: Final = 8
"""One text in so many is parsed, which takes much longer than making it."""


class InternalError(Exception):
    """A program has logged an error of its own, which it would have survived."""


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def no_internal_errors() -> Iterator[None]:
    """Raise InternalError at the end if any was logged meanwhile."""
    errors = _Errors()
    logging.getLogger().addHandler(errors)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(errors)
    for record in errors.records:
        raise InternalError(record.getMessage()) from (record.exc_info[1] if record.exc_info else None)


class SteppedClock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self._now = Instant(WALL, Monotonic(1000.0))

    def now(self) -> Instant:
        return self._now

    def pass_by(self, payload: bytes) -> None:
        """By so many seconds as the first byte says; the second steps the wall clock by minutes, either way."""
        seconds = float(payload[0]) if payload else 1.0
        step = 60.0 * (payload[1] - 256 if payload[1] > 127 else payload[1]) if len(payload) > 1 else 0.0
        wall, monotonic = self._now
        self._now = Instant(wall + seconds + step, Monotonic(monotonic + seconds))


_JOURNAL: Final[list[str]] = []
_EXPORTER: Final = ExporterScraper(EXPORTER_FAMILIES, SeriesLimits(pulls=20, layers=50), ExporterProcess())


def check_exporter(tracked: Tracked, clock: SteppedClock) -> None:
    """The scrape, the JSON, the landing page and the journal of one poll."""
    now, view = clock.now(), tracked.view
    for form in TextFormat if tracked.events else (TextFormat.PLAIN,):
        check_text(_EXPORTER.render(view, now.wall, form), form)
    report = NodeReport("node-1", "1", NodeTime(now.wall), view.daemon, view.resolving, view.queued, view.pulls)
    wire.etag(report)
    wire.decode(wire.encode(report))
    landing_page(report, "/metrics", read=True)
    _JOURNAL.clear()
    Journal("node-1", _JOURNAL.append).write(tracked.events)
    for line in "".join(_JOURNAL).splitlines():
        json.loads(line)


def check_text(text: bytes, form: TextFormat) -> None:
    """A scrape that Prometheus can read, without a sample that is less than nothing."""
    decoded = text.decode()
    if form is not TextFormat.PLAIN or crc32(text) % PARSED:
        return
    for family in text_string_to_metric_families(decoded):
        for sample in family.samples:
            if not sample.value >= 0:
                raise AssertionError(f"{sample.name}{sample.labels} is {sample.value}")
