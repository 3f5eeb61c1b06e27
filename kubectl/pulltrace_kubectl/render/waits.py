"""The default list: what waits, one line for each image, and below what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pulltrace_kubectl.core.advice import HARMLESS, advised
from pulltrace_kubectl.model.pulls import PROGRESSING, Wait
from pulltrace_kubectl.render import words
from pulltrace_kubectl.render.layout import Column, Line, Span, Table, lines, wrapped

BAR: Final = 10
SHORT_BAR: Final = 4
BAR_FROM: Final = 110
"""Columns that a terminal has to have for the longer bar in a table."""
STYLES: Final = {
    "queued": "dim", "resolving": "dim", "downloading": "active", "unpacking": "busy", "backoff": "bad",
    "failed": "bad", "pulled": "good", "unknown": "dim",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Form:
    """How text is drawn.

    `width` and `height` are None where there is no limit, `bars` need a terminal, `unicode` one that has it.
    """

    width: int | None = None
    bars: bool = False
    unicode: bool = True
    headers: bool = True
    wide: bool = False
    height: int | None = None

    @property
    def room(self) -> int | None:
        """Columns to fit into; None for no limit."""
        return None if self.wide else self.width


_COLUMNS: Final = (
    Column("NAMESPACE", least=8),
    Column("POD", least=12),
    Column("CONTAINER", rank=6, least=6),
    Column("IMAGE", least=12, image=True),
    Column("NODE", rank=5, least=8),
    Column("PHASE"),
    Column("PROGRESS", rank=1),
    Column("SIZE", rank=7, right=True),
    Column("RATE", rank=4, right=True),
    Column("LEFT", rank=2, right=True),
    Column("WAITING", rank=3, right=True),
    Column("BLOCKED BY"),
    Column("BEHIND", rank=8, least=12, image=True),
)


def wait_lines(waits: Sequence[Wait], form: Form, *, namespaces: bool) -> list[Line]:
    """The table and what to do, in the form's height. `namespaces` puts the pod's in front. The waits are in order."""
    advice = advice_lines(waits, form)
    shown = waits
    if form.height is not None and len(waits) > (room := max(3, form.height - len(advice) - form.headers)):
        shown = waits[: room - 1]
    drawn = table_lines(shown, form, namespaces=namespaces)
    if len(waits) > len(shown):
        drawn.append((Span(f"and {len(waits) - len(shown)} more", "dim"),))
    return [*drawn, *advice]


def table_lines(waits: Sequence[Wait], form: Form, *, namespaces: bool, empty: bool = False) -> list[Line]:
    """The table alone; with columns of which nothing is known where `empty` ones are wanted."""
    first = 0 if namespaces else 1
    table = Table(_COLUMNS[first:], [_cells(wait, form)[first:] for wait in waits])
    return lines(table, form.room, headers=form.headers, ascii_only=not form.unicode, empty=empty)


def advice_lines(waits: Sequence[Wait], form: Form) -> list[Line]:
    """A blank line and one for each cause; nothing where nothing is to be done."""
    drawn: list[Line] = []
    for cause, text in advised(waits).items():
        drawn += wrapped((Span(cause, cause_style(cause)), Span(f": {text}")), form.room, 2)
    return [(), *drawn] if drawn else []


def progress(ratio: float | None, form: Form, width: int = 0) -> str:
    """A bar with its share, or the share alone. The bar is as long as the terminal has room for, unless told."""
    if ratio is None:
        return words.UNKNOWN
    if not form.bars:
        return words.percent(ratio)
    width = width or (BAR if form.room is None or form.room >= BAR_FROM else SHORT_BAR)
    return f"{words.bar(ratio, width, unicode=form.unicode)} {words.percent(ratio):>4}"


def cause_style(cause: str) -> str:
    """The style of a cause: `bad` where somebody has to do something."""
    return "" if cause.partition(" ")[0] in HARMLESS else "bad"


def _cells(wait: Wait, form: Form) -> tuple[Span, ...]:
    pull = wait.pull
    cause = "" if wait.over or wait.cause == PROGRESSING else wait.cause
    moving = pull if wait.phase in ("downloading", "unpacking") else None
    style = STYLES.get(wait.phase, "")
    return (
        Span(words.cell(wait.namespace)),
        Span(words.cell(wait.pod), "name"),
        Span(words.cell(wait.container)),
        Span(words.image(wait.image)),
        Span(words.cell(wait.node)),
        Span(words.cell(wait.phase), style),
        Span(
            words.cell(f"fetched by {moving.fetcher}") if moving and moving.unseen else progress(wait.ratio, form),
            style,
        ),
        Span(words.size(pull.size if pull else None)),
        Span(words.rate(moving.rate if moving and wait.phase == "downloading" else None)),
        Span(words.duration(moving.eta if moving else None)),
        Span(words.duration(wait.waiting)),
        Span(words.cell(cause or words.UNKNOWN), cause_style(wait.cause)),
        Span(words.image(wait.behind) or words.UNKNOWN),
    )
