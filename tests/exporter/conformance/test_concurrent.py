"""Several pulls at once are told apart, and what they share is one thing."""

from rig.images import MIB, Image, layer
from rig.invariants import layer_size
from rig.node_setup import NodeSetup
from rig.scrape import Scrape


def test_pulls_of_one_repository_and_of_others_are_told_apart(setup: NodeSetup) -> None:
    images = [
        setup.push("app", [2 * MIB], tag="v1"),
        setup.push("app", [3 * MIB], tag="v2"),
        setup.push("other", [MIB + 600_000]),
    ]
    stalls = [setup.registry.stall(image.layers[0].digest, after=MIB + 500_000) for image in images]
    exporter = setup.exporter()
    pulls = [setup.pull(image) for image in images]
    together = exporter.wait_until(lambda scrape: all(half(scrape, image) for image in images))
    assert together.in_progress == {"resolving": 0, "downloading": 3, "unpacking": 0}
    assert [together.pull(image).size for image in images] == [image.size for image in images]
    assert [together.pull(image).layers[0].downloaded for image in images] == [MIB] * 3
    for stall in stalls:
        stall.release()
    for pull, image in zip(pulls, images, strict=True):
        pull.wait()
        end = exporter.wait_whole(image)
        assert end.pull(image).reference == setup.reference(image)
    assert end.ended == {"succeeded": 3}
    assert end.layer_bytes == layer_size(*images)


def test_an_image_requested_twice_is_one_download(setup: NodeSetup) -> None:
    image = setup.push(layers=[4 * MIB])
    stall = setup.registry.stall(image.layers[0].digest, after=MIB + 500_000)
    exporter = setup.exporter()
    pulls = [setup.pull(image), setup.pull(image)]
    both = exporter.wait_until(lambda scrape: half(scrape, image) and scrape.pull(image).requests == 2)
    assert both.in_progress["downloading"] == 1
    stall.release()
    for pull in pulls:
        pull.wait()
    end = exporter.wait_whole(image)
    assert end.layer_bytes == layer_size(image) == setup.registry.sent(image.layers[0].digest)
    assert end.total("pulltrace_cached_bytes_total") == 0
    assert end.ended == {"succeeded": 2}, "each request is answered"


def test_one_of_two_requests_is_withdrawn_and_the_pull_goes_on(setup: NodeSetup) -> None:
    image = setup.push(layers=[4 * MIB])
    exporter = setup.exporter()
    first, stall = setup.pull_held(image, MIB + 500_000)
    second = setup.pull(image)
    exporter.wait_until(lambda scrape: half(scrape, image) and scrape.pull(image).requests == 2)
    second.cancel()
    alone = exporter.wait_until(lambda scrape: scrape.pull(image).requests == 1)
    assert alone.phase(image) == "downloading"
    stall.release()
    first.wait()
    end = exporter.wait_whole(image)
    assert end.layer_bytes == layer_size(image)


def test_a_layer_that_two_running_pulls_share_is_shown_by_both_and_counted_once(setup: NodeSetup) -> None:
    shared = layer(4 * MIB, "shared by two running pulls")
    one = setup.push("one", [shared, 300_000])
    other = setup.push("other", [shared, 200_000])
    stall = setup.registry.stall(one.layers[0].digest, after=MIB + 500_000)
    exporter = setup.exporter()
    setup.pull(one)
    setup.pull(other)
    both = exporter.wait_until(lambda scrape: half(scrape, one) and half(scrape, other))
    shown = [both.pull(image).layers[0] for image in (one, other)]
    assert [(layer.state, layer.downloaded) for layer in shown] == [("downloading", MIB)] * 2
    stall.release()
    exporter.wait_whole(one)
    end = exporter.wait_whole(other)
    assert end.layer_bytes == layer_size(one, other)
    assert end.total("pulltrace_cached_bytes_total") == 0, "it came while both were running"


def half(scrape: Scrape, image: Image) -> bool:
    """Whether the first mebibyte of the image's first layer is shown."""
    pull = scrape.pull(image)
    return pull is not None and bool(pull.layers) and pull.layers[0].downloaded == MIB
