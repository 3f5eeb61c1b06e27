"""What is on the node before a pull is shown as such, and saves bytes."""

from rig.images import MIB, layer
from rig.invariants import check_whole, layer_size
from rig.node_setup import NodeSetup


def test_layers_of_an_image_that_is_there_are_cached(setup: NodeSetup) -> None:
    base = layer(2 * MIB, "base that is there before")
    setup.pulled(setup.push("before", [base]))
    image = setup.push("after", [base, MIB])
    setup.registry.throttle(2 * MIB)
    exporter = setup.exporter()
    setup.pull(image)
    running = exporter.wait_until(lambda scrape: (pull := scrape.pull(image)) and pull.layers)
    cached = image.layers[0].size
    assert running.pull(image).cached == cached
    assert running.pull(image).layers[0].state == "cached"
    assert running.pull(image).layers[0].downloaded == 0
    end = exporter.wait_whole(image, cached=cached)
    assert end.pull(image).states == ["cached", "unpacked"]
    assert end.total("pulltrace_cached_bytes_total") == cached
    assert end.layer_bytes == image.layers[1].size


def test_a_re_pull_of_what_is_there_fetches_nothing(setup: NodeSetup) -> None:
    image = setup.push(layers=[MIB, 300_000])
    setup.pulled(image)
    exporter = setup.exporter()
    setup.pulled(image)
    end = exporter.wait_whole(image, cached=image.size)
    assert end.pull(image).states == ["cached", "cached"]
    assert end.total("pulltrace_cached_bytes_total") == image.size
    assert end.total("pulltrace_downloaded_bytes_total") == 0
    assert end.ended == {"succeeded": 1}


def test_a_re_pull_that_waited_for_its_registry_has_not_failed(setup: NodeSetup) -> None:
    """Its lease shows the image for some 20 ms only, after seconds in which it showed nothing."""
    image = setup.push(layers=[MIB, 300_000])
    setup.pulled(image)
    exporter = setup.exporter(idle="200ms")
    hang = setup.registry.hang(image.repository)
    pull = setup.pull(image)
    resolving = exporter.wait_until(lambda scrape: scrape.in_progress["resolving"] == 1)
    hang.release()
    pull.wait()
    end = exporter.wait_whole(image, cached=image.size)
    assert end.pull(image).start == resolving.value("pulltrace_oldest_resolving_start_time_seconds")
    assert (end.ended, end.unresolved) == ({"succeeded": 1}, 0)


def test_an_image_removed_and_pulled_again_is_fetched_again(setup: NodeSetup) -> None:
    image = setup.push(layers=[MIB, 300_000])
    exporter = setup.exporter()
    setup.pulled(image)
    first = exporter.wait_until(lambda scrape: scrape.ended == {"succeeded": 1})
    assert first.layer_bytes == layer_size(image)
    setup.node.remove_image(setup.reference(image))
    setup.registry.throttle(2 * MIB)
    setup.pulled(image)
    end = exporter.wait_until(lambda scrape: scrape.ended == {"succeeded": 2})
    check_whole(end.pull(image), image)
    assert end.layer_bytes == 2 * layer_size(image)
