"""Sizes, times, rates, names and bars as a person reads them."""

from collections.abc import Iterable
from typing import Final

UNKNOWN: Final = "-"
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"


def size(count: float | None) -> str:
    """Bytes in decimal units, as container tools write them: `31 MB`, `4.2 GB`."""
    if count is None:
        return UNKNOWN
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 9.95 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def rate(count: float | None) -> str:
    """Bytes per second."""
    return UNKNOWN if count is None else f"{size(count)}/s"


def duration(seconds: float | None) -> str:
    """A time, much as kubectl writes ages: `41s`, `2m5s`, `3h12m`, `4d`."""
    if seconds is None:
        return UNKNOWN
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m" + (f"{whole % 60}s" if whole % 60 and whole < 600 else "")
    if whole < 86400:
        return f"{whole // 3600}h" + (f"{whole % 3600 // 60}m" if whole % 3600 >= 60 else "")
    return f"{whole // 86400}d" + (f"{whole % 86400 // 3600}h" if whole % 86400 >= 3600 else "")


def percent(ratio: float | None) -> str:
    """A share; only what is whole is 100%."""
    return UNKNOWN if ratio is None else f"{int(ratio * 100)}%"


def bar(ratio: float | None, width: int, *, unicode: bool) -> str:
    """A bar of `width` columns; an empty one where nothing is known."""
    eighths = int(max(0.0, min(1.0, ratio or 0.0)) * width * 8)
    whole, part = divmod(eighths, 8)
    if not unicode:
        return ("#" * whole).ljust(width, ".")
    return ("█" * whole + _EIGHTHS[part].strip()).ljust(width, "░")


def image(reference: str) -> str:
    """A reference in one line with its digest cut short, as people read it."""
    name, at, digest = reference.partition("@")
    return cell(f"{name}@{digest[:19]}" if at else reference)


def media_type(text: str) -> str:
    """A layer's media type without what all of them share: `tar+gzip`."""
    for mark in (".layer.v1.", ".rootfs.diff."):
        if mark in text:
            return text.rpartition(mark)[2]
    return text or UNKNOWN


def cell(text: str) -> str:
    """Text of any origin in one line."""
    return " ".join(text.split()) if not text.isprintable() else text


def counted(number: int, one: str, many: str = "") -> str:
    """`1 node`, `3 nodes`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def joined(parts: Iterable[str], separator: str = ", ") -> str:
    """The parts that are not empty."""
    return separator.join(part for part in parts if part)
