"""How much memory an exporter takes, and whether that stays so after a thousand pulls. It is scraped all the while."""

import time
from collections.abc import Iterator
from itertools import pairwise

from bench import nodes
from bench.processes import Memory, threads
from bench.program import Program
from bench.rows import Row
from rig.images import MIB

PULLS = 1000
STAGES = (100, 500, PULLS)
AT_ONCE = 4
PER_SECOND = 5
"""More the kubelet does not ask for by itself: its `registryPullQPS`."""
LAYERS = 20
LINGER_SECONDS = 5
SCRAPE_SECONDS = 2.0
TARGET = "at most 55"


def measure() -> Iterator[Row]:
    with nodes.stand_in_site() as site, Program(site.node.socket, f"--pull.linger={LINGER_SECONDS}s") as program:
        program.settle()
        program.scrape()
        start = Memory.of(program.pid)
        how = f"{start.anonymous:.1f} of it its own, the rest libraries; {threads(program.pid)} threads"
        yield Row("memory: at start", start.resident, "MiB", TARGET, how)
        grown = [_pull(site, program, range(begin, end)) for begin, end in pairwise((0, *STAGES))]
        counted = program.total("pulltrace_pulls_total")
    how = f"{LAYERS} layers each, {PER_SECOND} a second, stand-in, lingering {LINGER_SECONDS} s; {counted:.0f} counted"
    highest = f"{how}; highest {grown[-1].highest:.1f}"
    yield Row(f"memory: after {PULLS} pulls", grown[-1].resident, "MiB", TARGET, highest)
    steps = ", ".join(f"after {stage}: {memory.resident:.1f}" for stage, memory in zip(STAGES, grown, strict=True))
    yield Row("memory: growth by the last 500", grown[-1].resident - grown[-2].resident, "MiB", "flat", steps)


def _pull(site: nodes.StandInSite, program: Program, numbers: range) -> Memory:
    """Pull so many images, a few at once, and wait until the last one has left the exporter."""
    began = scraped = time.monotonic()
    for first in numbers[::AT_ONCE]:
        some = range(first, min(first + AT_ONCE, numbers.stop))
        references = [site.publish(f"image-{number}", [MIB] * LAYERS) for number in some]
        for pull in [site.node.pull(reference) for reference in references]:
            pull.wait()
        time.sleep(max(0.0, began + (some.stop - numbers.start) / PER_SECOND - time.monotonic()))
        if time.monotonic() - scraped > SCRAPE_SECONDS:
            program.scrape()
            scraped = time.monotonic()
    deadline = time.monotonic() + 4 * LINGER_SECONDS
    while program.total("pulltrace_pull_info") and time.monotonic() < deadline:
        time.sleep(SCRAPE_SECONDS / 4)
    return Memory.of(program.pid)
