"""What goes on, shown again and again: in place in a terminal, line by line anywhere else."""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from pulltrace_kubectl.core.picture import Picture
from pulltrace_kubectl.core.select import Known, news
from pulltrace_kubectl.errors import ClientError
from pulltrace_kubectl.model.options import Options, Output, View
from pulltrace_kubectl.render import terminal, words
from pulltrace_kubectl.render.drawing import drawn
from pulltrace_kubectl.render.layout import Line, Span
from pulltrace_kubectl.render.node import pull_row
from pulltrace_kubectl.render.paint import painted
from pulltrace_kubectl.render.waits import Form, table_lines

if TYPE_CHECKING:
    from pulltrace_kubectl.render.live import LivePicture

HEADING_LINES: Final = 2


class Screen(Protocol):
    """Shows one picture after the other."""

    def show(self, picture: Picture, problem: ClientError | None = None) -> None:
        """Show what is new. `problem` is why the picture is an old one."""


def screen_for(options: Options) -> AbstractContextManager[Screen]:
    """For text: redrawn in place on a terminal, only changed rows elsewhere. For a document: nothing is shown."""
    if options.output not in (Output.TEXT, Output.WIDE):
        return nullcontext(_Silent())
    if not terminal.is_terminal(sys.stdout):
        return nullcontext(NewsScreen(options))
    return _in_place(options)


@contextmanager
def _in_place(options: Options) -> Iterator[Screen]:
    from pulltrace_kubectl.render.live import LivePicture

    with LivePicture(colour=terminal.has_colour(sys.stdout)) as live:
        yield _InPlace(options, live)


class _Silent:
    def show(self, picture: Picture, problem: ClientError | None = None) -> None:
        """Shows nothing."""


class NewsScreen:
    """Writes the rows that have changed."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._first = True
        self._waits: Known = frozenset()
        self._pulls: Known = frozenset()

    def show(self, picture: Picture, problem: ClientError | None = None) -> None:
        """Write what is new; what has gone leaves no line."""
        if problem:
            terminal.warn(problem.problem)
            return
        form = terminal.form_for(self._options, sys.stdout)
        lines = [*self._wait_lines(picture, form), *self._pull_lines(picture, form)]
        if self._first and not lines and not picture.named:
            lines = drawn(picture, self._options, form)
        self._first = False
        sys.stdout.write(painted(lines, colour=False))
        sys.stdout.flush()

    def _wait_lines(self, picture: Picture, form: Form) -> list[Line]:
        changed, self._waits = news(picture.waits, self._waits)
        if not changed:
            return []
        keys = {wait.key for wait in changed}
        # Of the whole table, so that columns stay where they are.
        whole = table_lines(picture.waits, form, namespaces=not picture.namespace, empty=True)
        heading, rows = whole[: int(form.headers)], whole[int(form.headers) :]
        return [
            *(heading if self._first else ()),
            *(row for wait, row in zip(picture.waits, rows, strict=True) if wait.key in keys),
        ]

    def _pull_lines(self, picture: Picture, form: Form) -> list[Line]:
        """Of pulls that no pod is known to wait for, in the views that show pulls."""
        if self._options.view not in (View.WAITS, View.NODE):
            return []
        changed, self._pulls = news([pull for each in picture.reports.values() for pull in each.pulls], self._pulls)
        told = {(wait.node, wait.pull.digest) for wait in picture.waits if wait.pull is not None}
        return [pull_row(pull, form) for pull in changed if (pull.node, pull.digest) not in told]


class _InPlace:
    def __init__(self, options: Options, live: "LivePicture") -> None:
        self._options = options
        self._live = live

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
