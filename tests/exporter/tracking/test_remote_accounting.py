"""Layers that a remote snapshotter handles: containerd shows nothing of them before their snapshots."""

import pytest

from pulltrace.clock import NodeTime
from pulltrace.model.pull import Phase
from pulltrace_exporter.model.image import Index, Manifest
from pulltrace_exporter.model.observation import BlobInfo
from pulltrace_exporter.model.view import RegistryStage
from rig.images import OCI
from rig.manifests import REGISTRY, a_blob, an_image
from rig.simulated_exporter import Exporter
from rig.simulated_node import Node

pytestmark = pytest.mark.unit

IMAGE = an_image(layers=(1000, 2000, 3000))
LAYERS = 6000


def test_a_pull_of_which_containerd_shows_nothing_is_that_of_the_remote_snapshotter(
    node: Node, exporter: Exporter
) -> None:
    node.begin_remotely(IMAGE, "soci")
    exporter.look(0.1)
    assert exporter.states == ["waiting"] * 3
    exporter.look(1)
    assert exporter.pull.bytes_per_second is exporter.pull.eta_seconds is None, "those of the config alone"
    exporter.watch(30)
    shown = exporter.pull
    assert (shown.phase, exporter.states, shown.snapshotter) == (Phase.DOWNLOADING, ["remote"] * 3, "soci")
    assert (shown.remote, shown.remote_pending, shown.downloaded) == (LAYERS, LAYERS, 100)
    assert shown.bytes_per_second is shown.eta_seconds is shown.progress_ratio is None
    assert [layer.downloaded for layer in shown.layers] == [None] * 3
    assert exporter.shown.totals.active_seconds[RegistryStage(REGISTRY, "download")] < 3


def test_the_name_of_the_snapshotter_is_not_guessed_where_several_are_loaded(node: Node, exporter: Exporter) -> None:
    node.begin_remotely(IMAGE, "soci", "stargz")
    exporter.watch(5)
    assert (exporter.states, exporter.pull.snapshotter) == (["remote"] * 3, "")


@pytest.mark.parametrize("stored", [True, False])
def test_what_it_has_fetched_is_unpacked_and_neither_downloaded_nor_cached(
    node: Node, exporter: Exporter, *, stored: bool
) -> None:
    pull = node.begin_remotely(IMAGE, "soci")
    exporter.watch(5)
    pull.bring(0, 1, stored=stored)
    exporter.look()
    shown = exporter.pull
    assert exporter.states == ["unpacked", "unpacked", "remote"]
    assert (shown.remote_pending, shown.unpacked, shown.last_progress_at) == (3000, 3000, node.now.wall)
    pull.bring(2, stored=stored)
    exporter.look()
    assert exporter.pull.bytes_per_second is exporter.pull.eta_seconds is None, "those of the config alone"
    pull.succeed()
    exporter.look()
    shown = exporter.pull
    assert (shown.phase, exporter.states) == (Phase.SUCCEEDED, ["unpacked"] * 3)
    assert (shown.remote, shown.remote_pending, shown.unpacked) == (LAYERS, 0, LAYERS)
    assert (shown.cached, shown.downloaded, shown.progress_ratio) == (0, 100, 1)
    assert (exporter.remote, exporter.found, exporter.counted) == (LAYERS, 0, pull.image.envelope + 100)
    assert not [event for event in exporter.tracked.events if event.layer is not None]


def test_what_it_has_stored_before_the_first_look_is_not_downloaded(node: Node, exporter: Exporter) -> None:
    exporter.look()
    pull = node.begin_remotely(IMAGE, "soci")
    pull.store(1)
    pull.store(2)
    exporter.watch(5)
    assert exporter.states == ["remote"] * 3
    pull.bring(0, 1, 2)
    pull.succeed()
    exporter.look()
    assert (exporter.remote, exporter.pull.downloaded, exporter.found) == (LAYERS, 100, 0)


def test_what_containerd_has_just_fetched_is_downloaded_once_its_source_is_written(
    node: Node, exporter: Exporter
) -> None:
    exporter.look()
    pull = node.begin_remotely(an_image(layers=(1000, 2000)), "stargz")
    layer = pull.image.layers[1]
    pull.bring(0, lazy=True)
    node.store(layer, pull.image, labelled=False)
    exporter.look()
    node.store(layer, pull.image)
    pull.unpack(1)
    pull.succeed()
    exporter.look()
    assert (exporter.pull.downloaded, exporter.remote, exporter.states) == (2100, 1000, ["remote", "unpacked"])


@pytest.mark.parametrize("seen", [True, False])
def test_layers_that_are_left_unfetched_stay_remote(node: Node, exporter: Exporter, *, seen: bool) -> None:
    exporter.look()
    pull = node.begin_remotely(IMAGE, "soci")
    if seen:
        exporter.look(0.1)
    pull.bring(0, 1, 2, lazy=True)
    if seen:
        exporter.look()
        assert exporter.states == ["remote"] * 3
    pull.succeed()
    exporter.look()
    shown = exporter.pull
    assert (shown.phase, exporter.states, shown.snapshotter) == (Phase.SUCCEEDED, ["remote"] * 3, "soci")
    assert (shown.cached, shown.downloaded, shown.unpacked, exporter.remote) == (0, 100, 0, LAYERS)


def test_a_layer_that_it_refuses_and_all_above_are_ordinary_ones(node: Node, exporter: Exporter) -> None:
    pull = node.begin_remotely(IMAGE, "stargz")
    exporter.look(0.1)
    pull.bring(0, lazy=True)
    exporter.look()
    assert exporter.states == ["remote"] * 3
    pull.prepare(1)
    pull.fetch(1, 500)
    exporter.look()
    shown = exporter.pull
    assert exporter.states == ["remote", "downloading", "waiting"]
    assert (shown.remote, shown.remote_pending, shown.downloaded, shown.wanted) == (1000, 0, 600, 5100)
    pull.finish(1, 2)
    pull.unpack(1, 2)
    pull.succeed()
    exporter.look()
    assert exporter.states == ["remote", "unpacked", "unpacked"]
    assert (exporter.remote, exporter.found, exporter.pull.downloaded) == (1000, 0, 5100)


def test_a_pull_by_a_local_snapshotter_beside_a_remote_one_is_an_ordinary_one(node: Node, exporter: Exporter) -> None:
    pull = node.begin_remotely(IMAGE, "soci")
    pull.held.snapshotter = "overlayfs"
    exporter.look(0.1)
    pull.prepare(0)
    exporter.watch(5)
    assert exporter.states == ["waiting"] * 3
    pull.run()
    exporter.look()
    assert (exporter.pull.downloaded, exporter.remote, exporter.states) == (6100, 0, ["unpacked"] * 3)


def test_what_it_had_before_the_pull_is_cached(node: Node, exporter: Exporter) -> None:
    base = a_blob("base", 1000)
    before = node.begin_remotely(an_image("team/base", layers=(base,)), "soci")
    before.bring(0)
    before.succeed()
    node.sleep(3600)
    node.succeeded.clear()
    pull = node.begin_remotely(an_image(layers=(base, 2000)), "soci")
    pull.bring(0)
    exporter.watch(5)
    assert exporter.states == ["cached", "remote"]
    pull.bring(1)
    pull.succeed()
    exporter.look()
    assert (exporter.found, exporter.remote, exporter.pull.cached) == (1000, 2000, 1000)


def test_a_pull_that_shows_nothing_is_given_up_later_than_others(node: Node, exporter: Exporter) -> None:
    node.begin_remotely(IMAGE, "soci")
    exporter.watch(3600, every=60)
    assert exporter.pull.phase is Phase.DOWNLOADING
    exporter.watch(2 * 3600, every=60)
    assert exporter.results == {"orphaned": 1}
    assert exporter.remote == 0


def test_the_manifest_that_soci_stores_beside_is_no_part_of_the_image(node: Node, exporter: Exporter) -> None:
    """It stands in the image's index; its layers are in the store, its config never comes."""
    exporter.look()
    pull = node.begin_remotely(IMAGE, "soci")
    index = pull.image.documents[0][1]
    assert isinstance(index, Index)
    beside, table = index.references[0].digest, a_blob("table of contents", 77)
    node.documents[beside] = Manifest(OCI.manifest, a_blob("SOCI's config", 2), (table,))
    for digest in (beside, table.digest):
        node.contents[digest] = BlobInfo(digest, 77, NodeTime(node.now.wall), children=frozenset({table.digest}))
    pull.bring(0, 1, 2, lazy=True)
    pull.succeed()
    exporter.look()
    assert (exporter.states, exporter.pull.size) == (["remote"] * 3, pull.image.size)
