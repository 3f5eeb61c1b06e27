"""Lines as text, coloured where a terminal wants it."""

from collections.abc import Iterable, Mapping
from typing import Final

from pulltrace_kubectl.render.layout import Line, Span, plain

SGR: Final[Mapping[str, str]] = {
    "heading": "2",
    "dim": "2",
    "name": "1",
    "active": "36",
    "busy": "33",
    "good": "32",
    "bad": "31",
}


def painted(lines: Iterable[Line], *, colour: bool) -> str:
    """The lines with line ends."""
    return "".join((_coloured(line) if colour else plain(line)) + "\n" for line in lines)


def _coloured(line: Line) -> str:
    return "".join(_span(span) for span in line).rstrip()


def _span(span: Span) -> str:
    code = SGR.get(span.style)
    return f"\x1b[{code}m{span.text}\x1b[0m" if code and span.text.strip() else span.text
