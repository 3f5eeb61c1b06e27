"""Pulls by snapshotters that are programs of their own, in the shapes of their source, on the stand-in."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from rig.images import MIB, Image
from rig.invariants import check_whole, layer_size
from rig.node_setup import NodeSetup, node_setup
from rig.scrape import Scrape
from rig.standin import Lazy, Nydus, Parallel, StandIn
from rig.standin.remote import RemoteSnapshotter

pytestmark = pytest.mark.contract
Remote = Callable[[RemoteSnapshotter], NodeSetup]
SIZES = (2 * MIB, MIB, 300_000)


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    """Makes a node with this snapshotter."""
    with ExitStack() as ends:

        def make(snapshotter: RemoteSnapshotter) -> NodeSetup:
            node = ends.enter_context(StandIn(tmp_path / "c", remote=snapshotter))
            return ends.enter_context(node_setup(node, "remote", tmp_path))

        yield make


def node_of(setup: NodeSetup) -> StandIn:
    assert isinstance(setup.node, StandIn)
    return setup.node


def has_ended(times: int, scrape: Scrape) -> bool:
    return scrape.ended == {"succeeded": times}


def is_halfway(image: Image, scrape: Scrape) -> bool:
    """Whether the pull runs, and some bytes of layers are shown."""
    return scrape.phase(image) == "downloading" and image.config.size < scrape.downloaded(image) < image.size


def check_remote(setup: NodeSetup, image: Image, *states: str, fetched: int = 0) -> None:
    """Fail unless the pull shows what its snapshotter did; `fetched` bytes of layers came through containerd."""
    exporter = setup.exporter()
    setup.pulled(image)
    end = exporter.wait_until(lambda scrape: scrape.phase(image) == "succeeded")
    pull = end.pull(image)
    assert pull.states == list(states)
    assert pull.snapshotter == node_of(setup).runtime.snapshotter
    assert (pull.cached, pull.downloaded) == (0, image.config.size + fetched)
    assert end.total("pulltrace_remote_bytes_total") == layer_size(image) - fetched
    assert end.total("pulltrace_cached_bytes_total") == 0
    assert end.layer_bytes == fetched
    assert end.ended == {"succeeded": 1}


def test_a_lazy_pull_fetches_nothing(remote: Remote) -> None:
    setup = remote(Lazy("soci"))
    check_remote(setup, setup.push(layers=SIZES), *["remote"] * 3)


def test_stargz_leaves_a_layer_that_is_none_of_its_own_to_containerd(remote: Remote) -> None:
    setup = remote(Lazy("stargz", refuses=lambda layer: layer.size < MIB))
    image = setup.push(layers=SIZES)
    small = min(layer.size for layer in image.layers)
    check_remote(setup, image, "remote", "remote", "unpacked", fetched=small)


def test_nydus_leaves_the_blobs_unfetched_and_its_bootstrap_to_containerd(remote: Remote) -> None:
    setup = remote(Nydus())
    image = setup.push(layers=SIZES)
    check_remote(setup, image, "remote", "remote", "unpacked", fetched=image.layers[-1].size)


def test_what_it_refuses_altogether_is_an_ordinary_pull(remote: Remote) -> None:
    setup = remote(Lazy("soci", refuses=lambda _: True))
    exporter = setup.exporter()
    image = setup.push(layers=SIZES)
    setup.pulled(image)
    exporter.wait_whole(image)


@pytest.mark.parametrize("stores", [True, False])
def test_a_parallel_pull_shows_nothing_that_is_not_known(remote: Remote, tmp_path: Path, *, stores: bool) -> None:
    setup = remote(Parallel(tmp_path / "soci", stores=stores))
    image = setup.push(layers=SIZES)
    exporter = setup.exporter()
    with node_of(setup).unpacking.held():
        pull = setup.pull(image)
        running = exporter.wait_until(lambda scrape: "remote" in scrape.pull(image).states).pull(image)
    assert (running.phase, running.states, running.snapshotter) == ("downloading", ["remote"] * 3, "soci")
    assert (running.cached, running.downloaded, running.unpacked) == (0, image.config.size, 0)
    pull.wait()
    end = exporter.wait_until(lambda scrape: scrape.phase(image) == "succeeded")
    assert end.pull(image).states == ["unpacked"] * 3
    assert end.pull(image).unpacked == layer_size(image)
    assert end.pull(image).cached == end.layer_bytes == 0
    assert end.total("pulltrace_remote_bytes_total") == layer_size(image)


def test_a_snapshotter_that_dies_fails_the_pull_and_not_the_exporter(remote: Remote, tmp_path: Path) -> None:
    soci = Parallel(tmp_path / "soci")
    setup = remote(soci)
    image = setup.push(layers=SIZES)
    exporter = setup.exporter()
    with node_of(setup).unpacking.held():
        pull = setup.pull(image)
        exporter.wait_until(lambda scrape: "remote" in scrape.pull(image).states)
        soci.kill()
        end = exporter.wait_until(lambda scrape: scrape.ended == {"failed": 1})
    assert pull.done
    assert end.up
    assert end.total("pulltrace_remote_bytes_total") == 0
    soci.start()
    setup.pulled(image)
    exporter.wait_until(lambda scrape: scrape.phase(image) == "succeeded")


def test_with_its_folder_a_parallel_pull_has_the_bytes_that_its_registry_has_sent(
    remote: Remote, tmp_path: Path
) -> None:
    soci = Parallel(tmp_path / "soci", stores=False)
    setup = remote(soci)
    image = setup.push(layers=SIZES)
    exporter = setup.exporter(f"--soci.directory={soci.unpack}")
    for attempt in (1, 2):  # what the first has left in the folder is no progress of the second
        first, second = (setup.registry.stall(image.layers[0].digest, after) for after in (MIB // 2, MIB))
        pull = setup.pull(image)
        seen = exporter.watch(partial(is_halfway, image))
        first.release()
        seen += exporter.watch(lambda scrape: scrape.pull(image).rate and scrape.pull(image).eta)
        second.release()
        assert not any("remote" in scrape.pull(image).states for scrape in seen if is_halfway(image, scrape))
        seen += exporter.watch(partial(has_ended, attempt))
        pull.wait()
        check_whole(seen[-1].pull(image), image)
        assert seen[-1].layer_bytes == attempt * layer_size(image)
        assert seen[-1].total("pulltrace_remote_bytes_total") == 0
        setup.node.remove_image(setup.reference(image))
