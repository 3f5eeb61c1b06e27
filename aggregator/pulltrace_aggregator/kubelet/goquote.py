r"""Strings as Go's `%q` verb prints them, in which the kubelet wraps image references.

Rules of `strconv.Quote`: what is printable stands for itself, the rest is written as `\a \b \f \n \r \t \v \\ \"`,
`\xNN` for a byte (of a control character, or that is no UTF-8), `\uNNNN` or `\UNNNNNNNN` for a code point.
"""

import re
from collections.abc import Iterator
from typing import Final

_HEX = "[0-9a-fA-F]"
_POINTS = rf"u(?![dD][89a-fA-F]){_HEX}{{4}}|U(?!0000[dD][89a-fA-F])00(?:0{_HEX}|10){_HEX}{{4}}"
QUOTED: Final = rf'"(?:[^"\\\n]|\\(?:[abfnrtv"\\]|x{_HEX}{{2}}|{_POINTS}))*"'
"""Regular expression of one quoted string, to be built into larger ones. Escapes of what is no character are none."""

_WHOLE = re.compile(QUOTED)
_PIECE = re.compile(
    r"\\x(?P<byte>.{2})|\\u(?P<short>.{4})|\\U(?P<long>.{8})|\\(?P<letter>.)|(?P<plain>[^\\]+)", re.DOTALL
)
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def unquote(quoted: str) -> str | None:
    """The text between the quotes, escapes undone; None when `quoted` is not what Go prints.

    Bytes that are no UTF-8 become U+FFFD, as they do in the API server's JSON.
    """
    if not _WHOLE.fullmatch(quoted):
        return None
    pieces = _PIECE.finditer(quoted, 1, len(quoted) - 1)
    return b"".join(map(_meant, pieces)).decode("utf-8", "replace")


def quoted_in(text: str) -> Iterator[str]:
    """What stands between quotes in a text, escapes undone."""
    return (inner for found in _WHOLE.findall(text) if (inner := unquote(found)) is not None)


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
