"""What an exporter takes while three images of sixty layers are pulled at once. Nobody scrapes it."""

from collections.abc import Iterator

from bench import nodes
from bench.processes import Shares
from bench.program import Program
from bench.rows import Row, median_row
from rig.images import KIB

ROUNDS = 3
IMAGES, LAYERS, LAYER_BYTES = 3, 60, 256 * KIB
SECONDS = 30.0


def measure() -> Iterator[Row]:
    with nodes.site() as site:
        site.pace(LAYERS * LAYER_BYTES / SECONDS, at_once=IMAGES)
        shares = [_round(site, number) for number in range(ROUNDS)]
    how = f"{IMAGES} pulls of {LAYERS} layers at once in {SECONDS:.0f} s, {site.name}, no scrapes"
    yield median_row("busy: exporter", shares, "% of a core", "at most 1, aim 0.4", how)


def _round(site: nodes.Site, number: int) -> float:
    references = [site.publish(f"busy-{number}-{image}", [LAYER_BYTES] * LAYERS) for image in range(IMAGES)]
    with Program(site.node.socket) as program:
        program.settle()
        shares = Shares(exporter=program.pid)
        for pull in [site.node.pull(reference) for reference in references]:
            pull.wait(4 * SECONDS)
        return shares.taken()["exporter"]
