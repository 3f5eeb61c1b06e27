"""Layers whose bytes are seen in the folder of the remote snapshotter that fetches them."""

import pytest

from pulltrace.model.pull import Phase
from rig.manifests import a_blob, an_image
from rig.simulated_exporter import Exporter
from rig.simulated_node import Node

pytestmark = pytest.mark.unit

IMAGE = an_image(layers=(1000, 2000, 3000))
LAYERS = 6000


def test_layers_that_its_folder_shows_are_like_any_other(node: Node, exporter: Exporter) -> None:
    pull = node.begin_remotely(IMAGE, "soci")
    for position, there in enumerate((500, 0, 1000)):
        pull.fetch_remotely(position, there)
    exporter.look()
    shown = exporter.pull
    assert (exporter.states, shown.snapshotter) == (["downloading", "waiting", "downloading"], "soci")
    assert (shown.remote, shown.downloaded, shown.wanted) == (0, 1600, 6100)
    pull.fetch_remotely(0, 1000, complete=True)
    pull.fetch_remotely(2, 2000)
    exporter.look()
    assert exporter.states == ["downloaded", "waiting", "downloading"]
    assert (exporter.pull.bytes_per_second, exporter.layers[2].bytes_per_second) == (1550, 1000)
    pull.fetch_remotely(1, 2000, complete=True)
    pull.fetch_remotely(2, 3000, complete=True)
    exporter.look()
    assert exporter.pull.phase is Phase.UNPACKING
    pull.bring(0, 1, 2, stored=False)
    pull.succeed()
    exporter.look()
    shown = exporter.pull
    assert (exporter.states, shown.downloaded, shown.unpacked) == (["unpacked"] * 3, 6100, LAYERS)
    assert (exporter.counted, exporter.remote, exporter.found) == (pull.image.envelope + 6100, 0, 0)


def test_a_layer_that_came_and_was_committed_between_two_looks_is_downloaded(node: Node, exporter: Exporter) -> None:
    pull = node.begin_remotely(IMAGE, "soci")
    for position in range(3):
        pull.fetch_remotely(position, 0)
    exporter.look()
    pull.bring(0, 1, 2)
    exporter.look()
    pull.succeed()
    exporter.look()
    assert (exporter.states, exporter.pull.downloaded, exporter.remote) == (["unpacked"] * 3, 6100, 0)


def test_what_an_attempt_has_left_is_no_progress_of_the_next(node: Node, exporter: Exporter) -> None:
    image = an_image(layers=(3000,))
    failing = node.begin_remotely(image, "soci")
    failing.fetch_remotely(0, 2000)
    exporter.look()
    failing.fail()
    exporter.look()
    assert (exporter.pull.phase, exporter.pull.downloaded) == (Phase.FAILED, 2100)
    pull = node.begin_remotely(image, "soci")
    exporter.look()
    assert (exporter.states, exporter.layers[0].downloaded) == (["waiting"], 0)
    pull.fetch_remotely(0, 500)
    exporter.look()
    assert (exporter.states, exporter.layers[0].downloaded) == (["downloading"], 500)
    pull.fetch_remotely(0, 3000, complete=True)
    exporter.look()
    assert exporter.counted == image.envelope + 100 + 2000 + 3000


def test_bytes_from_before_the_exporter_are_not_counted(node: Node) -> None:
    pull = node.begin_remotely(IMAGE, "soci")
    pull.fetch_remotely(2, 1000)
    node.sleep(10)
    exporter = Exporter(node)
    exporter.look()
    assert (exporter.pull.downloaded, exporter.counted) == (1100, 0)
    pull.fetch_remotely(2, 2500)
    exporter.look()
    assert (exporter.pull.downloaded, exporter.counted) == (2600, 1500)


def test_an_image_that_was_removed_is_fetched_again(node: Node, exporter: Exporter) -> None:
    image = an_image(layers=(3000,))
    first = node.begin_remotely(image, "soci")
    first.fetch_remotely(0, 3000, complete=True)
    exporter.look()
    first.bring(0, stored=False)
    first.succeed()
    exporter.look()
    node.delete(image)
    node.snapshots.clear()
    node.sleep(5)
    again = node.begin_remotely(image, "soci")
    again.fetch_remotely(0, 1000)
    exporter.look()
    assert (exporter.states, exporter.layers[0].downloaded) == (["downloading"], 1000)
    assert exporter.counted == 2 * (image.envelope + 100) + 3000 + 1000


def test_a_pull_that_waits_for_a_layer_of_another_shows_its_bytes(node: Node, exporter: Exporter) -> None:
    base = a_blob("base", 1000)
    first = node.begin_remotely(an_image("team/one", layers=(base, 2000)), "soci")
    first.fetch_remotely(0, 100)
    first.fetch_remotely(1, 0)
    exporter.look()
    second = node.begin_remotely(an_image("team/two", layers=(base, 3000)), "soci")
    first.fetch_remotely(0, 600)
    exporter.look().look()
    shown = exporter.pulls["team/two"]
    assert [layer.state.value for layer in shown.layers] == ["downloading", "waiting"]
    assert [layer.downloaded for layer in shown.layers] == [600, 0]
    first.fetch_remotely(0, 1000, complete=True)
    first.bring(0)
    second.fetch_remotely(1, 3000, complete=True)
    exporter.look()
    second.bring(0, 1)
    second.succeed()
    exporter.look()
    assert exporter.pulls["team/two"].downloaded == 4100
    assert exporter.counted == first.image.envelope + second.image.envelope + 200 + 4000


def test_a_layer_that_another_pull_has_completed_and_stored_is_counted_once(node: Node, exporter: Exporter) -> None:
    base = a_blob("base", 1000)
    first = node.begin_remotely(an_image("team/one", layers=(base, 2000)), "soci")
    second = node.pull(an_image("team/two", layers=(base, 3000)))
    node.sleep(1)
    first.fetch_remotely(0, 1000, complete=True)
    exporter.look()
    first.store(0)
    second.resolve()
    exporter.look()
    assert [layer.state.value for layer in exporter.pulls["team/two"].layers] == ["downloaded", "waiting"]
    assert exporter.counted == first.image.envelope + second.image.envelope + 200 + 1000
