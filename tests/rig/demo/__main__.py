"""Sets the demo up, shows it, and takes it down again."""

import argparse
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Sequence

from rich.console import Console

from rig.demo import stage
from rig.demo.exporter import Exporter
from rig.demo.play import Play
from rig.demo.screen import Bars, Lines
from rig.processes import CommandFailed

FAILED = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C, SIGTERM or the given time; answers the exit status."""
    arguments = _parser().parse_args(argv)
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: over.set())
    set_up = stage.real if arguments.real else stage.synthetic
    try:
        with set_up(arguments.seed) as staged:
            _show(staged, over, arguments.duration)
    except (CommandFailed, stage.Unavailable) as error:
        print(f"demo: {error}", file=sys.stderr)
        return FAILED
    return 0


def _show(staged: stage.Stage, over: threading.Event, duration: float | None) -> None:
    exporter = Exporter(staged.node.socket, staged.folder)
    try:
        exporter.wait_ready()
        play = Play(staged.node, staged.shop)
        play.start()
        try:
            _watch(exporter, play, staged.title, over, duration)
        finally:
            play.stop()
    finally:
        exporter.close()


def _watch(exporter: Exporter, play: Play, title: str, over: threading.Event, duration: float | None) -> None:
    console = Console()
    deadline = time.monotonic() + duration if duration else None
    make = Bars(console, title, exporter.url) if console.is_terminal else Lines(title, exporter.url)
    with make as screen:
        while not over.wait(screen.interval):
            screen.show(exporter.report())
            if play.broken:
                raise CommandFailed("the play broke off")
            if deadline and time.monotonic() > deadline:
                return


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rig.demo", description="Watch image pulls through the exporter.")
    parser.add_argument(
        "--real",
        action="store_true",
        default=os.environ.get("REAL") == "1",
        help="a real containerd and a registry on loopback; needs root",
    )
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="end by itself after this time")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="the same play again")
    return parser


if __name__ == "__main__":
    sys.exit(main())
