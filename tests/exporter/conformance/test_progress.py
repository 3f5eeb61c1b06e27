"""One pull from its start to its end: what a person watches."""

import time

import pytest

from rig.images import MIB, file_layer
from rig.invariants import check_whole, layer_size
from rig.node_setup import NodeSetup
from rig.standin import StandIn

REGISTRY = "127.0.0.1"
RATE = 4 * MIB
TIME = "pulltrace_exporter_time_seconds"


def test_a_pull_is_shown_layer_by_layer_to_its_end(setup: NodeSetup) -> None:
    image = setup.push(layers=[6 * MIB, 3 * MIB, 300_000])
    setup.registry.throttle(RATE)
    exporter = setup.exporter()
    began = time.time()
    # Two stalls between which it is seen to move: without them it could be over between two looks of a busy machine.
    stall = setup.registry.stall(image.layers[0].digest, after=2 * MIB + 500_000)
    further = setup.registry.stall(image.layers[0].digest, after=4 * MIB + 500_000)
    pull = setup.pull(image)
    stall.wait_held()
    first = exporter.wait_until(
        lambda scrape: (seen := scrape.pull(image)) and seen.layers and seen.layers[0].downloaded
    )
    stall.release()
    looks = [first, *exporter.watch(lambda scrape: scrape.pull(image).layers[0].rate and scrape.pull(image).eta)]
    further.release()
    looks += exporter.watch(lambda scrape: scrape.phase(image) == "succeeded")
    pull.wait()

    running = [seen for scrape in looks if (seen := scrape.pull(image)) and not seen.ended]
    assert running[0].phase == "downloading"
    assert {seen.registry for seen in running} == {REGISTRY}
    (start,) = {seen.start for seen in running}
    assert start is not None
    assert began <= start <= time.time()
    described = [seen for seen in running if seen.size is not None]
    assert {(seen.size, seen.cached) for seen in described} == {(image.size, 0)}
    assert 0 < (described[0].downloaded or 0) < image.size
    assert any(seen.rate and seen.eta for seen in described)

    biggest = [seen.layers[0] for seen in described]
    assert {layer.state for layer in biggest} >= {"downloading"}
    assert any(0 < (layer.downloaded or 0) < image.layers[0].size for layer in biggest)
    assert any(layer.rate for layer in biggest)

    end = looks[-1].pull(image)
    check_whole(end, image)
    assert end.reference == setup.reference(image)
    assert end.snapshotter in ("overlayfs", "native")
    assert end.end is not None
    assert start <= end.end <= time.time()
    assert looks[-1].ended == {"succeeded": 1}
    assert looks[-1].layer_bytes == layer_size(image)


def test_its_stages_are_timed(setup: NodeSetup) -> None:
    image = setup.push(layers=[4 * MIB])
    stall = setup.registry.stall(image.layers[0].digest, after=2 * MIB)
    exporter = setup.exporter()
    pull = setup.pull(image)
    seen = exporter.wait_until(lambda scrape: scrape.phase(image) == "downloading")
    exporter.wait_until(lambda scrape: scrape.value(TIME) > seen.value(TIME) + 1)
    stall.release()
    pull.wait()
    scrape = exporter.wait_until(lambda scrape: scrape.phase(image) == "succeeded")
    whole = scrape.value("pulltrace_pull_duration_seconds_sum", registry=REGISTRY)
    spans = scrape.by("stage", "pulltrace_pull_stage_seconds_sum", registry=REGISTRY)
    assert whole is not None
    assert whole > 0.5, "the registry was still for a second"
    assert spans["resolve"] + spans["download"] + spans["unpack"] == pytest.approx(whole)
    assert spans["download"] > 0.5
    assert scrape.by("stage", "pulltrace_pull_stage_seconds_count") == dict.fromkeys(spans, 1)
    active = scrape.by("stage", "pulltrace_active_seconds_total", registry=REGISTRY)
    assert 0.5 < active["download"] <= whole


def test_unpacking_is_a_phase_of_its_own(setup: NodeSetup) -> None:
    """All bytes are there and the node is still at work, which is no reason to suspect the registry."""
    files = file_layer({f"{number:05}": b"" for number in range(8_000)})
    image = setup.push(layers=[files, 300_000])
    exporter = setup.exporter(busy="50ms")
    if isinstance(setup.node, StandIn):
        setup.node.unpacking.hold()
        setup.finally_(setup.node.unpacking.release)
    setup.pull(image)
    scrape = exporter.wait_until(
        lambda scrape: scrape.phase(image) == "unpacking" and scrape.pull(image).states[0] == "unpacking"
    )
    if isinstance(setup.node, StandIn):
        setup.node.unpacking.release()
    pull = scrape.pull(image)
    assert (pull.ratio, pull.eta) == (1, None)
    assert pull.states == ["unpacking", "downloaded"]
    assert pull.unpacked == 0
    assert scrape.in_progress == {"resolving": 0, "downloading": 0, "unpacking": 1}
    done = exporter.wait_whole(image)
    assert done.total("pulltrace_active_seconds_total", stage="unpack") > 0
