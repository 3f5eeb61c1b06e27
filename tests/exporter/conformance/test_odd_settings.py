"""containerd configured otherwise than it comes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from rig.containerd import RealContainerd
from rig.containerd_config import Settings
from rig.images import KIB, MIB, layer
from rig.invariants import check_whole, layer_size
from rig.node import Node
from rig.node_setup import STANDIN, NodeSetup, node_params, node_setup
from rig.scrape import Scrape
from rig.standin import V2_1, Flavour, StandIn
from rig.web import wait_until

BUFFER = 512 * KIB
Configured = Callable[[Flavour, Settings], NodeSetup]


@pytest.fixture
def configured(label: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Configured]:
    """Makes a node of its own with these settings, said once for the stand-in and once for containerd."""
    with ExitStack() as ends:

        def make(flavour: Flavour, settings: Settings) -> NodeSetup:
            node: Node
            if label == STANDIN:
                node = ends.enter_context(StandIn(flavour=flavour))
            else:
                node = ends.enter_context(RealContainerd.fresh(label, settings))
            return ends.enter_context(node_setup(node, request.function.__name__.replace("_", "-")[5:40], tmp_path))

        yield make


WITH_CHUNKS = pytest.mark.parametrize("label", node_params("1.6", "1.7"), indirect=True)
"""containerd fetches the parts of a layer side by side since 2.1."""


@pytest.fixture
def in_chunks(configured: Configured) -> NodeSetup:
    """On a node that fetches the parts of a layer side by side."""
    settings = Settings(concurrent_layer_fetch_buffer=BUFFER, max_concurrent_downloads=4, gc_interval=3600)
    return configured(replace(V2_1, fetch_buffer=BUFFER), settings)


def succeeded(times: int) -> Callable[[Scrape], bool]:
    return lambda scrape: scrape.ended.get("succeeded", 0) >= times


def test_a_re_pull_after_the_layers_were_discarded_fetches_nothing(configured: Configured) -> None:
    setup = configured(replace(V2_1, discards_unpacked_layers=True), Settings(discard_unpacked_layers=True))
    image = setup.push(layers=[MIB, 300_000])
    exporter = setup.exporter()
    setup.pulled(image)
    exporter.wait_whole(image)
    discard(setup, [blob.digest for blob in image.layers])
    again = setup.exporter()
    setup.pulled(image)
    for each, times in ((again, 1), (exporter, 2)):
        each.wait_until(succeeded(times))
        end = each.wait_polled()
        assert end.ended == {"succeeded": times}
        check_whole(end.pull(image), image, cached=image.size)
        assert end.pull(image).states == ["cached", "cached"]
        assert end.total("pulltrace_cached_bytes_total") == image.size
    assert end.layer_bytes == layer_size(image)
    assert sum(setup.registry.sent(blob.digest) for blob in image.layers) == layer_size(image)


def test_a_discarded_layer_below_a_new_one_is_cached(configured: Configured) -> None:
    setup = configured(replace(V2_1, discards_unpacked_layers=True), Settings(discard_unpacked_layers=True))
    base = layer(MIB, "discarded base")
    old = setup.pulled(setup.push("old", [base]))
    discard(setup, [old.layers[0].digest])
    new = setup.push("new", [base, 2 * MIB])
    setup.registry.throttle(2 * MIB)
    exporter = setup.exporter()
    setup.pull(new)
    # Not before the config is there, which says what is unpacked already; it may come after the first bytes of a layer.
    running = exporter.wait_until(lambda scrape: (seen := scrape.pull(new)) and "cached" in seen.states)
    assert (running.phase(new), running.pull(new).states[0]) == ("downloading", "cached")
    end = exporter.wait_whole(new, cached=old.layers[0].size)
    assert end.layer_bytes == new.layers[1].size


def test_a_base_that_was_pulled_a_moment_ago_is_cached_whatever_is_collected_meanwhile(configured: Configured) -> None:
    stage = configured(replace(V2_1, discards_unpacked_layers=True), Settings(discard_unpacked_layers=True))
    exporter = stage.exporter()
    for number in range(5):
        base = [layer(2 * MIB, f"base {number}"), layer(50_000, f"base {number}")]
        old = stage.pulled(stage.push(f"old-{number}", base))
        new = stage.pulled(stage.push(f"new-{number}", [*base, 300_000]))
        end = exporter.wait_until(lambda scrape, new=new: scrape.phase(new) == "succeeded")  # type: ignore[misc]
        check_whole(end.pull(new), new, cached=layer_size(old))
        assert end.pull(new).states == ["cached", "cached", "unpacked"]


@WITH_CHUNKS
def test_layers_fetched_in_chunks_are_counted_to_the_byte(in_chunks: NodeSetup) -> None:
    """What is shown is the contiguous beginning: it stands, and then comes in bursts."""
    setup = in_chunks
    image = setup.push(layers=[8 * MIB + 12_345, 300_000])
    setup.registry.throttle(4 * MIB)
    exporter = setup.exporter(busy="50ms")
    setup.pull(image)
    looks = exporter.watch(lambda scrape: scrape.phase(image) == "succeeded")
    check_whole(looks[-1].pull(image), image)
    assert looks[-1].layer_bytes == layer_size(image)
    offsets = [seen.layers[0].downloaded for scrape in looks if (seen := scrape.pull(image)) and seen.layers]
    assert len(set(offsets)) > 3, "it did not move"
    big = image.layers[0].digest
    assert sum(request.target == big and request.method == "GET" for request in setup.registry.requests) > 4


@WITH_CHUNKS
def test_chunks_lost_with_a_cancelled_pull_are_counted_when_they_come_again(in_chunks: NodeSetup) -> None:
    setup = in_chunks
    image = setup.push(layers=[6 * MIB])
    stall = setup.registry.stall(image.layers[0].digest, after=2 * MIB + 100_000)
    exporter = setup.exporter()
    first = setup.pull(image)
    exporter.wait_until(lambda scrape: (seen := scrape.pull(image)) and (seen.downloaded or 0) >= MIB)
    first.cancel()
    exporter.wait_until(lambda scrape: scrape.phase(image) == "failed")
    stall.release()
    setup.registry.throttle(4 * MIB)
    setup.pulled(image)
    end = exporter.wait_whole(image, cached=None)
    assert end.layer_bytes == layer_size(image)


@pytest.mark.contract
def test_several_layers_are_unpacked_at_once(tmp_path: Path) -> None:
    """Stand-in: `max_concurrent_unpacks` came with containerd 2.2, which no Debian release has."""
    with (
        StandIn(flavour=replace(V2_1, unpacks=3)) as node,
        node_setup(node, "parallel", tmp_path) as setup,
    ):
        image = setup.push(layers=[300_000, 200_000, 100_000])
        exporter = setup.exporter()
        node.unpacking.hold()
        setup.finally_(node.unpacking.release)
        setup.pull(image)
        seen = exporter.wait_until(lambda scrape: (pull := scrape.pull(image)) and pull.states == ["unpacking"] * 3)
        assert seen.phase(image) == "unpacking"
        assert seen.pull(image).unpacked == 0
        node.unpacking.release()
        exporter.wait_whole(image)


def discard(setup: NodeSetup, digests: list[str]) -> None:
    """Have the layers collected that nothing holds any more."""
    node = setup.node
    if isinstance(node, StandIn):
        node.collect_garbage()
    assert isinstance(node, StandIn | RealContainerd)
    wait_until(lambda: not any(node.has_content(digest) for digest in digests))
