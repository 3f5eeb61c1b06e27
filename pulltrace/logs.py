"""Logs on stderr, one line each, as logfmt or JSON, on the standard library's logging.

Modules use `logging.getLogger(__name__)` as usual and give details as fields, not in the text:
`logger.warning("containerd does not answer", extra=fields(call="Leases/List", code="UNAVAILABLE"))`.
No content of a field can begin a new line or control a terminal.
"""

import json
import logging
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, TextIO


class Level(StrEnum):
    """How severe a message is."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a line is written."""

    LOGFMT = "logfmt"
    JSON = "json"


_encode_json: Final = json.JSONEncoder(ensure_ascii=False, default=str).encode
"""`json.dumps` would make an encoder for each line."""
_LEVELS: Final = {level: logging.getLevelNamesMapping()[level.name] for level in Level}
"""In rising order."""
_FIELDS = "pulltrace_fields"
_OWN_ATTRIBUTES = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", _FIELDS}
_NOT_IN_KEYS = re.compile(r"[^A-Za-z0-9_.-]")
_BARE = re.compile(r"[^\s\"=\\]+")


def fields(**values: object) -> dict[str, Any]:
    """The `extra` of a logging call; unlike a plain dict it may hold names that logging keeps for itself."""
    return {_FIELDS: values}


def configure(level: Level, log_format: LogFormat, stream: TextIO | None = None) -> None:
    """Send all logs and Python warnings to `stream` (stderr), and to nothing else."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(LineFormatter(RENDERERS[log_format]))
    logging.basicConfig(level=_LEVELS[level], handlers=[handler], force=True)
    logging.captureWarnings(capture=True)


@lru_cache(maxsize=16)
def timestamp(unix_time: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(unix_time, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def logfmt_line(entry: Mapping[str, object]) -> str:
    """`key=value` pairs; a value that would be ambiguous is in quotes."""
    return " ".join(f"{_NOT_IN_KEYS.sub('_', key)}={_logfmt_value(value)}" for key, value in entry.items())


def json_line(entry: Mapping[str, object]) -> str:
    """A JSON object on one line."""
    return _printable(_encode_json(entry))


Renderer = Callable[[Mapping[str, object]], str]
RENDERERS: Final[Mapping[LogFormat, Renderer]] = {LogFormat.LOGFMT: logfmt_line, LogFormat.JSON: json_line}


class LineFormatter(logging.Formatter):
    """Makes one line of a record: time, level, logger, message, then its fields and its exception."""

    def __init__(self, render: Renderer) -> None:
        super().__init__()
        self._render = render

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        entry: dict[str, object] = {
            "ts": timestamp(record.created),
            "level": _level_name(record.levelno),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        for key, value in _fields_of(record).items():
            entry[f"field_{key}" if key in entry else key] = value
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return self._render(entry)


def _fields_of(record: logging.LogRecord) -> dict[str, object]:
    plain = {key: value for key, value in vars(record).items() if key not in _OWN_ATTRIBUTES}
    return {**getattr(record, _FIELDS, {}), **plain}


def _level_name(number: int) -> Level:
    reached = [level for level, least in _LEVELS.items() if least <= number]
    return reached[-1] if reached else Level.DEBUG


def _logfmt_value(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = str(value)
    if _BARE.fullmatch(text) and text.isprintable():
        return text
    return _printable(json.dumps(text, ensure_ascii=False))


def _printable(quoted: str) -> str:
    """Escape what JSON leaves as it is: line separators, C1 controls and directional overrides."""
    if quoted.isprintable():
        return quoted
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in quoted)
