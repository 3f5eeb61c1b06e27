"""What goes on, shown again and again: in place in a terminal, line by line anywhere else."""

import sys
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from pulltrace_kubectl.core.picture import Picture
from pulltrace_kubectl.core.select import Known, news
from pulltrace_kubectl.errors import ClientError
from pulltrace_kubectl.model.options import Options, Output
from pulltrace_kubectl.render import terminal, words
from pulltrace_kubectl.render.drawing import drawn, nothing
from pulltrace_kubectl.render.layout import Line, Span
from pulltrace_kubectl.render.paint import painted
from pulltrace_kubectl.render.waits import table_lines

if TYPE_CHECKING:
    from pulltrace_kubectl.render.live import LivePicture

HEADING_LINES: Final = 2


class Screen(Protocol):
    """Shows one picture after the other."""

    def show(self, picture: Picture, problem: ClientError | None = None) -> None:
        """Show what is new. `problem` is why the picture is an old one."""
        ...


def screen_for(options: Options) -> AbstractContextManager[Screen]:
    """For text: redrawn in place on a terminal, only changed rows elsewhere. For a document: nothing is shown."""
    if options.output not in (Output.TEXT, Output.WIDE):
        return nullcontext(_Silent())
    if not terminal.is_terminal(sys.stdout):
        return nullcontext(NewsScreen(options))
    from pulltrace_kubectl.render.live import LivePicture

    return _InPlace(options, LivePicture(colour=terminal.has_colour(sys.stdout)))


class _Silent:
    def show(self, picture: Picture, problem: ClientError | None = None) -> None:
        """Shows nothing."""


class NewsScreen:
    """Writes the rows that have changed."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._known: Known | None = None

    def show(self, picture: Picture, problem: ClientError | None = None) -> None:
        """Write what is new; what has gone leaves no line."""
        if problem:
            terminal.warn(problem.problem)
            return
        changed, known = news(picture.waits, self._known or {})
        first, self._known = self._known is None, known
        form = terminal.form_for(self._options, sys.stdout)
        lines: list[Line] = []
        if keys := {wait.key for wait in changed}:
            # Of the whole table, so that columns stay where they are.
            whole = table_lines(picture.waits, form, namespaces=not picture.namespace, empty=True)
            heading, rows = whole[: int(form.headers)], whole[int(form.headers) :]
            lines = [
                *(heading if first else ()),
                *(row for wait, row in zip(picture.waits, rows, strict=True) if wait.key in keys),
            ]
        elif first and not picture.named:
            lines = [(Span(nothing(picture)),)]
        sys.stdout.write(painted(lines, colour=False))
        sys.stdout.flush()


class _InPlace(AbstractContextManager["_InPlace"]):
    def __init__(self, options: Options, live: "LivePicture") -> None:
        self._options = options
        self._live = live

    def __enter__(self) -> "_InPlace":
        self._live.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self._live.__exit__(None, None, None)

    def show(self, picture: Picture, problem: ClientError | None = None) -> None:
        """Draw it over the one before."""
        form = terminal.form_for(self._options, sys.stdout)
        form = replace(form, height=self._live.height - HEADING_LINES)
        self._live.show([_heading(picture, problem), (), *drawn(picture, self._options, form)])


def _heading(picture: Picture, problem: ClientError | None) -> Line:
    if problem:
        return (Span(f"{time.strftime('%H:%M:%S')}  no answer: {problem.problem}", "bad"),)
    missing = [wait for wait in picture.waits if not wait.over]
    count = words.counted(len(missing), "image is", "images are") + " waited for"
    return (Span(f"{time.strftime('%H:%M:%S')}  {count}", "dim"),)
