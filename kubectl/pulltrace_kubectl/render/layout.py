"""Columns of text in a given width: what matters least is left out first, and long names are cut in the middle."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

GAP: Final = "  "
EXTRA_RANK: Final = 6
"""A column of this rank or a greater one is left out before any name is cut."""
ELLIPSIS: Final = "…"


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a line; `style` is a name that the painter knows, empty for none."""

    text: str
    style: str = ""


Line = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """One column. The one with the greatest `rank` is left out first where there is no room; rank 0 always stays.

    `least` is the width below which it is not cut; 0 is never cut. `image` cells lose their registry first.
    """

    title: str
    rank: int = 0
    least: int = 0
    right: bool = False
    image: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under columns."""

    columns: tuple[Column, ...]
    rows: list[tuple[Span, ...]] = field(default_factory=list)


def lines(
    table: Table, width: int | None, *, headers: bool = True, ascii_only: bool = False, empty: bool = False
) -> list[Line]:
    """The table in `width` columns; None is no limit.

    A column of which nothing is known is left out, unless `empty` ones are wanted.
    """
    shown, widths = _fit(table, width, empty=empty)
    result = []
    if headers:
        titles = tuple(Span(column.title, "heading") for column in table.columns)
        result.append(_line(table, titles, shown, widths, ascii_only=ascii_only))
    return [*result, *(_line(table, row, shown, widths, ascii_only=ascii_only) for row in table.rows)]


def cut(text: str, width: int, *, ascii_only: bool = False) -> str:
    """The text in at most `width` columns. Its middle is left out, because names differ at their ends."""
    mark = ".." if ascii_only else ELLIPSIS
    if len(text) <= width:
        return text
    room = width - len(mark)
    if room < 2:
        return text[:width]
    tail = room * 3 // 5
    return text[: room - tail] + mark + text[len(text) - tail :]


def cut_image(text: str, width: int, *, ascii_only: bool = False) -> str:
    """An image reference in at most `width` columns: its registry is left out first."""
    mark = ".." if ascii_only else ELLIPSIS
    _, slash, rest = text.partition("/")
    if len(text) <= width or not slash:
        return cut(text, width, ascii_only=ascii_only)
    short = f"{mark}/{rest}"
    return short if len(short) <= width else cut(rest, width, ascii_only=ascii_only)


def wrapped(line: Sequence[Span], width: int | None, indent: int, gap: str = " ") -> list[Line]:
    """A line broken at gaps, the further ones indented. Line feeds and the like are spaces."""
    line = [Span(re.sub(r"\s*[^\S ]\s*", " ", span.text), span.style) for span in line]
    if width is None or sum(len(span.text) for span in line) <= width:
        return [tuple(line)]
    result: list[Line] = []
    current: list[Span] = []
    used = 0
    for span in line:
        for word in _pieces(span.text, gap):
            if used + len(word.rstrip()) > width and used > indent:
                result.append(tuple(current))
                current, used, word = [Span(" " * indent)], indent, word.lstrip()
            current.append(Span(word, span.style))
            used += len(word)
    return [*result, tuple(current)]


def plain(line: Line) -> str:
    """The line without styles."""
    return "".join(span.text for span in line).rstrip()


def _pieces(text: str, gap: str) -> list[str]:
    """The text in pieces, each with the gap behind it."""
    found = re.findall(rf"(?:(?!{gap}).)+(?:{gap})*|(?:{gap})+", text)
    return [str(piece) for piece in found]


def _fit(table: Table, width: int | None, *, empty: bool) -> tuple[list[int], Mapping[int, int]]:
    """Which columns are shown, by index, and how wide each is."""
    natural = {
        index: max([len(column.title), *(len(row[index].text) for row in table.rows)])
        for index, column in enumerate(table.columns)
    }
    shown = [index for index in natural if empty or any(row[index].text.strip("-") for row in table.rows)]
    shown = shown or list(natural)
    if width is None:
        return shown, natural
    for index in sorted(shown, key=lambda index: -table.columns[index].rank):
        if table.columns[index].rank >= EXTRA_RANK and _total(shown, natural) > width:
            shown.remove(index)
    least = {index: _smallest(table.columns[index], natural[index]) for index in shown}
    while _total(shown, least) > width:
        last = max(shown, key=lambda index: (table.columns[index].rank, index))
        if table.columns[last].rank == 0:
            break
        shown.remove(last)
    return shown, _shrunk(shown, natural, least, width)


def _total(shown: Sequence[int], widths: Mapping[int, int]) -> int:
    return sum(widths[index] for index in shown) + len(GAP) * (len(shown) - 1)


def _smallest(column: Column, natural: int) -> int:
    return min(natural, max(column.least, len(column.title))) if column.least else natural


def _shrunk(
    shown: Sequence[int], natural: Mapping[int, int], least: Mapping[int, int], width: int
) -> Mapping[int, int]:
    """Take from the widest column that can give, until all fit."""
    widths = {index: natural[index] for index in shown}
    over = _total(shown, widths) - width
    while over > 0:
        can = [index for index in shown if widths[index] > least[index]]
        if not can:
            break
        widths[max(can, key=lambda index: widths[index])] -= 1
        over -= 1
    return widths


def _line(
    table: Table, cells: Sequence[Span], shown: Sequence[int], widths: Mapping[int, int], *, ascii_only: bool
) -> Line:
    spans: list[Span] = []
    for position, index in enumerate(shown):
        column, span = table.columns[index], cells[index]
        text = (cut_image if column.image else cut)(span.text, widths[index], ascii_only=ascii_only)
        padded = text.rjust(widths[index]) if column.right else text.ljust(widths[index])
        spans.append(Span((GAP if position else "") + padded, span.style))
    return tuple(spans)
