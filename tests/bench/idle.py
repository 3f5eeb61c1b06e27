"""What an exporter takes while nothing is pulled, of itself and of the containerd that it reads. Nobody scrapes it."""

import time
from collections.abc import Iterator

from bench import nodes
from bench.processes import Shares
from bench.program import Program
from bench.rows import Row, median_row

WINDOWS = 6
SECONDS = 15.0
TARGET = "at most 0.2, aim 0.1"


def measure() -> Iterator[Row]:
    shares = _on_stand_in() if nodes.real_reason() else _on_containerd()
    how = f"{SECONDS:.0f} s each, {nodes.site_name()}, no scrapes"
    yield median_row("idle: exporter", [share["exporter"] for share in shares], "% of a core", TARGET, how)
    extra = [share["read"] - share["unread"] for share in shares if "read" in share]
    if extra:
        how = "one that is read less one that is not, side by side"
        yield median_row("idle: containerd, extra", extra, "% of a core", "below 0.15", how)


def _on_containerd() -> list[dict[str, float]]:
    """Two containerds side by side take turns in being read, so that what else the machine does meets both."""
    shares = []
    with nodes.real_site() as first, nodes.real_site() as second:
        for number in range(WINDOWS):
            read, unread = (first.node, second.node) if number % 2 else (second.node, first.node)
            with Program(read.socket) as program:
                program.settle()
                shares.append(_share(exporter=program.pid, read=read.pid, unread=unread.pid))
    return shares


def _on_stand_in() -> list[dict[str, float]]:
    with nodes.stand_in_site() as site, Program(site.node.socket) as program:
        program.settle()
        return [_share(exporter=program.pid) for _ in range(WINDOWS)]


def _share(**pids: int) -> dict[str, float]:
    shares = Shares(**pids)
    time.sleep(SECONDS)
    return shares.taken()
