r"""What Go's `%q` and `%v` print: quoted strings, in which the kubelet wraps image references, and durations.

Rules of `strconv.Quote`: what is printable stands for itself, the rest is written as `\a \b \f \n \r \t \v \\ \"`,
`\xNN` for a byte (a control character, or not UTF-8), `\uNNNN` or `\UNNNNNNNN` for a code point. Durations look like
`1h0m3s`, `1m2.345s`, `1.5ms`, `350µs`, `12ns`, `0s`, `-2s`.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

_HEX = "[0-9a-fA-F]"
_POINTS = rf"u(?![dD][89a-fA-F]){_HEX}{{4}}|U(?!0000[dD][89a-fA-F])00(?:0{_HEX}|10){_HEX}{{4}}"
QUOTED: Final = rf'"(?:[^"\\\n]|\\(?:[abfnrtv"\\]|x{_HEX}{{2}}|{_POINTS}))*"'
"""Regular expression of one quoted string, for use in larger ones. An escape of no Unicode character does not match."""

_WHOLE_STRING = re.compile(QUOTED)
_PIECE = re.compile(
    r"\\x(?P<byte>.{2})|\\u(?P<short>.{4})|\\U(?P<long>.{8})|\\(?P<letter>.)|(?P<plain>[^\\]+)", re.DOTALL
)
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def unquote(quoted: str) -> str | None:
    """The text between the quotes, escapes undone; None when `quoted` is not what Go prints.

    Bytes that are not UTF-8 become U+FFFD, as they do in the API server's JSON.
    """
    if not _WHOLE_STRING.fullmatch(quoted):
        return None
    pieces = _PIECE.finditer(quoted, 1, len(quoted) - 1)
    return b"".join(map(_meant, pieces)).decode("utf-8", "replace")


def quoted_in(text: str) -> Iterator[str]:
    """Each text between quotes, with escapes undone."""
    return (inner for found in _WHOLE_STRING.findall(text) if (inner := unquote(found)) is not None)


def _meant(piece: re.Match[str]) -> bytes:
    text: str = piece[piece.lastgroup or 0]
    match piece.lastgroup:
        case "byte":
            return bytes.fromhex(text)
        case "short" | "long":
            return chr(int(text, 16)).encode()
        case "letter":
            return _LETTERS.get(text, text).encode()
        case _:
            # JSON can hold half a surrogate pair, UTF-8 cannot.
            return text.encode("utf-8", "surrogatepass")


_UNIT = r"(?:ns|us|µs|μs|ms|s|m|h)"  # the micro sign, which Go prints, and the letter mu, which Go also reads
_NUMBER = r"(?:[0-9]{1,19}(?:\.[0-9]{0,19})?|\.[0-9]{1,19})"
DURATION: Final = rf"[-+]?(?:0|(?:{_NUMBER}{_UNIT})+)"
"""Regular expression of one duration, for use in larger ones. Numbers that are too long for Go do not match."""

_WHOLE_DURATION = re.compile(DURATION)
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
"""Seconds. Go keeps a duration as nanoseconds in a signed number of 64 bits."""


def parse_duration(text: str) -> float | None:
    """Seconds, which may be negative; None for a text that Go neither prints nor reads as a duration."""
    if not _WHOLE_DURATION.fullmatch(text):
        return None
    total = sum((Decimal(number) * _SECONDS[unit] for number, unit in _PART.findall(text)), start=Decimal(0))
    if total > _LONGEST:
        return None
    return float(-total if text.startswith("-") else total)
