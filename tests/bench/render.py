"""How long a scrape takes to write.

The exporter's has 5,000 layers, which are 20,000 samples; also what polls feel of it. The aggregator's has 5,000 nodes,
and is measured in processor time, as it is made beside other threads.
"""

import gzip
import time
from collections.abc import Iterator
from functools import partial

from bench import nodes
from bench.program import Program
from bench.rows import Row, median_row, seconds
from pulltrace.exposition import TextFormat, process_collectors
from pulltrace_aggregator import metrics as aggregator
from pulltrace_exporter.metrics import FAMILIES, Process, Scraper, SeriesLimits
from rig.images import MIB
from rig.sample_views import NOW, view_of_layers
from rig.simulated_cluster import IMAGE, Cluster
from rig.web import wait_until

PULLS, LAYERS_EACH, ROUNDS = 50, 100, 20
SERVED_PULLS, SERVED_LAYERS_EACH, SERVED_ROUNDS = 10, 500, 10
POLL_SECONDS = 10.0
NODES, IMAGES = 5000, (IMAGE, "registry.example/team/next:1")
"""Each node pulls the first, and a second pod there waits for the other one behind it."""
CLUSTER_ROUNDS = 7
TIMEOUT = 60.0
TARGET = "at most 150"


def measure() -> Iterator[Row]:
    yield from _rendered()
    yield from _served()
    yield from _cluster()


def _rendered() -> Iterator[Row]:
    view = view_of_layers(PULLS, LAYERS_EACH)
    scraper = Scraper(FAMILIES, SeriesLimits(), Process(), process_collectors())
    first = 1000 * seconds(partial(scraper.render, view, NOW, TextFormat.PLAIN))
    size = len(scraper.render(view, NOW, TextFormat.PLAIN))
    for form in TextFormat:
        times = [1000 * seconds(partial(scraper.render, view, NOW, form)) for _ in range(ROUNDS)]
        how = f"{PULLS * LAYERS_EACH} layers, {size / 1e6:.1f} MB, in process; the first time {first:.0f}"
        yield median_row(f"render: {form.name.lower()}", times, "ms", TARGET, how)


def _served() -> Iterator[Row]:
    with nodes.stand_in_site() as site, Program(site.node.socket, "--layer.min-age=0s") as program:
        site.pace(1.0)
        names = [f"wide-{number}" for number in range(SERVED_PULLS)]
        pulls = [site.node.pull(site.publish(name, [MIB] * SERVED_LAYERS_EACH)) for name in names]
        try:
            _wait_for_layers(program)
            for encoding in ("identity", "gzip"):
                scrape = partial(program.scrape, encoding)
                times = [1000 * seconds(scrape) for _ in range(SERVED_ROUNDS)]
                yield median_row(f"scrape: {encoding}", times, "ms", "", f"{len(scrape()) / 1e6:.2f} MB over HTTP")
            yield _polls(program, scraping=False)
            yield _polls(program, scraping=True)
        finally:
            for pull in pulls:
                pull.cancel()


def _cluster() -> Iterator[Row]:
    """Each node has been read anew since the scrape before, so that nothing that was written then still holds."""
    cluster = Cluster()
    for number in range(NODES):
        for image in IMAGES:
            cluster.pod(f"web-{number}-{len(cluster.pods)}", image, node=f"node-{number}").pulling()
        cluster.node(f"node-{number}").pull(IMAGE)
    cluster.listed()
    scraper = aggregator.Scraper(aggregator.FAMILIES, aggregator.Process(), process_collectors())
    rendering, packing, text = [], [], b""
    for number in range(CLUSTER_ROUNDS + 1):
        for node in cluster.nodes.values():
            node.advance(ratio=(number + 1) / 10)
        cluster.pass_time(1)
        began = time.thread_time()
        text = scraper.render(cluster.view, cluster.now.monotonic, TextFormat.PLAIN)
        rendered = time.thread_time()
        gzip.compress(text, 1)
        rendering.append(1000 * (rendered - began))
        packing.append(1000 * (time.thread_time() - rendered))
    what = f"render: {NODES} nodes, {len(IMAGES) * NODES} waiting images"
    how = f"processor time, {len(text) / 1e6:.1f} MB"
    yield median_row(what, rendering[1:], "ms", "", how)
    yield median_row(f"{what}: gzip", packing[1:], "ms", "", how)


def _polls(program: Program, *, scraping: bool) -> Row:
    """The time that polls take, while scrape follows scrape or none comes."""
    before = _poll_sums(program)
    deadline = time.monotonic() + POLL_SECONDS
    while time.monotonic() < deadline:
        if scraping:
            program.scrape()
        else:
            time.sleep(POLL_SECONDS / 10)
    count, taken = (after - old for after, old in zip(_poll_sums(program), before, strict=True))
    how = f"mean of {count:.0f} polls in {POLL_SECONDS:.0f} s, {SERVED_PULLS} pulls of {SERVED_LAYERS_EACH} layers"
    name = "poll: during scrapes without pause" if scraping else "poll: without scrapes"
    return Row(name, 1000 * taken / max(count, 1.0), "ms", "", how)


def _poll_sums(program: Program) -> tuple[float, float]:
    metric = "pulltrace_exporter_poll_duration_seconds"
    return program.total(f"{metric}_count"), program.total(f"{metric}_sum")


def _wait_for_layers(program: Program) -> None:
    layers = SERVED_PULLS * SERVED_LAYERS_EACH
    wait_until(lambda: program.total("pulltrace_layer_state") >= layers, TIMEOUT, interval=0.2)
