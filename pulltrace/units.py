"""Durations and sizes as people write them in flags and files.

Durations are Prometheus' (`model.ParseDuration`): whole numbers with the units y w d h m s ms, each at most
once and in that order; a year has 365 days. Sizes are whole bytes, or whole KiB, MiB or GiB.
"""

import re
from typing import Final

from pulltrace.text import shortened

_MILLISECONDS: Final = {
    "y": 365 * 86_400_000,
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1000,
    "ms": 1,
}
_DURATION = re.compile("".join(rf"(?:([0-9]+){unit})?" for unit in _MILLISECONDS))
_LONGEST = (2**63 - 1) // 1_000_000
"""The longest duration, in milliseconds: Prometheus keeps durations in 63 bits of nanoseconds, some 292 years."""

_BYTES: Final = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "": 1}
_SIZE = re.compile(r"([0-9]+)(KiB|MiB|GiB|)")
_LARGEST = 2**63 - 1
_MOST_DIGITS = 19
_SHOWN = 40


def parse_duration(text: str) -> float:
    """Seconds that `text` means; a bare `0` is allowed, as in Prometheus. Raises ValueError."""
    if text == "0":
        return 0.0
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        raise ValueError(f"{shortened(text, _SHOWN)!r} is not a duration: write it like 500ms, 30s or 1m30s")
    total = sum(
        _integer(number, text, "duration") * size
        for number, size in zip(found.groups(default="0"), _MILLISECONDS.values(), strict=True)
    )
    if total > _LONGEST:
        raise ValueError(f"duration {shortened(text, _SHOWN)!r} is too long")
    return total / 1000


def format_duration(seconds: float) -> str:
    """The duration as Prometheus writes it (`model.Duration.String`), to the millisecond: `1m30s`, `0s`.

    Years and weeks appear only where nothing is left over. Raises ValueError below 0 s and above 292 years.
    """
    if not 0 <= seconds * 1000 <= _LONGEST:
        raise ValueError(f"{seconds} seconds cannot be written as a duration")
    rest = round(seconds * 1000)
    parts = []
    for unit, size in _MILLISECONDS.items():
        if rest >= size and (unit not in ("y", "w") or rest % size == 0):
            parts.append(f"{rest // size}{unit}")
            rest %= size
    return "".join(parts) or "0s"


def parse_size(text: str) -> int:
    """Bytes that `text` means: `4096`, `64KiB`, `10MiB`, `2GiB`. Raises ValueError."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"{shortened(text, _SHOWN)!r} is not a size: write bytes like 4096, or 64KiB, 10MiB, 2GiB")
    total = _integer(found[1], text, "size") * _BYTES[found[2]]
    if total > _LARGEST:
        raise ValueError(f"size {shortened(text, _SHOWN)!r} is too large")
    return total


def _integer(digits: str, text: str, kind: str) -> int:
    """The number. Very long ones are refused here, with our message instead of Python's."""
    significant = digits.lstrip("0")
    if len(significant) > _MOST_DIGITS:
        raise ValueError(f"{kind} {shortened(text, _SHOWN)!r} is too {'long' if kind == 'duration' else 'large'}")
    return int(significant or "0")
