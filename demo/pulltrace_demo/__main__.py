"""Sets the demo up, shows it, and takes it down again: a cluster of three nodes, or one node layer by layer."""

import argparse
import contextlib
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pulltrace_demo import programs, stage
from pulltrace_demo.cluster import NAMESPACES_HINT, Story, demo_cluster
from pulltrace_demo.play import Play
from pulltrace_demo.viewer import introduce, view
from rig.processes import CommandFailed

FAILED = 1
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(argv: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C, SIGTERM, the end of the terminal or the given time; answers the exit status."""
    arguments = _parser().parse_args(argv)
    over = threading.Event()
    for number in ENDS:
        signal.signal(number, lambda _number, _frame: over.set())
    try:
        if arguments.real or arguments.node:
            _show_node(stage.real if arguments.real else stage.synthetic, arguments, over)
        else:
            _show_cluster(arguments, over)
    except (CommandFailed, stage.Unavailable) as error:
        # The terminal may be gone.
        with contextlib.suppress(OSError):
            sys.stderr.write(f"demo: {error}\n")
        return FAILED
    except OSError:
        if not over.is_set():
            raise
    return 0


def _show_node(set_up: Callable[[int], Any], arguments: argparse.Namespace, over: threading.Event) -> None:
    with set_up(arguments.seed) as staged:
        exporter = programs.exporter(staged.node.socket, staged.folder)
        try:
            exporter.wait_ready()
            play = Play(staged.node, staged.shop)
            play.start()
            try:
                introduce(staged.title, [("metrics", f"{exporter.url}/metrics")], [_client("--url", exporter.url)])
                view([exporter.url], over, lambda: play.broken, arguments.duration)
            finally:
                play.stop()
        finally:
            exporter.close()


def _show_cluster(arguments: argparse.Namespace, over: threading.Event) -> None:
    with demo_cluster() as cluster:
        story = Story(cluster.nodes, arguments.seed)
        story.start()
        try:
            url = cluster.aggregator.url
            introduce(
                "Pulltrace on three nodes that are stand-ins, and a Kubernetes API that is one too; Ctrl-C ends",
                [("metrics", f"{url}/metrics"), ("page", f"{url}/")],
                [
                    f"export KUBECONFIG={cluster.kubeconfig}",
                    *NAMESPACES_HINT,
                    f"without kubectl: {_client('--url', url)}",
                ],
            )
            urls = [url, *(program.url for program in cluster.exporters.values())]
            view(urls, over, lambda: story.broken, arguments.duration)
        finally:
            story.stop()


def _client(*words: str) -> str:
    """The command line of the client, from the checkout's own environment."""
    return " ".join((str(Path(sys.executable).with_name("kubectl-pulltrace")), *words))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make demo", description="Watch image pulls, of a cluster or of one node.")
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
