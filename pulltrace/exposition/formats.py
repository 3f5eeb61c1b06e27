"""Which text format a client is given, and what prometheus_client renders in it."""

from enum import Enum
from typing import Final

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest as _render_plain
from prometheus_client.openmetrics.exposition import generate_latest as _render_openmetrics
from prometheus_client.registry import Collector

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
    for name, parameters in map(_media_range, accept.split(",")):
        quality = _quality(parameters.get("q", "1"))
        if name == _OPENMETRICS and parameters.get("version", _VERSION) == _VERSION:
            openmetrics = max(openmetrics, quality)
        elif name in _PLAIN:
            plain[name] = max(plain.get(name, 0.0), quality)
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


def _media_range(element: str) -> tuple[str, dict[str, str]]:
    name, *parameters = element.split(";")
    pairs = (parameter.partition("=") for parameter in parameters)
    return name.strip().lower(), {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}


def _quality(text: str) -> float:
    """0 for a malformed value; Python alone would accept `nan` and `1e9`."""
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0
