"""Colours and words. Colours are those of Okabe and Ito, which the colour-blind can tell apart; none stands alone.

Blue goes on, orange is slow, red does not go on, purple wants somebody to change something, grey is not known.
"""

from collections.abc import Mapping
from typing import Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models.dashboard import (
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)

BLUE: Final = "#0072B2"
SKY: Final = "#56B4E9"
GREEN: Final = "#009E73"
YELLOW: Final = "#F0E442"
ORANGE: Final = "#E69F00"
RED: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
GREY: Final = "#8C8C8C"
INK: Final = "text"
"""Grafana's own colour of text, light or dark."""

CAUSES: Final[Mapping[str, tuple[str, str]]] = {
    "progressing": ("progressing", BLUE),
    "queue": ("queue", SKY),
    "shared_layer": ("shared layer", SKY),
    "slow_download": ("slow download", ORANGE),
    "slow_unpack": ("slow unpack", ORANGE),
    "backoff": ("back-off", ORANGE),
    "stalled": ("stalled", RED),
    "registry": ("registry", RED),
    "rate_limited": ("rate limited", PURPLE),
    "credentials": ("credentials", PURPLE),
    "not_found": ("not found", PURPLE),
    "no_exporter": ("no exporter", GREY),
}
POD_PHASES: Final[Mapping[str, tuple[str, str]]] = {
    "queued": ("queued", SKY),
    "resolving": ("resolving", PURPLE),
    "downloading": ("downloading", BLUE),
    "unpacking": ("unpacking", GREEN),
    "backoff": ("back-off", ORANGE),
    "failed": ("failed", RED),
    "pulled": ("pulled", YELLOW),
    "unknown": ("unknown", GREY),
}
PULL_PHASES: Final[Mapping[str, tuple[str, str]]] = {
    "downloading": ("downloading", BLUE),
    "unpacking": ("unpacking", GREEN),
    "succeeded": ("succeeded", YELLOW),
    "failed": ("failed", RED),
    "orphaned": ("orphaned", GREY),
}
LAYER_STATES: Final[Mapping[str, tuple[str, str]]] = {
    "waiting": ("waiting", GREY),
    "downloading": ("downloading", BLUE),
    "downloaded": ("downloaded", SKY),
    "unpacking": ("unpacking", ORANGE),
    "unpacked": ("unpacked", GREEN),
    "cached": ("cached", YELLOW),
}
STALE: Final[Mapping[str, tuple[str, str]]] = {
    "no_progress": ("no bytes", RED),
    "unpack_no_progress": ("unpack stands still", RED),
    "slow": ("slow", ORANGE),
    "exporter_unreachable": ("no exporter", GREY),
    "orphaned": ("orphaned", GREY),
}
REASONS: Final[Mapping[str, tuple[str, str]]] = {
    "unauthorized": ("unauthorized", PURPLE),
    "not_found": ("not found", ORANGE),
    "rate_limited": ("rate limited", YELLOW),
    "registry_unavailable": ("registry unavailable", RED),
    "timeout": ("timeout", BLUE),
    "dns": ("DNS", SKY),
    "tls": ("TLS", GREEN),
    "disk_full": ("disk full", GREY),
    "signature": ("signature", PURPLE),
    "invalid_name": ("invalid name", ORANGE),
    "never_pull": ("never pull", YELLOW),
    "kubelet_rate_limit": ("kubelet's limit", BLUE),
    "canceled": ("canceled", SKY),
    "other": ("other", GREY),
}
STAGES: Final[Mapping[str, tuple[str, str]]] = {
    "queue": ("queue", SKY),
    "resolve": ("resolve", PURPLE),
    "download": ("download", BLUE),
    "unpack": ("unpack", GREEN),
    "backoff": ("back-off", ORANGE),
}
UP_DOWN: Final[Mapping[str, tuple[str, str]]] = {"1": ("up", BLUE), "0": ("down", RED)}


def mapping(words: Mapping[str, tuple[str, str]]) -> list[ValueMapping]:
    """Values of a label, or of a number, as words with a colour."""
    options = {
        value: ValueMappingResult(text=text, color=colour, index=number)
        for number, (value, (text, colour)) in enumerate(words.items())
    }
    return [ValueMap(options=options)]


def numbered(words: Mapping[str, tuple[str, str]]) -> Mapping[str, tuple[str, str]]:
    """The same words under the numbers that a timeline draws them by, from 1."""
    return {str(number): word for number, word in enumerate(words.values(), start=1)}


def steps(*bounds: tuple[float, str], base: str = BLUE) -> build.ThresholdsConfig:
    """Thresholds: the colour below the first bound, and that from each bound on."""
    first = Threshold(value=None, color=base)
    later = [Threshold(value=value, color=colour) for value, colour in bounds]
    return build.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps([first, *later])
