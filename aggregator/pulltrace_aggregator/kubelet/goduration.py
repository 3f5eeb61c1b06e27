"""Durations as Go's `time.Duration` prints them: `1h0m3s`, `1m2.345s`, `1.5ms`, `350µs`, `12ns`, `0s`, `-2s`."""

import re
from decimal import Decimal
from typing import Final

_UNIT = r"(?:ns|us|µs|μs|ms|s|m|h)"  # the micro sign, which Go prints, and the letter, which it reads
_NUMBER = r"(?:[0-9]{1,19}(?:\.[0-9]{0,19})?|\.[0-9]{1,19})"
DURATION: Final = rf"[-+]?(?:0|(?:{_NUMBER}{_UNIT})+)"
"""Regular expression of one duration, to be built into larger ones. Longer numbers than Go can hold do not match."""

_WHOLE = re.compile(DURATION)
_PART = re.compile(rf"({_NUMBER})({_UNIT})")
_SECONDS: Final = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),
    "μs": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}
_LONGEST = Decimal(2**63) / 10**9
"""Go keeps durations in 63 bits of nanoseconds."""


def parse_duration(text: str) -> float | None:
    """Seconds, negative ones too; None when `text` is no duration that Go could have printed or read."""
    if not _WHOLE.fullmatch(text):
        return None
    total = sum((Decimal(number) * _SECONDS[unit] for number, unit in _PART.findall(text)), start=Decimal(0))
    if total > _LONGEST:
        return None
    return float(-total if text.startswith("-") else total)
