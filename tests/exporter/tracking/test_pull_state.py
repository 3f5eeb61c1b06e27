"""States of layers and phases of a pull, from the first byte to the last snapshot."""

from dataclasses import replace

import pytest

from pulltrace.model.pull import LayerState
from pulltrace_exporter.model.image import Descriptor, Manifest
from rig.images import OCI, digest
from rig.manifests import a_blob, an_image, for_platforms
from rig.simulated_exporter import Exporter
from rig.simulated_node import Node, Puller

pytestmark = pytest.mark.unit


@pytest.fixture
def pull(node: Node, exporter: Exporter) -> Puller:
    pull = node.begin(an_image(layers=(1000, 2000, 3000)))
    exporter.look(0.1)
    return pull


def test_layers_wait_download_are_downloaded_and_unpacked_in_order(exporter: Exporter, pull: Puller) -> None:
    assert exporter.states == ["waiting"] * 3
    pull.prepare(0)  # before its bytes are there
    pull.fetch(0, 10)
    pull.fetch(1, 10)
    assert exporter.look().states == ["downloading", "downloading", "waiting"]
    pull.finish(1)
    assert exporter.look().states == ["downloading", "downloaded", "waiting"]
    pull.finish(0)
    assert exporter.look().states == ["unpacking", "downloaded", "waiting"]
    assert exporter.pull.phase == "downloading"
    assert exporter.pull.unpacked == 0
    pull.finish(2)
    pull.unpack(0)
    assert exporter.look().states == ["unpacked", "unpacking", "downloaded"]  # its turn, snapshot or not
    assert exporter.pull.phase == "unpacking"
    assert exporter.pull.unpacked == 1000
    pull.prepare(1)
    assert exporter.look().states == ["unpacked", "unpacking", "downloaded"]
    pull.unpack(1)
    pull.prepare(2)
    assert exporter.look().states == ["unpacked", "unpacked", "unpacking"]
    pull.unpack(2)
    assert exporter.look().states == ["unpacked"] * 3
    assert exporter.pull.phase == "unpacking"  # it ends when its lease does
    assert exporter.pull.unpacked == 6000
    pull.succeed()
    assert exporter.look().pull.phase == "succeeded"


def test_layers_that_are_unpacked_in_parallel_are_so_before_those_below_are_committed(
    exporter: Exporter, pull: Puller
) -> None:
    pull.finish(0, 1)
    pull.fetch(2, 10)
    pull.prepare(0, 1, 2)
    assert exporter.look().states == ["unpacking", "unpacking", "downloading"]
    pull.finish(2)
    assert exporter.look().states == ["unpacking", "unpacking", "unpacking"]
    pull.unpack(0)
    assert exporter.look().states == ["unpacked", "unpacking", "unpacking"]


def test_a_pull_that_does_not_unpack_never_says_that_it_does(exporter: Exporter, pull: Puller) -> None:
    pull.complete(unpack=False)
    assert exporter.look().states == ["downloaded"] * 3
    pull.succeed()
    assert exporter.look().states == ["downloaded"] * 3
    assert exporter.pull.unpacked == 0


def test_success_means_that_all_is_unpacked_though_the_last_commit_was_not_seen(
    exporter: Exporter, pull: Puller
) -> None:
    pull.complete(unpack=False)
    pull.prepare(0)
    exporter.look()
    pull.succeed()
    assert exporter.look().states == ["unpacked"] * 3
    assert exporter.pull.unpacked == 6000


def test_a_failed_pull_keeps_the_state_in_which_it_failed(exporter: Exporter, pull: Puller) -> None:
    pull.finish(0)
    pull.unpack(0)
    pull.fetch(1, 700)
    exporter.look()
    before = exporter.pull
    pull.fail()
    shown = exporter.look().pull

    assert exporter.states == ["unpacked", "downloading", "waiting"]
    assert shown.phase == "failed"
    assert (shown.downloaded, shown.unpacked, shown.size) == (before.downloaded, before.unpacked, before.size)
    assert shown.progress_ratio == pytest.approx(1800 / 6100)
    assert shown.requests == 0


def test_the_numbers_of_layers_add_up_zeros_included(exporter: Exporter, pull: Puller) -> None:
    pull.finish(0)
    pull.fetch(1, 1)

    counts = exporter.look().pull.layer_counts

    assert set(counts) == set(LayerState)
    assert sum(counts.values()) == 3
    assert counts[LayerState.DOWNLOADED] == counts[LayerState.DOWNLOADING] == counts[LayerState.WAITING] == 1
    assert counts[LayerState.CACHED] == 0


def test_cached_layers_that_are_not_unpacked_yet_are_shown_as_they_are_unpacked(node: Node, exporter: Exporter) -> None:
    image = an_image(layers=(1000, 2000))
    node.pulled(image, unpacked=False)
    pull = node.pull(image)
    pull.complete(unpack=False)
    assert exporter.look(0.1).states == ["cached", "cached"]
    assert exporter.pull.unpacked == 0
    pull.prepare(0)
    assert exporter.look().states == ["unpacking", "cached"]
    pull.unpack(0)
    assert exporter.look().states == ["cached", "unpacking"]
    assert exporter.pull.unpacked == 1000


def test_several_platforms_are_one_pull_of_all_their_layers(node: Node, exporter: Exporter) -> None:
    amd, arm = an_image("amd", (1000, 2000), indexes=0), an_image("arm", (500, 700), indexes=0)
    pull = node.begin(for_platforms("team/app", amd, arm))
    pull.finish(0, 2, 3)
    pull.prepare(0)
    exporter.look(0.1)
    assert exporter.pull.size == amd.size + arm.size
    assert [(layer.index, layer.size) for layer in exporter.layers] == [(0, 1000), (1, 2000), (2, 500), (3, 700)]
    assert exporter.states[:2] == ["unpacking", "waiting"]

    pull.finish(1)
    pull.unpack(0, 1)
    pull.prepare(2)
    assert exporter.look().states == ["unpacked", "unpacked", "unpacking", "downloaded"]
    pull.unpack(2)
    assert exporter.look().states == ["unpacked", "unpacked", "unpacked", "unpacking"]
    pull.run()
    assert exporter.look().counted == pull.image.size + pull.image.envelope


def test_two_manifests_with_one_config_have_the_chain_ids_of_both_their_layers(node: Node, exporter: Exporter) -> None:
    # The same files packed in two ways: gzip and zstd.
    gzip = an_image("gzip", (1000, 2000), indexes=0)
    blobs = a_blob("packed otherwise", 900), a_blob("this too", 1800)
    zstd = Manifest(OCI.manifest, gzip.configs[0], blobs)
    manifest = Descriptor(digest("zstd"), 50, OCI.manifest)
    other = replace(gzip, documents=((manifest, zstd),), layers=blobs)
    pull = node.pull(for_platforms("team/app", gzip, other))
    pull.complete()
    exporter.look(0.1)

    assert exporter.states == ["unpacked"] * 4


def test_an_eta_is_given_only_while_bytes_are_missing_and_come(exporter: Exporter, pull: Puller) -> None:
    assert exporter.pull.eta_seconds is None
    pull.fetch(0, 1000)
    exporter.look()
    assert exporter.pull.eta_seconds == pytest.approx((6000 - 1000) / exporter.pull.bytes_per_second)  # type: ignore[operator]
    exporter.watch(90)
    assert exporter.pull.bytes_per_second == 0
    assert exporter.pull.eta_seconds is None
    pull.finish(0, 1, 2)
    exporter.look()
    assert exporter.pull.bytes_per_second is not None
    assert exporter.pull.eta_seconds is None


def test_progress_is_the_last_byte_or_layer_also_when_only_the_ingest_was_touched(
    node: Node, exporter: Exporter, pull: Puller
) -> None:
    pull.fetch(0, 10)
    exporter.look()
    moved = node.now.wall
    exporter.watch(30)
    assert exporter.pull.last_progress_at == moved
    pull.fetch(0, 10)  # rewritten at the same offset
    exporter.look()
    assert exporter.pull.last_progress_at == node.now.wall
    pull.finish(0)
    exporter.look().watch(5)
    assert exporter.pull.last_progress_at == node.now.wall - 5
    pull.unpack(0)
    exporter.look().watch(5)
    assert exporter.pull.last_progress_at == node.now.wall - 5


def test_a_layer_without_bytes_is_a_layer(node: Node, exporter: Exporter) -> None:
    pull = node.begin(an_image(layers=(0, 10)))
    exporter.look(0.1)
    assert exporter.states == ["waiting", "waiting"]
    pull.complete()
    assert exporter.look().states == ["unpacked", "unpacked"]
    assert exporter.pull.progress_ratio == 1


def test_an_image_without_layers_is_complete_with_its_config(node: Node, exporter: Exporter) -> None:
    node.begin(an_image(layers=()))
    exporter.look(0.1)

    assert exporter.pull.size == 100
    assert exporter.pull.layers == ()
    assert exporter.pull.phase == "unpacking"


def test_a_config_that_names_too_few_layers_leaves_the_rest_without_unpacking(node: Node, exporter: Exporter) -> None:
    image = an_image(layers=(10, 20))
    pull = node.begin(image)
    node.diff_ids[image.configs[0].digest] = image.diff_ids[0][:1]
    pull.finish(0, 1)
    pull.unpack(0)
    assert exporter.look(0.1).states == ["unpacked", "downloaded"]
    pull.succeed()
    assert exporter.look().states == ["unpacked", "downloaded"]


def test_a_manifest_without_its_config_shows_bytes_but_no_unpacking(node: Node, exporter: Exporter) -> None:
    image = an_image(layers=(10, 20))
    pull = node.begin(image)
    del node.diff_ids[image.configs[0].digest]
    pull.finish(0, 1)
    exporter.look(0.1)

    assert exporter.states == ["downloaded", "downloaded"]
    assert exporter.pull.downloaded == 130
