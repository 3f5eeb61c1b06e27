"""The aggregator keeps nothing, and loses nothing when it starts anew."""

import pytest

from rig.aggregator import Document, RunningAggregator
from rig.images import MIB
from rig.kubernetes.real.node_setup import TIMEOUT, RealNodeSetup

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

POD = "pulltrace_pod_pull_"
COUNTERS = (f"{POD}failures_total", f"{POD}duration_seconds_count")


def lasting(entry: Document) -> Document:
    """What a restart must not change."""
    return {
        **{key: entry.get(key) for key in ("uid", "phase", "match", "blockedBy", "behind")},
        "digest": entry.get("pull", {}).get("digest"),
        "size": entry.get("pull", {}).get("sizeBytes"),
    }


def counted(out: RealNodeSetup, aggregator: RunningAggregator) -> float:
    """The sum of the counters of this test's pods; those of other tests may still be served."""
    scrape = out.metrics(aggregator)
    return sum(scrape.total(name, namespace=out.namespace) for name in COUNTERS)


def test_a_restart_in_mid_pull_shows_the_same_and_counts_nothing_twice(out: RealNodeSetup) -> None:
    first = out.aggregator()
    images = {name: out.push(name, 2 * MIB) for name in ("done", "busy", "next")}
    stall = out.hold(images["busy"])
    for name in images:
        out.pod(name, images[name])
        out.wait(first, name)
        if name == "done":
            out.wait(first, name, phase="pulled")
    busy = out.wait(first, "busy", phase="downloading", met=lambda entry: entry["pull"]["downloadedBytes"])
    waiting = out.wait(first, "next", phase="queued", behind=out.reference(images["busy"]))
    first.wait(lambda _: counted(out, first) == 1, TIMEOUT)
    first.kill()
    second = out.aggregator()
    again = out.wait(second, "busy", met=lambda entry: lasting(entry) == lasting(busy))
    assert again["pull"]["downloadedBytes"] >= busy["pull"]["downloadedBytes"]
    # The stamps of the API server have whole seconds.
    assert again["waitingSeconds"] >= busy["waitingSeconds"] - 1
    out.wait(second, "next", met=lambda entry: lasting(entry) == lasting(waiting))
    assert counted(out, second) == 0
    stall.release()
    for name in ("busy", "next"):
        out.wait(second, name, phase="pulled")
    second.wait(lambda _: counted(out, second) == 2, TIMEOUT)
    assert not out.metrics(second).total("pulltrace_stale_pulls_total")
