"""Whether pulls are slower while an exporter looks on: the same pull with and without one, in turns."""

import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from statistics import median

from bench import nodes
from bench.program import Program
from bench.rows import Row, median_row, seconds
from rig.images import MIB

PAIRS = 20
LAYERS, LAYER_BYTES = 60, 8 * MIB
REST_SECONDS = 4.0
"""Before each pull, with and without an exporter: on one that follows another at once, caches and heap are warm."""


def measure() -> Iterator[Row]:
    if reason := nodes.real_reason():
        sys.stderr.write(f"slowdown is LEFT OUT: {reason}\n")
        return
    with nodes.real_site() as site:
        reference = site.publish("slowdown", [LAYER_BYTES] * LAYERS)
        _pull(site, reference)
        pairs = [_pair(site, reference, watched_first=bool(number % 2)) for number in range(PAIRS)]
    slower = [100 * (watched / alone - 1) for watched, alone in pairs]
    size = f"{LAYERS * LAYER_BYTES / 1e6:.0f} MB in {LAYERS} layers"
    how = f"{size}, {median(alone for _, alone in pairs):.2f} s without an exporter"
    yield median_row("slowing of a pull", slower, "%", "at most 2", how)


def _pair(site: nodes.RealSite, reference: str, *, watched_first: bool) -> tuple[float, float]:
    taken = {}
    for watched in (watched_first, not watched_first):
        began = time.monotonic()
        with Program(site.node.socket) if watched else nullcontext():
            time.sleep(max(REST_SECONDS - (time.monotonic() - began), 0.0))
            taken[watched] = _pull(site, reference)
    return taken[True], taken[False]


def _pull(site: nodes.RealSite, reference: str) -> float:
    elapsed = seconds(lambda: site.node.pull(reference).wait())
    site.node.remove_image(reference)
    return elapsed
