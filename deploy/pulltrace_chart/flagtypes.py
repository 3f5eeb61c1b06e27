"""The type of each flag that is a value of the chart: what the program refuses at start is refused before."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from pulltrace.cli.flag_values import ServerSettings, positive_duration
from pulltrace.cli.flags import Flag
from pulltrace.logs import Level, LogFormat
from pulltrace.units import parse_duration, parse_size
from pulltrace_chart import shapes
from pulltrace_chart.shapes import Schema
from pulltrace_exporter.config import ExporterConfig

_BY_PARSER: Final[Mapping[Callable[[str], Any], Callable[[], Schema]]] = {
    parse_duration: shapes.duration,
    positive_duration: shapes.period,
    parse_size: shapes.size,
}
_MOST: Final = 10**15 - 1
"""Helm computes with floats, which hold whole numbers of 15 digits exactly."""
_BY_NAME: Final[Mapping[str, Schema]] = {
    ServerSettings.log_level.name: shapes.one_of(*Level),
    ServerSettings.log_format.name: shapes.one_of(*LogFormat),
    ExporterConfig.containerd_namespace.name: shapes.text(r"^[A-Za-z0-9]+([._-][A-Za-z0-9]+)*$", longest=76),
}


def of(flag: Flag[Any]) -> Schema:
    """The type of this flag's value; raises KeyError for a flag that is not known here."""
    if flag.switch:
        return shapes.BOOLEAN
    if flag.metavar == "COUNT":
        return shapes.number(1, _MOST)
    return _BY_PARSER[flag.parse]() if flag.parse in _BY_PARSER else _BY_NAME[flag.name]
