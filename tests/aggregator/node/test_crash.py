"""containerd dies in mid-pull and comes back; the kubelet tries again by itself."""

import pytest

from rig.images import MIB
from rig.kubernetes.real.node_setup import TIMEOUT, RealNodeSetup

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


def test_a_crash_of_containerd_is_no_success_and_the_retry_is_shown(out: RealNodeSetup) -> None:
    aggregator = out.aggregator()
    image = out.push("app", 3 * MIB)
    stall = out.hold(image, after=2 * MIB)
    out.pod("web", image)
    out.wait(aggregator, "web", phase="downloading", blockedBy="progressing")
    out.node.containerd.crash()
    try:
        out.wait(aggregator, "web", phase="failed", blockedBy="backoff")
    finally:
        out.node.containerd.start()
    out.wait(aggregator, "web", phase="downloading", blockedBy="progressing", met=lambda entry: entry["pull"])
    stall.release()
    out.wait(aggregator, "web", phase="pulled")
    out.wait_metrics(aggregator, lambda scrape: out.counts(scrape, "duration_seconds_count") == 1)
    ended = out.exporter.wait_until(lambda scrape: scrape.ended.get("succeeded"), TIMEOUT).ended
    assert ended == {"succeeded": 1, "orphaned": 1}
