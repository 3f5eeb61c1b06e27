"""The aggregator's view as a person sees it: pods with bars and verdicts in a terminal, plain lines anywhere else."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from rig.demo import words
from rig.demo.screen import FRAME_INTERVAL, LINES_INTERVAL

STYLES = {
    "queued": "bright_black",
    "resolving": "bright_black",
    "downloading": "cyan",
    "unpacking": "yellow",
    "backoff": "magenta",
    "failed": "red",
    "pulled": "green",
    "unknown": "bright_black",
}
HARMLESS = ("progressing", "queue", "shared_layer")
BAR = 12
NARROW = 70
NO_ANSWER = "the aggregator does not answer"
NOBODY = "no pod waits for an image"


class PodBars:
    """A live picture, redrawn in place."""

    interval = FRAME_INTERVAL

    def __init__(self, console: Console, title: str, url: str) -> None:
        self._title = title
        self._url = url
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop", transient=False)

    def __enter__(self) -> "PodBars":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, view: Mapping[str, Any] | None) -> None:
        self._live.update(picture(view, self._title, self._url, self._live.console.width), refresh=True)


class PodLines:
    """A few lines every few seconds, for a file or a pipe."""

    interval = LINES_INTERVAL

    def __init__(self, title: str, url: str) -> None:
        print(f"{title}\nmetrics: {url}/metrics\npulls:   {url}/v1/pulls", flush=True)

    def __enter__(self) -> "PodLines":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def show(self, view: Mapping[str, Any] | None) -> None:
        print("", *lines(view), sep="\n", flush=True)


def picture(view: Mapping[str, Any] | None, title: str, url: str, width: int) -> RenderableType:
    """Everything on one screen of `width` columns: what has waited longest first."""
    head: list[RenderableType] = [
        Text(title, style="bold"),
        Text.assemble(("page    ", "bright_black"), (f"{url}/", "underline"), overflow="fold"),
        Text.assemble(("metrics ", "bright_black"), (f"{url}/metrics", "underline"), overflow="fold"),
        Text.assemble(("pulls   ", "bright_black"), (f"{url}/v1/pulls", "underline"), overflow="fold"),
        Rule(style="bright_black"),
    ]
    if view is None:
        return Group(*head, Text(NO_ANSWER, style="red"))
    rows = _sorted(view)
    if not rows:
        return Group(*head, Text(NOBODY, style="bright_black"))
    if width < NARROW:
        return Group(
            *head, *(Text(line, style=STYLES[row["phase"]]) for row, line in zip(rows, lines(view), strict=True))
        )
    return Group(*head, _table(rows))


def lines(view: Mapping[str, Any] | None) -> Iterator[str]:
    """One line per pod."""
    if view is None:
        yield NO_ANSWER
        return
    rows = _sorted(view)
    for row in rows:
        share = _share(row)
        percent = "    " if share is None else f"{share:4.0%}"
        parts = (f"blocked by {row['blockedBy']}" if "blockedBy" in row else "", _behind(row), _pace(row))
        said = "; ".join(part for part in parts if part)
        yield f"{row['phase']:11} {percent} {row['pod']} on {row['node']}: {words.tail(row['image'])}" + (
            f"; {said}" if said else ""
        )
    if not rows:
        yield NOBODY


def _table(rows: list[Mapping[str, Any]]) -> Table:
    """Two lines for each pod."""
    table = Table(box=None, padding=(0, 1), header_style="bright_black", expand=False)
    table.add_column("pod, image", overflow="ellipsis", no_wrap=True, min_width=18)
    table.add_column("node, phase", overflow="ellipsis", no_wrap=True, min_width=11)
    table.add_column("", width=BAR, min_width=BAR)
    table.add_column("", justify="right", no_wrap=True, min_width=4)
    table.add_column("blocked by", overflow="ellipsis", no_wrap=True)
    for row in rows:
        share, style = _share(row), STYLES[row["phase"]]
        cause = row.get("blockedBy", "")
        bar = "" if share is None else ProgressBar(total=1.0, completed=share, width=BAR, complete_style=style)
        table.add_row(
            Text.assemble((row["pod"], "bold"), "\n", (words.tail(row["image"]), "bright_black")),
            Text.assemble(row["node"], "\n", (row["phase"], style)),
            bar,
            "" if share is None else f"{share:.0%}",
            Text.assemble(
                (cause, "" if cause in HARMLESS else "red"), "\n", (_behind(row) or _pace(row), "bright_black")
            ),
        )
    return table


def _sorted(view: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """By node and by how long they wait; what has come is last."""
    return sorted(
        view["pods"],
        key=lambda row: (row["phase"] == "pulled", row["node"], -row.get("waitingSeconds", 0.0), row["pod"]),
    )


def _share(row: Mapping[str, Any]) -> float | None:
    pull = row.get("pull")
    return None if pull is None or row["phase"] not in ("downloading", "unpacking", "pulled") else words.share(pull)


def _behind(row: Mapping[str, Any]) -> str:
    return f"behind {words.tail(row['behind'])}" if row.get("behind") else ""


def _pace(row: Mapping[str, Any]) -> str:
    pull = row.get("pull")
    waiting = f"for {words.duration(row['waitingSeconds'])}" if "waitingSeconds" in row else ""
    pace = words.pace(pull) if pull is not None and row["phase"] != "queued" else ""
    return ", ".join(part for part in (pace, waiting) if part)
