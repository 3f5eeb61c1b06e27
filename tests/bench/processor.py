"""What an exporter takes while nothing is pulled, and while three images are. Nobody scrapes it."""

import time
from collections.abc import Iterator

from bench import nodes
from bench.processes import Shares
from bench.program import Program
from bench.rows import Row, median_row
from rig.images import KIB

WINDOWS = 6
SECONDS = 15.0
TARGET = "at most 0.2, aim 0.1"
BUSY_ROUNDS = 3
IMAGES, LAYERS, LAYER_BYTES = 3, 60, 256 * KIB
PULL_SECONDS = 30.0


def idle() -> Iterator[Row]:
    """Of itself, and of the containerd that it reads."""
    shares = _on_stand_in() if nodes.real_reason() else _on_containerd()
    how = f"{SECONDS:.0f} s each, {nodes.site_name()}, no scrapes"
    yield median_row("idle: exporter", [share["exporter"] for share in shares], "% of a core", TARGET, how)
    extra = [share["read"] - share["unread"] for share in shares if "read" in share]
    if extra:
        how = "one that is read less one that is not, side by side"
        yield median_row("idle: containerd, extra", extra, "% of a core", "below 0.15", how)


def busy() -> Iterator[Row]:
    with nodes.site() as site:
        site.pace(LAYERS * LAYER_BYTES / PULL_SECONDS, at_once=IMAGES)
        shares = [_busy(site, number) for number in range(BUSY_ROUNDS)]
    how = f"{IMAGES} pulls of {LAYERS} layers at once in {PULL_SECONDS:.0f} s, {site.name}, no scrapes"
    yield median_row("busy: exporter", shares, "% of a core", "at most 1, aim 0.4", how)


def _busy(site: nodes.Site, number: int) -> float:
    references = [site.publish(f"busy-{number}-{image}", [LAYER_BYTES] * LAYERS) for image in range(IMAGES)]
    with Program(site.node.socket) as program:
        program.settle()
        shares = Shares(exporter=program.pid)
        for pull in [site.node.pull(reference) for reference in references]:
            pull.wait(4 * PULL_SECONDS)
        return shares.taken()["exporter"]


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
