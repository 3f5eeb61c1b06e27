"""Colours and words: one colour for one meaning on all dashboards. No colour stands without its word.

Slate waits for its turn, blue goes on, green is done, orange is slow or tries again, red does not go on, purple needs
somebody to change something, grey is not known. The hues are those of Okabe and Ito, which the colour-blind can tell
apart, some of them darker, so that white letters on them can be read; a second shade of a hue is lighter or darker.
"""

from collections.abc import Mapping
from typing import Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models.dashboard import (
    DashboardSpecialValueMapOptions,
    SpecialValueMap,
    SpecialValueMatch,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)

SLATE: Final = "#7C8DB5"
PALE_SLATE: Final = "#A9B6D3"
BLUE: Final = "#0072B2"
SKY: Final = "#3390C7"
PALE_BLUE: Final = "#9CCDEB"
GREEN: Final = "#009E73"
PALE_GREEN: Final = "#8FD9BF"
ORANGE: Final = "#C77F00"
PALE_ORANGE: Final = "#F2C45A"
DARK_ORANGE: Final = "#8F5C00"
BROWN: Final = "#A6761D"
RED: Final = "#D55E00"
PALE_RED: Final = "#F3B195"
DARK_RED: Final = "#9C4400"
PURPLE: Final = "#C06A9A"
DARK_PURPLE: Final = "#A64D79"
WINE: Final = "#882255"
INDIGO: Final = "#8172B3"
GREY: Final = "#8C8C8C"
NONE: Final = "transparent"
"""For what has no data: neither good nor bad."""

Words = Mapping[str, tuple[str, str]]
"""Values of a label, or numbers, each with the word for it and its colour."""

CAUSES: Final[Words] = {
    "progressing": ("progressing", BLUE),
    "queue": ("queue", SLATE),
    "shared_layer": ("shared layer", PALE_SLATE),
    "slow_download": ("slow download", ORANGE),
    "slow_unpack": ("slow unpack", PALE_ORANGE),
    "backoff": ("back-off", DARK_ORANGE),
    "stalled": ("stalled", RED),
    "registry": ("registry", DARK_RED),
    "rate_limited": ("rate limited", WINE),
    "credentials": ("credentials", PURPLE),
    "not_found": ("not found", DARK_PURPLE),
    "no_exporter": ("no exporter", GREY),
}
POD_PHASES: Final[Words] = {
    "queued": ("queued", SLATE),
    "resolving": ("resolving", PALE_SLATE),
    "downloading": ("downloading", BLUE),
    "unpacking": ("unpacking", SKY),
    "backoff": ("back-off", DARK_ORANGE),
    "failed": ("failed", RED),
    "pulled": ("pulled", GREEN),
    "unknown": ("unknown", GREY),
}
PULL_PHASES: Final[Words] = {
    "downloading": ("downloading", BLUE),
    "unpacking": ("unpacking", SKY),
    "succeeded": ("succeeded", GREEN),
    "failed": ("failed", RED),
    "orphaned": ("orphaned", GREY),
}
LAYER_STATES: Final[Words] = {
    "waiting": ("waiting", SLATE),
    "downloading": ("downloading", BLUE),
    "downloaded": ("downloaded", PALE_SLATE),
    "unpacking": ("unpacking", SKY),
    "unpacked": ("unpacked", GREEN),
    "cached": ("cached", PALE_GREEN),
    "remote": ("remote", PALE_BLUE),
}
REMOTE: Final[Mapping[str, tuple[str, str]]] = {
    "2": ("soci.*", "by SOCI"),
    "3": (".*stargz", "by stargz"),
    "4": ("nydus.*", "by nydus"),
    "5": (".*", "remote"),
}
"""Snapshotters that fetch layers themselves, and what stands in place of a share of bytes that nobody sees.

The numbers are greater than any share. They fill the bar of a table in a colour of its own: empty, it would say 0 %.
"""
BY_REMOTE: Final[Words] = {number: (word, PALE_BLUE) for number, (_, word) in REMOTE.items()}
STALE: Final[Words] = {
    "no_progress": ("no bytes", RED),
    "unpack_no_progress": ("unpack stalled", DARK_RED),
    "remote_no_progress": ("remote stalled", PALE_RED),
    "slow": ("slow", ORANGE),
    "exporter_unreachable": ("no exporter", GREY),
    "orphaned": ("orphaned", INDIGO),
}
REASONS: Final[Words] = {
    "unauthorized": ("unauthorized", PURPLE),
    "not_found": ("not found", DARK_PURPLE),
    "rate_limited": ("rate limited", WINE),
    "registry_unavailable": ("registry unavailable", DARK_RED),
    "timeout": ("timeout", PALE_RED),
    "dns": ("DNS", RED),
    "tls": ("TLS", BROWN),
    "disk_full": ("disk full", ORANGE),
    "signature": ("signature", INDIGO),
    "invalid_name": ("invalid name", "#E0B0CC"),
    "never_pull": ("never pull", "#C5BBE0"),
    "kubelet_rate_limit": ("kubelet's limit", SLATE),
    "canceled": ("canceled", PALE_SLATE),
    "other": ("other", GREY),
}
SEVERITIES: Final[Words] = {
    "critical": ("critical", RED),
    "warning": ("warning", ORANGE),
    "info": ("info", SLATE),
}
STAGES: Final[Words] = {
    "queue": ("queue", SLATE),
    "resolve": ("resolve", PALE_SLATE),
    "download": ("download", BLUE),
    "unpack": ("unpack", SKY),
    "backoff": ("back-off", DARK_ORANGE),
}
UP_DOWN: Final[Words] = {"1": ("up", BLUE), "0": ("down", RED)}


def mapping(words: Words, nothing: str) -> list[ValueMapping]:
    """Values as words with a colour. What is not there is `nothing`, without a colour."""
    options = {
        value: ValueMappingResult(text=text, color=colour, index=number)
        for number, (value, (text, colour)) in enumerate(words.items())
    }
    return [*([ValueMap(options=options)] if options else []), without_data(nothing)]


def without_data(text: str) -> SpecialValueMap:
    """What is shown where there is no value. Without it no value has the colour of the lowest threshold."""
    result = ValueMappingResult(text=text, color=NONE, index=100)
    return SpecialValueMap(options=DashboardSpecialValueMapOptions(match=SpecialValueMatch.NULL_AND_NAN, result=result))


def numbered(words: Words) -> Words:
    """The same words under the numbers that a timeline draws them by, from 1."""
    return {str(number): word for number, word in enumerate(words.values(), start=1)}


def steps(*bounds: tuple[float, str], base: str = BLUE) -> build.ThresholdsConfig:
    """Thresholds: the colour below the first bound, and that from each bound on."""
    first = Threshold(value=None, color=base)
    later = [Threshold(value=value, color=colour) for value, colour in bounds]
    return build.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps([first, *later])
