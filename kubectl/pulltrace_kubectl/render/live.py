"""A picture that is redrawn in place, by rich."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pulltrace_kubectl.render.layout import Line, Span

STYLES: Final[Mapping[str, str]] = {
    "heading": "dim",
    "dim": "dim",
    "name": "bold",
    "active": "cyan",
    "busy": "yellow",
    "good": "green",
    "bad": "red",
}


class LivePicture:
    """Draws lines over those it drew before. What does not fit the terminal's height is left out, and counted."""

    def __init__(self, *, colour: bool) -> None:
        self._console = Console(no_color=not colour, highlight=False)
        # rich's replacement of standard output has no encoding and is no terminal, and `form_for` asks for both.
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            vertical_overflow="crop",
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    @property
    def height(self) -> int:
        """Lines that there is room for."""
        return max(4, self._console.height - 1)

    def show(self, lines: Sequence[Line]) -> None:
        """Replace the picture."""
        self._live.update(to_text(fitting(lines, self.height)), refresh=True)


def fitting(lines: Sequence[Line], height: int) -> list[Line]:
    """The first lines, and how many there are beside."""
    if len(lines) <= height:
        return list(lines)
    rest = len(lines) - height + 1
    return [*lines[: height - 1], (Span(f"({rest} more lines; a higher terminal shows them)", "dim"),)]


def to_text(lines: Sequence[Line]) -> Text:
    """The lines as rich has them."""
    text = Text(no_wrap=True, overflow="crop", end="")
    for number, line in enumerate(lines):
        if number:
            text.append("\n")
        for span in line:
            text.append(span.text, STYLES.get(span.style))
    return text
