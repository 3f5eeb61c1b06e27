"""Renders a scrape from a table of families and the state of a program. A family that fails is left out."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from math import isinf, isnan
from threading import Lock
from typing import Final, Generic, TypeVar

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest as _render_plain
from prometheus_client.openmetrics.exposition import generate_latest as _render_openmetrics
from prometheus_client.registry import Collector

from pulltrace.exposition.families import Family, Metric
from pulltrace.logs import fields
from pulltrace.negotiation import accepted

logger = logging.getLogger(__name__)
_PROCESS: Final = "process"

_State = TypeVar("_State")


_OPENMETRICS: Final = "application/openmetrics-text"
_VERSION: Final = "1.0.0"
_PLAIN: Final = ("text/plain", "text/*", "*/*")


class TextFormat(Enum):
    """The formats; the value is the content type."""

    PLAIN = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = f"{_OPENMETRICS}; version={_VERSION}; charset=utf-8"


def choose_format(accept: str) -> TextFormat:
    """The format for an Accept header, by its q-values (RFC 9110, section 12.5.1).

    OpenMetrics only if the client names it, in version 1.0.0 or without a version. All others get plain text, even if
    they accept neither, because a scrape with an answer is better than one without.
    """
    plain: dict[str, float] = {}
    openmetrics = 0.0
    for name, parameters, weight in accepted(accept):
        if name == _OPENMETRICS and parameters.get("version", _VERSION) == _VERSION:
            openmetrics = max(openmetrics, weight)
        elif name in _PLAIN:
            plain[name] = max(plain.get(name, 0.0), weight)
    # The most specific range that is there decides.
    wanted = next((plain[name] for name in _PLAIN if name in plain), 0.0)
    return TextFormat.OPENMETRICS if openmetrics and openmetrics >= wanted else TextFormat.PLAIN


def process_collectors() -> CollectorRegistry:
    """A registry of its own with `process_*` and `python_info`."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


def render_collectors(collectors: Collector, form: TextFormat) -> str:
    """The collectors' metrics as prometheus_client renders them, without the end mark of OpenMetrics."""
    if form is TextFormat.PLAIN:
        return _render_plain(collectors).decode()
    rendered: bytes = _render_openmetrics(collectors)  # type: ignore[no-untyped-call]
    return rendered.decode().removesuffix("# EOF\n")


class Faults:
    """Counts families that could not be rendered, and logs each kind of fault once. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._logged: set[tuple[str, type[Exception]]] = set()

    def record(self, family: str, error: Exception) -> None:
        """Take note of one failure of a family."""
        kind = (family, type(error))
        with self._lock:
            self._counts[family] += 1
            known = kind in self._logged
            self._logged.add(kind)
        if not known:
            logger.error("a metric family failed and is left out", extra=fields(family=family), exc_info=error)

    def counts(self) -> Mapping[str, int]:
        """Failures so far by family; those that never failed are not in it."""
        with self._lock:
            return dict(self._counts)


class Exposition(Generic[_State]):
    """Renders families, and after them the process' own metrics from prometheus_client's collectors."""

    def __init__(self, families: Sequence[Family[_State]], faults: Faults, collectors: Collector | None = None) -> None:
        self._families = tuple(families)
        self._faults = faults
        self._collectors = collectors

    def render(self, state: _State, form: TextFormat) -> bytes:
        """The answer to a scrape. A family that fails goes to `Faults` and raises nothing."""
        # Each family is encoded at once. Then the peak of memory is twice the text of a scrape, and not five times.
        parts = [self._guarded(family.metric.name, partial(_render, family, state, form)) for family in self._families]
        if self._collectors is not None:
            parts.append(self._guarded(_PROCESS, partial(render_collectors, self._collectors, form)))
        if form is TextFormat.OPENMETRICS:
            parts.append(b"# EOF\n")
        return b"".join(parts)

    def _guarded(self, family: str, render: Callable[[], str]) -> bytes:
        try:
            return render().encode()
        except Exception as error:  # noqa: BLE001 - one family's fault must not take the others with it
            self._faults.record(family, error)
            return b""


def _render(family: Family[_State], state: _State, form: TextFormat) -> str:
    name = family.metric.name
    lines = [
        f"{name}{labels} {value if type(value) is int else _number(value)}\n" for labels, value in family.samples(state)
    ]
    return _head(family.metric, form) + "".join(lines) if lines else ""


def _head(metric: Metric, form: TextFormat) -> str:
    if form is TextFormat.PLAIN:
        return f"# HELP {metric.name} {_escape_help(metric.help)}\n# TYPE {metric.name} {metric.type}\n"
    unit = f"# UNIT {metric.family} {metric.unit}\n" if metric.unit else ""
    help_text = _escape_help(metric.help).replace('"', r"\"")
    return f"# HELP {metric.family} {help_text}\n# TYPE {metric.family} {metric.type}\n{unit}"


def _escape_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _number(value: float) -> str:
    """The shortest text that reads back as the same number."""
    text = repr(float(value))
    if text.endswith(".0"):
        return text[:-2]
    if isnan(value):
        return "NaN"
    return ("+Inf" if value > 0 else "-Inf") if isinf(value) else text
