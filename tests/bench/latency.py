"""How long it takes from a request for an image to its first series, on a node that pulls nothing else."""

import time
from collections.abc import Iterator

from bench import nodes
from bench.program import Program
from bench.rows import Row, median_row
from rig.images import KIB
from rig.web import Client, wait_until

ROUNDS = 25
LAYERS, LAYER_BYTES = 12, 64 * KIB
PULL_SECONDS = 0.8
QUIET_SECONDS = 0.4
"""Between the end of a pull, as the exporter shows it, and the next one."""
INTERVAL = 0.005
TIMEOUT = 20.0


def measure() -> Iterator[Row]:
    with nodes.site() as site, Program(site.node.socket) as program:
        site.pace(LAYERS * LAYER_BYTES / PULL_SECONDS)
        program.settle()
        with program.client() as client:
            seconds = [_first_series(site, client, number) for number in range(ROUNDS)]
    how = f"from the CRI call to the scrape that shows it, {LAYERS} layers, {site.name}, idle before"
    yield median_row("first series of a pull", seconds, "s", "at most 0.3", how)


def _first_series(site: nodes.Site, client: Client, number: int) -> float:
    reference = site.publish(f"latency-{number}", [LAYER_BYTES] * LAYERS)
    repository = f'repository="bench/latency-{number}"'
    began = time.monotonic()
    pull = site.node.pull(reference)
    shown = _wait_for(client, "pulltrace_pull_phase{", repository)
    pull.wait()
    _wait_for(client, "pulltrace_pull_end_time_seconds{", repository)
    time.sleep(QUIET_SECONDS)
    return shown - began


def _wait_for(client: Client, metric: str, label: str) -> float:
    """The time at which the answer to a scrape had a sample of the metric with the label."""

    def shown() -> bool:
        body = client.get("/metrics").body.decode()
        return any(label in line for line in body.splitlines() if line.startswith(metric))

    wait_until(shown, TIMEOUT, lambda: f"no {metric} with {label}", INTERVAL)
    return time.monotonic()
