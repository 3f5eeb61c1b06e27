"""The exporter's report as a person sees it: live bars in a terminal, plain lines anywhere else."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from rig.demo import words

HEIGHTS = "▁▂▃▄▅▆▇█"
STYLES = {
    "waiting": ("▁", "bright_black"),
    "downloaded": ("█", "cyan"),
    "unpacking": ("▓", "yellow"),
    "unpacked": ("■", "green"),
    "cached": ("▒", "green"),
}
PHASES = {
    "downloading": "cyan",
    "unpacking": "yellow",
    "succeeded": "green",
    "failed": "red",
    "orphaned": "magenta",
}
MARKS = {"succeeded": "✓", "failed": "✗", "orphaned": "?"}
WIDEST_BAR = 40
BESIDE_BAR = 32
SMALLEST_BAR = 8
ENDED_SHOWN = 6
LINES_INTERVAL = 2.0
FRAME_INTERVAL = 0.5


class Bars:
    """A live picture, redrawn in place."""

    interval = FRAME_INTERVAL

    def __init__(self, console: Console, title: str, url: str) -> None:
        self._title = title
        self._url = url
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop", transient=False)

    def __enter__(self) -> "Bars":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, report: Mapping[str, Any] | None) -> None:
        self._live.update(picture(report, self._title, self._url, self._live.console.width), refresh=True)


class Lines:
    """A few lines every few seconds, for a file or a pipe."""

    interval = LINES_INTERVAL

    def __init__(self, title: str, url: str) -> None:
        print(f"{title}\nmetrics: {url}/metrics\npulls:   {url}/v1/pulls", flush=True)

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def show(self, report: Mapping[str, Any] | None) -> None:
        print("", *lines(report), sep="\n", flush=True)


def picture(report: Mapping[str, Any] | None, title: str, url: str, width: int) -> RenderableType:
    """Everything on one screen of `width` columns: what runs first, then what has ended lately."""
    head: list[RenderableType] = [
        Text(title, style="bold"),
        Text.assemble(("metrics ", "bright_black"), (f"{url}/metrics", "underline"), overflow="fold"),
        Text.assemble(("pulls   ", "bright_black"), (f"{url}/v1/pulls", "underline"), overflow="fold"),
        _legend(),
        Rule(style="bright_black"),
    ]
    if report is None:
        return Group(*head, Text("the exporter does not answer", style="red"))
    running, ended = _sorted(report)
    body: list[RenderableType] = []
    if waiting := words.waiting_for_registry(report):
        body.append(Text(waiting, style="bright_black"))
    for pull in running:
        body += _running(pull, width)
    body += [_ended(pull) for pull in ended[:ENDED_SHOWN]]
    return Group(*head, *(body or [Text("no pull at the moment", style="bright_black")]))


def lines(report: Mapping[str, Any] | None) -> Iterator[str]:
    """One line per pull."""
    if report is None:
        yield "the exporter does not answer"
        return
    if waiting := words.waiting_for_registry(report):
        yield f"{'resolving':11} {waiting}"
    running, ended = _sorted(report)
    for pull in (*running, *ended[:ENDED_SHOWN]):
        percent = f"{words.share(pull) or 0:4.0%}"
        parts = (words.amount(pull), words.pace(pull), f"layers: {words.layers(pull)}")
        yield f"{pull['phase']:11} {percent} {words.name(pull)}: {'; '.join(part for part in parts if part)}"
    if not report["pulls"]:
        yield "no pull at the moment"


def _sorted(report: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    pulls = report["pulls"]
    running = [pull for pull in pulls if "endedAgeSeconds" not in pull]
    ended = [pull for pull in pulls if "endedAgeSeconds" in pull]
    # The oldest keeps its place on top; of the ended ones the latest is news.
    return sorted(running, key=lambda pull: -pull["ageSeconds"]), sorted(
        ended, key=lambda pull: pull["endedAgeSeconds"]
    )


def _running(pull: Mapping[str, Any], width: int) -> Iterable[RenderableType]:
    yield Text.assemble((words.name(pull), "bold"), "  ", _phase(pull))
    yield _bar(pull, max(SMALLEST_BAR, min(WIDEST_BAR, width - BESIDE_BAR)))
    yield _layers(pull)
    yield Text(f"{words.amount(pull)}; {words.layers(pull)}", style="bright_black")
    yield Text("")


def _bar(pull: Mapping[str, Any], width: int) -> RenderableType:
    share = words.share(pull)
    bar = Table.grid(padding=(0, 1))
    bar.add_column(width=width)
    bar.add_column(justify="right", width=4)
    bar.add_column()
    bar.add_row(
        ProgressBar(
            total=1.0, completed=share or 0.0, width=width, pulse=share is None, complete_style=PHASES[pull["phase"]]
        ),
        "" if share is None else f"{share:.0%}",
        Text(words.pace(pull), style="red" if words.stands_still(pull) else ""),
    )
    return bar


def _ended(pull: Mapping[str, Any]) -> RenderableType:
    phase = pull["phase"]
    return Text.assemble(
        (f"{MARKS[phase]} {words.name(pull)}", PHASES[phase]),
        f"  {phase} {words.pace(pull)}",
        (f"  {words.amount(pull)}", "bright_black"),
        no_wrap=True,
        overflow="ellipsis",
    )


def _phase(pull: Mapping[str, Any]) -> Text:
    requests = f" for {pull['requests']} requests" if pull.get("requests", 1) > 1 else ""
    return Text(f"{pull['phase']}{requests}", style=PHASES[pull["phase"]])


def _layers(pull: Mapping[str, Any]) -> Text:
    """A few marks per layer, fewer when there are many; they grow while it is downloaded."""
    layers = pull.get("layers", ())
    times = max(1, min(3, WIDEST_BAR // max(1, len(layers))))
    text = Text()
    for layer in layers:
        mark, style = STYLES.get(layer["state"], ("", "cyan"))
        text.append((mark or _height(layer)) * times, style)
    return text


def _height(layer: Mapping[str, Any]) -> str:
    share = layer["downloadedBytes"] / layer["sizeBytes"] if layer["sizeBytes"] else 1.0
    return HEIGHTS[min(len(HEIGHTS) - 1, int(share * len(HEIGHTS)))]


def _legend() -> Text:
    text = Text("layers  ", style="bright_black")
    text.append("▄ downloading ", "cyan")
    for state in ("downloaded", "unpacking", "unpacked", "cached"):
        mark, style = STYLES[state]
        text.append(f"{mark} {state} ", style)
    return text
