"""Bytes: what a pull shows of them, and what is counted."""

import pytest

from pulltrace.model.pull import Phase
from pulltrace_exporter.model.view import RegistryMediaType
from rig.images import DOCKER, OCI, Dialect
from rig.manifests import REGISTRY, Image, a_blob, an_image
from rig.simulated_exporter import Exporter
from rig.simulated_node import Node

pytestmark = pytest.mark.unit


def layer_bytes(exporter: Exporter, media_type: str = OCI.layer) -> int:
    return exporter.shown.totals.downloaded_bytes.get(RegistryMediaType(REGISTRY, media_type), 0)


@pytest.mark.parametrize("dialect", [OCI, DOCKER])
@pytest.mark.parametrize("indexes", [0, 1, 2])
def test_a_pull_counts_each_byte_under_the_media_type_of_its_blob(
    node: Node, exporter: Exporter, dialect: Dialect, indexes: int
) -> None:
    image = an_image(layers=(1000, 2000), indexes=indexes, dialect=dialect)
    pull = node.begin(image)
    exporter.look(0.1)
    pull.fetch(0, 300)
    pull.fetch(1, 700)
    exporter.look()
    shown = exporter.pull
    assert (shown.size, shown.cached, shown.downloaded) == (3100, 0, 1100)
    assert shown.key == (REGISTRY, "team/app", image.root)
    assert shown.media_type == (dialect.index if indexes else dialect.manifest)
    assert [layer.media_type for layer in shown.layers] == [dialect.layer] * 2

    pull.complete()
    exporter.look()
    pull.succeed()
    exporter.look()

    counted = {key.media_type: size for key, size in exporter.shown.totals.downloaded_bytes.items()}
    expected = {dialect.layer: 3000, dialect.config: 100, dialect.manifest: 50, dialect.index: 70 * indexes}
    assert counted == {media_type: size for media_type, size in expected.items() if size}
    assert exporter.pull.progress_ratio == 1


@pytest.mark.parametrize("indexes", [0, 1, 2])
@pytest.mark.parametrize("seen", ["nothing", "a nameless lease", "root without labels", "root", "manifest"])
def test_a_pull_shorter_than_the_interval_is_counted_whole_however_little_of_it_was_seen(
    node: Node, exporter: Exporter, seen: str, indexes: int
) -> None:
    image = an_image(indexes=indexes)
    exporter.look()
    node.sleep(0.5)
    pull = node.pull(image)
    if seen in ("root without labels", "root"):
        pull.find_root(labelled=seen == "root")
    if seen == "manifest":
        pull.resolve()
    if seen != "nothing":
        exporter.look(0.05)

    pull.run()
    exporter.look(0.5)

    assert exporter.results == {"succeeded": 1}
    assert exporter.counted == image.size + image.envelope
    assert exporter.found == 0
    shown = exporter.pull
    assert (shown.phase, shown.size, shown.downloaded, shown.unpacked) == (Phase.SUCCEEDED, 3100, 3100, 3000)
    assert exporter.states == ["unpacked", "unpacked"]
    assert shown.references == (image.reference,)


@pytest.mark.parametrize("discarded", [False, True], ids=["layers", "snapshots alone"])
def test_pulling_what_is_there_finds_everything_and_counts_nothing(
    node: Node, exporter: Exporter, *, discarded: bool
) -> None:
    image = an_image()
    node.pulled(image)
    if discarded:
        discard(node, image)
    pull = node.begin(image)
    exporter.look(0.1)
    shown = exporter.pull
    assert (shown.size, shown.cached, shown.downloaded, shown.unpacked) == (3100, 3100, 0, 3000)
    assert shown.progress_ratio == 1
    assert shown.phase == "unpacking"
    assert exporter.states == ["cached", "cached"]
    assert [layer.downloaded for layer in shown.layers] == [0, 0]

    pull.succeed()
    exporter.look()

    assert exporter.counted == 0
    assert exporter.found == 3100
    assert exporter.results == {"succeeded": 1}


def test_pulling_what_is_there_again_between_two_looks_is_a_pull_that_found_everything(
    node: Node, exporter: Exporter
) -> None:
    image = an_image()
    node.pulled(image)
    exporter.look()
    node.sleep(0.2)
    node.pull(image).run()
    exporter.look(0.2)

    assert exporter.pull.phase == "succeeded"
    assert (exporter.counted, exporter.found) == (0, 3100)
    assert exporter.results == {"succeeded": 1}
    assert exporter.pull.cached == 3100


@pytest.mark.parametrize("seen", ["manifest", "downloading", "complete"])
@pytest.mark.parametrize("config_seen_late", [False, True])
def test_a_layer_that_was_unpacked_before_the_pull_began_is_cached_though_it_was_discarded_unseen(
    node: Node, exporter: Exporter, *, config_seen_late: bool, seen: str
) -> None:
    """`discard_unpacked_layers`: a base and right after it an image on top of it, both between two polls."""
    base = (a_blob("base", 5000), a_blob("small", 10))
    old, new = an_image("team/old", base), an_image("team/new", (*base, 400))
    first = node.begin(old)
    if seen == "downloading":
        first.fetch(1, 0)
    exporter.look(0.1)
    first.complete()
    if seen == "complete":
        exporter.look(0.1)
        node.sleep(0.05)
    first.succeed()
    node.sleep(0.05)
    second = node.pull(new)
    node.sleep(0.05)
    discard(node, old)
    if config_seen_late:
        second.find_manifest()
        exporter.look(0.1)
        assert exporter.pulls["team/new"].downloaded == 0
    second.resolve()
    exporter.look(0.1)
    shown = exporter.pulls["team/new"]
    assert [layer.state for layer in shown.layers[:2]] == ["cached", "cached"]
    assert (shown.cached, shown.downloaded) == (5010, 100)
    second.finish(2)
    second.unpack(2)
    second.succeed()
    exporter.look()
    assert exporter.pulls["team/new"].cached == 5010
    assert exporter.found == 5010
    assert layer_bytes(exporter) == 5410


def test_a_layer_that_was_unpacked_and_discarded_while_the_pull_ran_served_both(node: Node, exporter: Exporter) -> None:
    base = (a_blob("base", 5000), a_blob("small", 10))
    old, new = an_image("team/old", base), an_image("team/new", (*base, 400))
    first, second = node.pull(old), node.pull(new)
    first.resolve()
    exporter.look(0.1)
    first.complete()
    exporter.look(0.1)
    first.succeed()
    discard(node, old)
    second.resolve()
    exporter.look(0.1)
    shown = exporter.pulls["team/new"]
    assert [layer.state for layer in shown.layers] == ["unpacked", "unpacked", "waiting"]
    assert (shown.cached, shown.downloaded) == (0, 5110)
    assert layer_bytes(exporter) == 5010


@pytest.mark.parametrize("unpacked", [True, False])
def test_a_layer_that_went_after_the_next_pull_of_it_had_begun_counts_again(
    node: Node, exporter: Exporter, *, unpacked: bool
) -> None:
    """`ctr` fetches all that is not in the store, also what is unpacked."""
    base = a_blob("base", 5000)
    first, second = node.pull(an_image("team/old", (base,))), node.pull(an_image("team/new", (base, 400)))
    first.resolve()
    exporter.look(0.1)
    first.complete()
    exporter.look(0.1)
    first.succeed()
    (discard if unpacked else Node.delete)(node, first.image)
    second.find_manifest()
    exporter.look(0.1)
    second.resolve()
    second.fetch(0, 1000)
    exporter.look(0.1)
    assert exporter.pulls["team/new"].downloaded == 1100
    second.complete()
    exporter.look(0.1)
    assert layer_bytes(exporter) == 10_400


def discard(node: Node, *images: Image) -> None:
    """Their layers are collected, now that they are unpacked (`discard_unpacked_layers`)."""
    for image in images:
        for layer in image.layers:
            node.contents.pop(layer.digest, None)


def test_layers_of_another_image_are_cached_and_their_bytes_saved(node: Node, exporter: Exporter) -> None:
    base = a_blob("base", 5000)
    node.pulled(an_image("team/old", (base, 10)))
    image = an_image("team/new", (base, 400))
    pull = node.begin(image)
    pull.wait_for(0)
    pull.fetch(1, 100)
    exporter.look(0.2)

    shown = exporter.pull
    assert (shown.size, shown.cached, shown.downloaded) == (5500, 5000, 200)
    assert shown.progress_ratio == pytest.approx(200 / 500)
    assert exporter.states == ["cached", "downloading"]
    assert exporter.found == 5000

    pull.run()
    assert exporter.look().counted == 500 + image.envelope
    assert exporter.found == 5000


def test_a_layer_that_is_there_has_its_own_size_whatever_the_manifest_says(node: Node, exporter: Exporter) -> None:
    """containerd compares sizes only of what it fetches."""
    node.pulled(an_image("team/base", (a_blob("base", 5000),)))
    exporter.look(0.1)
    pull = node.pull(an_image("team/app", (a_blob("base", 2**63 - 1), 1000)))
    pull.complete()
    exporter.look()
    assert (exporter.pull.size, exporter.pull.cached, exporter.found) == (6100, 5000, 5000)
    assert exporter.layers[0].size == 5000


def test_a_layer_that_was_not_seen_coming_and_is_not_there_counts_nowhere(node: Node, exporter: Exporter) -> None:
    """containerd 2 takes an artifact for an image, and leaves alone what it does not know to be a layer."""
    image = an_image(layers=(1000,))
    pull = node.begin(image)
    exporter.look(0.1)
    pull.succeed()
    exporter.look()

    shown = exporter.pull
    assert (shown.phase, exporter.states) == (Phase.SUCCEEDED, ["waiting"])
    assert (shown.size, shown.cached, shown.downloaded, shown.unpacked) == (1100, 0, 100, 0)
    assert (exporter.counted, exporter.found) == (image.envelope + 100, 0)


@pytest.mark.parametrize("unpacked", [True, None, False])
def test_a_pull_that_wrote_its_record_and_was_not_unpacked_has_failed(
    node: Node, exporter: Exporter, *, unpacked: bool | None
) -> None:
    pull = node.pull(an_image())
    pull.complete(unpack=bool(unpacked))
    exporter.look(0.1)
    pull.held.unpacked = unpacked
    pull.succeed()
    exporter.look()
    assert exporter.results == {"failed" if unpacked is False else "succeeded": 1}


def test_a_layer_that_was_seen_on_its_way_was_fetched_though_it_is_discarded_at_once(
    node: Node, exporter: Exporter
) -> None:
    image = an_image(layers=(1000, 2000))
    pull = node.begin(image, 0)
    pull.fetch(1, 900)
    exporter.look(0.1)
    pull.run()
    discard(node, image)
    exporter.look()

    assert layer_bytes(exporter) == 3000
    assert exporter.found == 0
    assert exporter.pull.downloaded == 3100


def test_a_layer_that_came_between_two_looks_was_fetched_though_it_is_discarded(node: Node, exporter: Exporter) -> None:
    """Its snapshot, of a snapshotter that makes them out of nothing else, is younger than the pull."""
    base = a_blob("base", 1000)
    node.pulled(an_image("team/base", (base,)))
    del node.contents[base.digest]
    image = an_image(layers=(base, 2000, 3000))
    pull = node.begin(image)
    exporter.look(0.1)
    pull.complete()
    pull.unpack(1, 2)
    pull.succeed()
    discard(node, image)
    exporter.look()

    assert exporter.states == ["cached", "unpacked", "unpacked"]
    assert layer_bytes(exporter) == 5000
    assert (exporter.found, exporter.pull.cached) == (1000, 1000)


def test_a_layer_that_served_two_pulls_and_is_discarded_is_counted_once(node: Node, exporter: Exporter) -> None:
    base = a_blob("base", 1000)
    one, two = (node.pull(an_image(name, (base, size))) for name, size in (("team/a", 200), ("team/b", 300)))
    one.resolve()
    exporter.look(0.1)
    one.run()
    exporter.look()
    two.run()
    discard(node, one.image, two.image)
    exporter.look()

    assert layer_bytes(exporter) == 1500
    assert exporter.found == 0


def test_a_layer_discarded_before_the_exporter_started_is_not_counted(node: Node) -> None:
    pull = node.begin(an_image(layers=(1000, 2000)))
    node.sleep(5)
    pull.finish(0)
    pull.unpack(0)
    del node.contents[pull.image.layers[0].digest]
    node.sleep(5)
    exporter = Exporter(node).look(0.1)
    pull.finish(1)
    pull.unpack(1)
    pull.succeed()
    exporter.look()

    assert exporter.states == ["unpacked", "unpacked"]
    assert layer_bytes(exporter) == 2000
    assert (exporter.found, exporter.pull.downloaded) == (0, 3100)


def test_layers_shared_by_two_running_pulls_show_in_both_and_count_once(node: Node, exporter: Exporter) -> None:
    base = a_blob("base", 1000)
    first, second = (an_image(name, (base, 200)) for name in ("team/a", "team/b"))
    one, two = node.begin(first), node.begin(second)
    exporter.look(0.1)
    one.fetch(0, 400)
    exporter.look()

    for pull in exporter.pulls.values():
        assert pull.layers[0].downloaded == 400
        assert pull.layers[0].bytes_per_second
        assert pull.layers[0].state == "downloading"
        assert pull.downloaded == 500
    assert layer_bytes(exporter) == 400

    one.run()
    exporter.look()
    assert exporter.pulls["team/b"].downloaded == 1100
    two.run()
    exporter.look()

    assert exporter.counted == 1000 + 2 * (200 + 100) + first.envelope + second.envelope
    assert exporter.found == 0
    assert exporter.results == {"succeeded": 2}


def test_a_shared_layer_shows_the_media_type_that_each_pulls_own_manifest_gives_it(
    node: Node, exporter: Exporter
) -> None:
    oci = an_image("team/oci", (a_blob("base", 1000, OCI.layer),))
    docker = an_image("team/docker", (a_blob("base", 1000, DOCKER.layer),), dialect=DOCKER)
    for image in (oci, docker):
        node.begin(image)
    exporter.look(0.1)

    assert exporter.pulls["team/oci"].layers[0].media_type == OCI.layer
    assert exporter.pulls["team/docker"].layers[0].media_type == DOCKER.layer


def test_a_shared_layer_unpacked_by_the_other_pull_is_unpacked(node: Node, exporter: Exporter) -> None:
    base = a_blob("base", 1000)
    one, two = (node.begin(an_image(name, (base, 200))) for name in ("team/a", "team/b"))
    one.finish(0)
    two.wait_for(0)
    one.prepare(0)
    exporter.look(0.1)
    two.finish(1)
    exporter.look()
    assert {pull.layers[0].state.value for pull in exporter.pulls.values()} == {"unpacking"}

    one.unpack(0)
    two.prepare(1)
    exporter.look()

    assert {pull.layers[0].state.value for pull in exporter.pulls.values()} == {"unpacked"}
    assert {pull.unpacked for pull in exporter.pulls.values()} == {1000}
    assert exporter.pulls["team/b"].layers[1].state == "unpacking"


def test_a_layer_is_not_unpacked_before_its_bytes_are_known_to_be_there(node: Node, exporter: Exporter) -> None:
    # Leases are read one after the other, while containerd works on.
    base = a_blob("base", 1000)
    one, two = (node.begin(an_image(name, (base,))) for name in ("team/a", "team/b"))
    one.fetch(0, 400)
    two.held.committed.add(two.image.chain[0])
    exporter.look(0.1)
    assert {pull.layers[0].state.value for pull in exporter.shown.pulls} == {"downloading"}
    one.finish(0)
    exporter.look()

    assert {pull.layers[0].state.value for pull in exporter.shown.pulls} == {"unpacked"}
    assert layer_bytes(exporter) == 1000


def test_a_blob_named_twice_has_two_layers_and_counts_once(node: Node, exporter: Exporter) -> None:
    empty = a_blob("empty", 32)
    pull = node.begin(an_image(layers=(empty, 1000, empty)))
    exporter.look(0.1)
    pull.fetch(0, 16)
    exporter.look()
    shown = exporter.pull
    assert shown.size == 1132
    assert shown.downloaded == 116
    assert [(layer.index, layer.downloaded) for layer in shown.layers] == [(0, 16), (1, 0), (2, 16)]

    pull.finish(0, 1)
    pull.unpack(0)
    exporter.look()
    assert exporter.pull.unpacked == 0  # one of its two places is not unpacked yet
    assert exporter.states == ["unpacked", "unpacking", "downloaded"]
    pull.unpack(1, 2)
    exporter.look()
    assert exporter.pull.unpacked == 1032
    assert layer_bytes(exporter) == 1032


def test_a_layer_fetched_by_a_second_request_between_two_polls_is_not_cached(node: Node, exporter: Exporter) -> None:
    image = an_image()
    first = node.begin(image)
    second = node.pull(image)
    second.find_root()
    exporter.look(0.1)
    second.run()
    exporter.look()
    first.run()
    exporter.look()

    assert layer_bytes(exporter) == 3000
    assert exporter.found == 0


# Interrupted pulls


def interrupted(node: Node, exporter: Exporter, image: Image, offset: int = 600) -> None:
    """A pull that fails with so many bytes of its first layer there."""
    pull = node.begin(image)
    exporter.look(0.1)
    pull.fetch(0, offset)
    exporter.look()
    pull.fail()
    exporter.look()
    assert exporter.pull.phase == "failed"


@pytest.mark.parametrize("pause", [1.0, 600.0], ids=["within the linger", "after it"])
@pytest.mark.parametrize("seen", ["in steps", "when it is over", "once complete"])
def test_a_resumed_pull_counts_only_what_is_new(node: Node, exporter: Exporter, pause: float, seen: str) -> None:
    image = an_image(layers=(1000,))
    interrupted(node, exporter, image)
    exporter.look(pause)

    pull = node.begin(image)
    if seen == "in steps":
        exporter.look(0.1)
        assert exporter.pull.downloaded == 600  # the config was there before, the rest is this image's download
        assert exporter.pull.cached == 100
        pull.fetch(0, 800)
        exporter.look()
        assert exporter.pull.downloaded == 800
        assert exporter.pull.progress_ratio == pytest.approx(0.8)
    if seen == "once complete":
        pull.finish(0)
        exporter.look(0.1)
    pull.complete()
    exporter.look(0.1)
    pull.succeed()
    exporter.look()

    assert layer_bytes(exporter) == 1000
    assert exporter.pull.downloaded == 1000
    assert exporter.results == {"failed": 1, "succeeded": 1}


@pytest.mark.parametrize("pause", [1.0, 600.0], ids=["within the linger", "after it"])
def test_an_ingest_that_begins_anew_keeps_what_was_reached_and_counts_nothing_twice(
    node: Node, exporter: Exporter, pause: float
) -> None:
    image = an_image(layers=(1000,))
    pull = node.begin(image)
    exporter.look(0.1)
    pull.fetch(0, 700)
    exporter.look()
    pull.fetch(0, 0)  # the registry cannot resume
    exporter.look()
    assert exporter.pull.downloaded == 800
    pull.fetch(0, 300)
    exporter.look()
    assert exporter.pull.downloaded == 800
    assert layer_bytes(exporter) == 700
    pull.fail()
    exporter.look(pause)

    pull = node.begin(image, 400)
    exporter.look(0.1)
    pull.fetch(0, 800)
    exporter.look()
    assert layer_bytes(exporter) == 800
    pull.run()
    exporter.look()

    assert layer_bytes(exporter) == 1000


def test_bytes_that_an_unseen_attempt_left_are_downloaded_but_not_counted(node: Node) -> None:
    image = an_image(layers=(1000,))
    pull = node.begin(image, 600)
    pull.fail()
    node.sleep(10)
    exporter = Exporter(node).look()
    pull = node.begin(image)
    exporter.look(0.1)
    assert exporter.pull.downloaded == 600
    assert exporter.pull.cached == 100

    pull.run()
    exporter.look()

    assert layer_bytes(exporter) == 400
    assert exporter.pull.downloaded == 1000


@pytest.mark.parametrize("seen", ["in steps", "just when it ended", "when it is over"])
def test_an_image_that_was_deleted_is_fetched_and_counted_again(node: Node, exporter: Exporter, seen: str) -> None:
    image = an_image(layers=(1000,))
    for _ in range(2):
        exporter.look()
        pull = node.pull(image)
        if seen == "in steps":
            pull.resolve()
            exporter.look(0.1)
            pull.fetch(0, 500)
            exporter.look()
        elif seen == "just when it ended":
            # The ingests were listed before the end of this one, and what the lease holds after it.
            pull.resolve()
            pull.fetch(0, 500)
            listed = dict(node.ingests)
            pull.finish(0)
            node.ingests |= listed
            exporter.look()
        node.sleep(0.1)
        pull.run()
        exporter.look()
        assert exporter.pull.downloaded == 1100
        assert exporter.pull.cached == 0
        node.delete(image)

    assert exporter.counted == 2 * (1100 + image.envelope)


def test_no_bytes_are_awaited_of_a_blob_of_another_namespace(node: Node, exporter: Exporter) -> None:
    # It is committed at once, as if it had come now.
    pull = node.begin(an_image(layers=(1000,)))
    exporter.look(0.1)
    pull.finish(0)
    exporter.look(0.1)

    assert exporter.pull.downloaded == 1100
    assert exporter.pull.phase == "unpacking"


# Exporters that come late


def test_an_exporter_started_in_mid_pull_counts_only_what_grows_from_then_on(node: Node) -> None:
    image = an_image(layers=(1000, 2000, 3000))
    pull = node.begin(image)
    pull.finish(0)
    pull.fetch(1, 500)
    node.sleep(60)
    exporter = Exporter(node).look(0.1)
    shown = exporter.pull
    assert (shown.downloaded, shown.cached) == (1600, 0)
    assert shown.started_at == pytest.approx(node.now.wall - 60.1)
    assert exporter.counted == 0

    pull.fetch(1, 700)
    pull.fetch(2, 100)
    exporter.look()
    assert exporter.counted == 300
    assert shown.bytes_per_second is None
    assert exporter.pull.bytes_per_second == pytest.approx(300)

    pull.run()
    exporter.look()
    assert exporter.counted == 1500 + 3000
    assert exporter.pull.downloaded == image.size


def test_an_exporter_started_while_the_registry_had_not_answered_counts_all_that_comes(node: Node) -> None:
    image = an_image(layers=(1000, 2000))
    pull = node.pull(image)
    node.sleep(5)
    exporter = Exporter(node).look(0.1)
    pull.resolve()
    pull.finish(0)
    pull.fetch(1, 500)
    exporter.look()
    assert exporter.pull.downloaded == 1600

    pull.run()
    exporter.look()

    assert exporter.counted == image.size + image.envelope


def test_a_pull_that_began_after_the_exporter_is_counted_whole_though_containerd_could_not_be_read(
    node: Node, exporter: Exporter
) -> None:
    exporter.miss()
    image = an_image(layers=(1000,))
    node.begin(image, 400)
    exporter.miss(10)
    exporter.look()

    assert exporter.counted == 400 + 100 + image.envelope


# Rates


def test_rates_of_pull_and_layers_are_those_of_the_last_seconds(node: Node, exporter: Exporter) -> None:
    pull = node.begin(an_image(layers=(100_000, 100_000), config_size=1))
    exporter.look(0.1)
    for second in range(1, 21):
        pull.fetch(0, 1000 * second)
        pull.fetch(1, 2000 * second)
        exporter.look()

    assert exporter.pull.bytes_per_second == pytest.approx(3000, rel=0.01)
    assert [layer.bytes_per_second for layer in exporter.layers] == [
        pytest.approx(1000, rel=0.01),
        pytest.approx(2000, rel=0.01),
    ]
    assert exporter.pull.eta_seconds == pytest.approx((200_000 - 60_000) / 3000, rel=0.01)


def test_a_pull_has_no_rate_before_it_is_known_and_none_once_it_ended(node: Node, exporter: Exporter) -> None:
    pull = node.begin(an_image(layers=(1000, 10)))
    shown = exporter.look(0.0).pull
    assert (shown.bytes_per_second, shown.layers[0].bytes_per_second) == (None, None)
    pull.fetch(0, 500)
    pull.finish(1)
    shown = exporter.look().pull
    assert shown.bytes_per_second == pytest.approx(610)
    assert shown.layers[1].bytes_per_second is None  # complete

    pull.fail()
    shown = exporter.look().pull
    assert (shown.bytes_per_second, shown.eta_seconds) == (None, None)
    assert {layer.bytes_per_second for layer in exporter.layers} == {None}


def test_a_resumed_layer_does_not_begin_with_the_rate_of_what_was_there(node: Node, exporter: Exporter) -> None:
    image = an_image(layers=(1_000_000,))
    interrupted(node, exporter, image, 900_000)
    exporter.look(300)
    pull = node.begin(image)
    exporter.look(0.1)
    pull.fetch(0, 901_000)
    exporter.look()

    assert exporter.pull.bytes_per_second == pytest.approx(1000, rel=0.2)
    assert exporter.layers[0].bytes_per_second == pytest.approx(1000, rel=0.2)


def test_a_layer_that_comes_after_an_idle_node_does_not_look_slow_for_the_idle_time(
    node: Node, exporter: Exporter
) -> None:
    exporter.look()
    node.sleep(4.5)
    pull = node.pull(an_image(layers=(100_000,)))
    node.sleep(0.5)
    pull.resolve()
    pull.fetch(0, 500)
    exporter.look(0)
    pull.fetch(0, 1500)
    exporter.look()

    assert exporter.layers[0].bytes_per_second == pytest.approx(1000, rel=0.1)
    assert exporter.pull.bytes_per_second == pytest.approx(1100, rel=0.1)


def test_bytes_that_came_during_an_outage_of_containerd_are_no_burst(node: Node, exporter: Exporter) -> None:
    pull = node.begin(an_image(layers=(100_000, 100_000)))
    exporter.look(0.1)
    for _ in range(9):
        exporter.miss(5)
    pull.fetch(0, 46_000)
    exporter.look()

    assert exporter.layers[0].bytes_per_second == pytest.approx(1000, rel=0.01)
    assert exporter.pull.bytes_per_second == pytest.approx(1000, rel=0.01)
