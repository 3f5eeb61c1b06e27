"""`make pictures`: the pictures of the terminal in the docs, from a real run of the client on the demo's cluster."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from pulltrace_demo.cluster import DemoCluster, Story, demo_cluster
from pulltrace_demo.viewer import CLIENT
from rig.processes import CommandFailed

DOCS: Final = Path(__file__).parents[2] / "docs"
WIDTH: Final = 116
SEED: Final = 3
LOOK: Final = 0.25
LONGEST: Final = 120.0
_FONT_FACE: Final = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)

Moment = Callable[[list[dict[str, Any]]], bool]


def main() -> int:
    """Write both pictures; they differ a little each time, as the run does."""
    with demo_cluster() as cluster:
        story = Story(cluster.nodes, SEED)
        story.start()
        try:
            _wait(cluster, lambda rows: {"slow_download", "queue"} <= _causes(rows) and len(rows) >= 8)
            _draw(cluster, "kubectl.svg", [])
            _draw(cluster, "kubectl-pod.svg", ["llm-server-2", "api-7d9f"])
        finally:
            story.stop()
    return 0


def _causes(rows: list[dict[str, Any]]) -> set[str]:
    return {row["blockedBy"] for row in rows if "blockedBy" in row}


def _wait(cluster: DemoCluster, moment: Moment) -> None:
    """Return when it has come; raises CommandFailed when it does not."""
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{cluster.aggregator.url}/v1/pulls", timeout=5) as answer:
            if moment(json.load(answer)["pods"]):
                return
        time.sleep(LOOK)
    raise CommandFailed(f"the moment for a picture has not come in {LONGEST:.0f} s")


def _draw(cluster: DemoCluster, name: str, words: Sequence[str]) -> None:
    urls = [cluster.aggregator.url, *(program.url for program in cluster.exporters.values())]
    flags = ["--namespace=shop", *(f"--url={url}" for url in urls)]
    drawn = _terminal([*CLIENT, *words, *flags])
    command = " ".join(("kubectl pulltrace", *words))
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True)
        console.print(Text.assemble(("$ ", "dim"), (command, "bold")))
        console.print(Text.from_ansi(drawn.replace("\r\n", "\n").rstrip()))
        picture = console.export_svg(title=command, unique_id=name.removesuffix(".svg"))
    # Nothing is fetched from elsewhere to show it.
    picture = _FONT_FACE.sub("", picture).replace("Fira Code, monospace", "monospace")
    (DOCS / name).write_text("\n".join(line.rstrip() for line in picture.splitlines()) + "\n")


def _terminal(command: Sequence[str]) -> str:
    """What a program writes to a terminal of this width."""
    ours, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 50, WIDTH, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONUTF8": "1"}
    for name in ("NO_COLOR", "COLUMNS"):
        environment.pop(name, None)
    with subprocess.Popen(command, stdin=side, stdout=side, stderr=side, env=environment) as client:
        os.close(side)
        parts: list[bytes] = []
        with os.fdopen(ours, "rb", buffering=0) as screen:
            try:
                while part := screen.read(65536):
                    parts.append(part)
            except OSError:
                pass  # the program has ended and its side is closed
    if client.returncode:
        raise CommandFailed(b"".join(parts).decode())
    return b"".join(parts).decode()


if __name__ == "__main__":
    sys.exit(main())
