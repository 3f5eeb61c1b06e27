"""Renders a scrape from a table of families and the state of a program. A family that fails is left out."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import isinf, isnan
from threading import Lock
from typing import Final, Generic, TypeVar

from prometheus_client.registry import Collector

from pulltrace.exposition.families import Family, Metric
from pulltrace.exposition.formats import TextFormat, render_collectors
from pulltrace.logs import fields

logger = logging.getLogger(__name__)
_PROCESS: Final = "process"

_State = TypeVar("_State")


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
            logger.error("a metric family is left out", extra=fields(family=family), exc_info=error)

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
    lines = [f"{name}{labels} {_number(value)}\n" for labels, value in family.samples(state)]
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
    if type(value) is int:
        return str(value)
    text = repr(float(value))
    if text.endswith(".0"):
        return text[:-2]
    if isnan(value):
        return "NaN"
    return ("+Inf" if value > 0 else "-Inf") if isinf(value) else text
