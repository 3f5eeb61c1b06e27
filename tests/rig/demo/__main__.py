"""Sets the demo up, shows it, and takes it down again: a cluster of three nodes, or one node layer by layer."""

import argparse
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self

from rich.console import Console

from rig.demo import programs, stage
from rig.demo.cluster import Story, demo_cluster
from rig.demo.play import Play
from rig.demo.pods import PodBars, PodLines
from rig.demo.programs import Program
from rig.demo.screen import Bars, Lines
from rig.processes import CommandFailed

FAILED = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C, SIGTERM or the given time; answers the exit status."""
    arguments = _parser().parse_args(argv)
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: over.set())
    watch = _watching(over, arguments.duration)
    try:
        if arguments.real or arguments.node:
            _show_node(stage.real if arguments.real else stage.synthetic, arguments.seed, watch)
        else:
            _show_cluster(arguments.seed, watch)
    except (CommandFailed, stage.Unavailable) as error:
        print(f"demo: {error}", file=sys.stderr)
        return FAILED
    return 0


class _Played(Protocol):
    """What goes on."""

    @property
    def broken(self) -> bool: ...


class _Screen(Protocol):
    interval: float

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def show(self, report: Any) -> None: ...


_Watch = Callable[[Program, _Played, _Screen], None]


def _show_node(set_up: Callable[[int], Any], seed: int, watch: _Watch) -> None:
    with set_up(seed) as staged:
        exporter = programs.exporter(staged.node.socket, staged.folder)
        try:
            exporter.wait_ready()
            play = Play(staged.node, staged.shop)
            play.start()
            try:
                console = Console()
                make = (
                    Bars(console, staged.title, exporter.url)
                    if console.is_terminal
                    else Lines(staged.title, exporter.url)
                )
                watch(exporter, play, make)
            finally:
                play.stop()
        finally:
            exporter.close()


def _show_cluster(seed: int, watch: _Watch) -> None:
    with demo_cluster() as cluster:
        story = Story(cluster.nodes, seed)
        story.start()
        try:
            console, url = Console(), cluster.aggregator.url
            title = "Pulltrace on three nodes that are stand-ins, and a Kubernetes API that is one too; Ctrl-C ends"
            make = PodBars(console, title, url) if console.is_terminal else PodLines(title, url)
            watch(cluster.aggregator, story, make)
        finally:
            story.stop()


def _watching(over: threading.Event, duration: float | None) -> _Watch:
    def watch(program: Program, play: _Played, screen: _Screen) -> None:
        deadline = time.monotonic() + duration if duration else None
        with screen:
            while not over.wait(screen.interval):
                screen.show(program.report())
                if play.broken:
                    raise CommandFailed("the play broke off")
                if deadline and time.monotonic() > deadline:
                    return

    return watch


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rig.demo", description="Watch image pulls, of a cluster or of one node.")
    parser.add_argument(
        "--real",
        action="store_true",
        default=os.environ.get("REAL") == "1",
        help="a real containerd and a registry on loopback; needs root",
    )
    parser.add_argument(
        "--node",
        action="store_true",
        default=os.environ.get("NODE") == "1",
        help="one node alone, its pulls layer by layer",
    )
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="end by itself after this time")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="the same play again")
    return parser


if __name__ == "__main__":
    sys.exit(main())
