"""Pulls by snapshotters that are programs of their own, in the shapes of their source, on the stand-in."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from rig.images import MIB, Image
from rig.invariants import layer_size
from rig.node_setup import NodeSetup, node_setup
from rig.standin import Lazy, Nydus, StandIn
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
