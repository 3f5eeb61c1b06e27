"""Parsers of the values of flags, and the settings that both programs have.

Each parser takes any text, and raises ValueError with that text.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from pulltrace.cli.flags import Flag, Settings
from pulltrace.logs import Level, LogFormat
from pulltrace.units import parse_duration
from pulltrace.web.address import ListenAddress
from pulltrace.web.http import HEALTHY_PATH, LANDING_PATH, PULLS_PATH, READY_PATH

E = TypeVar("E", bound=StrEnum)

_URL_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")


def positive_duration(text: str) -> float:
    """Seconds, more than 0."""
    seconds = parse_duration(text)
    if not seconds:
        raise ValueError(f"{text!r} must be longer than 0s")
    return seconds


def at_least(least: int) -> Callable[[str], int]:
    """A parser of whole numbers from `least` on."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text):
            raise ValueError(f"{text!r} is not a whole number of {least} or more")
        if int(text) < least:
            raise ValueError(f"{text!r} must be at least {least}")
        return int(text)

    return parse


def one_of(choices: type[E]) -> Callable[[str], E]:
    """A parser of the values of an enumeration."""

    def parse(text: str) -> E:
        try:
            return choices(text)
        except ValueError:
            raise ValueError(f"{text!r} is not one of {', '.join(choices)}") from None

    return parse


def optional_path(text: str) -> Path | None:
    """A path; None for the empty text."""
    return _path(text) if text else None


def absolute_path(text: str) -> Path:
    """A path from the root."""
    path = _path(text)
    if not path.is_absolute():
        raise ValueError(f"{text!r} is not an absolute path")
    return path


def telemetry_path(text: str) -> str:
    """The path of a URL that no other page has."""
    if not _URL_PATH.fullmatch(text):
        raise ValueError(f"{text!r} is not a URL path: it begins with /, then come letters, digits and . _ ~ / -")
    if text in (LANDING_PATH, PULLS_PATH, HEALTHY_PATH, READY_PATH):
        raise ValueError(f"{text!r} is served already")
    return text


def _path(text: str) -> Path:
    if "\0" in text:
        raise ValueError(f"{text!r} is not a path")
    return Path(text)


def duration(name: str, default: str, help_text: str, parse: Callable[[str], float] = positive_duration) -> Flag[float]:
    """A flag for a duration."""
    return Flag(name, parse, default, help_text, metavar="DURATION")


def count(name: str, default: str, help_text: str) -> Flag[int]:
    """A flag for a number of things, 1 or more."""
    return Flag(name, at_least(1), default, help_text, metavar="COUNT")


def web_listen_address(default: str) -> Flag[ListenAddress]:
    """The flag of both programs whose default differs."""
    return Flag(
        "web.listen-address",
        ListenAddress.parse,
        default,
        "Where to serve: host:port, [IPv6 address]:port, or :port for every address of the machine.",
        metavar="ADDRESS",
    )


class ServerSettings(Settings):
    """The settings of a program that serves and logs. A subclass adds `web_listen_address`."""

    telemetry_path = Flag(
        "web.telemetry-path", telemetry_path, "/metrics", "Path under which to serve metrics.", metavar="PATH"
    )
    web_config_file = Flag(
        "web.config.file",
        optional_path,
        "",
        "File with TLS and basic authentication settings, in the format of Prometheus' exporter toolkit. "
        "Re-read when it changes.",
        metavar="FILE",
    )
    log_level = Flag(
        "log.level",
        one_of(Level),
        "info",
        "Least severe messages to log: debug, info, warn or error.",
        metavar="LEVEL",
    )
    log_format = Flag("log.format", one_of(LogFormat), "logfmt", "How to write logs: logfmt or json.", metavar="FORMAT")
