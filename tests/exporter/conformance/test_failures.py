"""Pulls that end badly end as such, and take nothing away from what the node has."""

import time

import pytest

from rig.containerd import RealContainerd
from rig.images import MIB
from rig.invariants import check_whole, layer_size
from rig.node import PullFailed
from rig.node_setup import NodeSetup
from rig.processes import paused, run
from rig.standin import StandIn

STATUSES = (401, 404, 500)


@pytest.mark.parametrize("status", STATUSES)
def test_a_layer_that_the_registry_refuses_in_the_midst_fails_the_pull(setup: NodeSetup, status: int) -> None:
    """As when a token has expired and the connection broke."""
    image = setup.push(f"app-{status}", layers=[300_000, 2 * MIB])
    small, big = image.layers
    exporter = setup.exporter()
    pull, stall = setup.pull_held(image, MIB + 600_000, layer=1)
    exporter.wait_until(lambda scrape: scrape.downloaded(image) >= small.size + MIB)
    setup.registry.deny(big.digest, status)
    setup.registry.cut(big.digest, after=MIB + 600_000)
    stall.release()
    with pytest.raises(PullFailed):
        pull.wait()
    end = exporter.wait_until(lambda scrape: scrape.phase(image) == "failed")
    seen = end.pull(image)
    assert seen.size == image.size
    assert MIB <= (seen.layers[1].downloaded or 0) <= MIB + 600_000
    assert seen.states[1] in ("waiting", "downloading")
    assert end.ended == {"failed": 1}
    assert end.total("pulltrace_pull_duration_seconds_count") == 0, "only succeeded pulls are timed"
    assert end.layer_bytes == small.size + seen.layers[1].downloaded


@pytest.mark.parametrize("status", STATUSES)
def test_a_manifest_that_the_registry_refuses_is_a_pull_that_never_had_a_name(setup: NodeSetup, status: int) -> None:
    image = setup.push(f"app-{status}")
    setup.registry.deny(image.repository, status)
    hang = setup.registry.hang(image.repository)
    exporter = setup.exporter(idle="200ms")
    pull = setup.pull(image)
    resolving = exporter.wait_until(lambda scrape: scrape.in_progress["resolving"] == 1)
    start = resolving.value("pulltrace_oldest_resolving_start_time_seconds")
    now = resolving.value("pulltrace_exporter_time_seconds")
    assert 1 <= now - start < 60
    assert len(exporter.pulls()["resolving"]) == 1
    hang.release()
    with pytest.raises(PullFailed):
        pull.wait()
    end = exporter.wait_until(lambda scrape: scrape.unresolved == 1)
    assert end.in_progress["resolving"] == 0
    assert end.value("pulltrace_oldest_resolving_start_time_seconds") is None
    assert not end.pulls
    assert not end.ended


def test_a_refusal_at_once_is_no_news(setup: NodeSetup) -> None:
    """It lived less than the second after which a lease without an image counts as a pull."""
    image = setup.push()
    setup.registry.deny(image.repository, 404)
    exporter = setup.exporter(idle="200ms")
    took = 1.0
    while took >= 1:  # on a busy machine the first may live longer
        before = exporter.wait_polled()
        began = time.monotonic()
        setup.fails(image)
        took = time.monotonic() - began
    end = exporter.wait_polled()
    assert (end.unresolved, end.pulls, end.ended) == (before.unresolved, (), {})


def test_a_pull_has_succeeded_whose_image_is_removed_before_the_next_poll(setup: NodeSetup) -> None:
    """As by a job that pulls, copies and cleans up; the exporter had no turn in between."""
    image = setup.push(layers=[2 * MIB])
    exporter = setup.exporter()
    pull, stall = setup.pull_held(image, MIB)
    exporter.wait_until(lambda scrape: scrape.phase(image) == "downloading" and scrape.pull(image).size)
    with paused(exporter.process.pid):
        stall.release()
        pull.wait()
        setup.node.remove_image(setup.reference(image))
    assert exporter.wait_until(lambda scrape: scrape.ended).ended == {"succeeded": 1}


def test_a_failed_re_pull_of_a_present_image_has_failed(setup: NodeSetup) -> None:
    """The image record is there all the time; it says nothing of a pull that came after it."""
    image = setup.push(layers=[300_000])
    exporter = setup.exporter()
    setup.pulled(image)
    exporter.wait_until(lambda scrape: scrape.phase(image) == "succeeded")
    lose(setup, image.config.digest)
    stall = setup.registry.stall(image.config.digest)
    pull = setup.pull(image)
    stall.wait_held()
    exporter.wait_until(lambda scrape: scrape.phase(image) == "downloading")
    pull.cancel()
    end = exporter.wait_until(lambda scrape: scrape.phase(image) == "failed")
    assert end.ended == {"succeeded": 1, "failed": 1}
    assert end.pull(image).cached == image.layers[0].size


def test_a_tag_that_has_moved_fails_without_touching_the_image_that_is_there(setup: NodeSetup) -> None:
    old = setup.push(layers=[300_000])
    exporter = setup.exporter()
    setup.pulled(old)
    exporter.wait_until(lambda scrape: scrape.phase(old) == "succeeded")
    new = setup.push(layers=[200_000])
    assert setup.reference(new) == setup.reference(old)
    setup.registry.deny(new.layers[0].digest, 404)
    setup.fails_in_sight(new, exporter)
    end = exporter.wait_until(lambda scrape: scrape.phase(new) == "failed")
    check_whole(end.pull(old), old)
    assert end.ended == {"succeeded": 1, "failed": 1}
    assert end.layer_bytes == layer_size(old)


def lose(setup: NodeSetup, digest: str) -> None:
    """Take a blob out of the store, as a disk's repair does; the image record stays."""
    node = setup.node
    if isinstance(node, StandIn):
        with node.records.lock:
            del node.records.namespace("k8s.io").blobs[digest]
        node.collect_garbage()
    else:
        assert isinstance(node, RealContainerd)
        run([*node._ctr, "content", "rm", digest])
        # Without a collection the file stays, and the next pull finds it.
        run([*node._ctr, "leases", "create", "--id", "collect"])
        run([*node._ctr, "leases", "delete", "--sync", "collect"])
