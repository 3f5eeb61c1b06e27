"""Every byte is counted once, compared with what the registry sent."""

from rig.images import MIB, Image, layer
from rig.invariants import layer_size
from rig.node_setup import NodeSetup


def sent(setup: NodeSetup, *images: Image) -> int:
    """What the registry sent of the images' layers."""
    return sum(setup.registry.sent(digest) for digest in {blob.digest for image in images for blob in image.layers})


def test_three_pulls_at_once_that_share_layers_count_what_the_registry_sent(setup: NodeSetup) -> None:
    base, middle = layer(3 * MIB, "base of three"), layer(1_234_567, "middle of two")
    images = [
        setup.push("one", [base, middle, 700_001]),
        setup.push("two", [base, middle, 2 * MIB]),
        setup.push("three", [base, 100]),
    ]
    setup.registry.throttle(6 * MIB)
    exporter = setup.exporter()
    pulls = [setup.pull(image) for image in images]
    for pull, image in zip(pulls, images, strict=True):
        pull.wait()
        end = exporter.wait_whole(image)
    assert end.layer_bytes == sent(setup, *images) == layer_size(*images)
    # Index, manifest and config come over the network too.
    envelope = {blob.digest: blob.size for image in images for blob in (image.root, image.manifest, image.config)}
    assert end.total("pulltrace_downloaded_bytes_total") == end.layer_bytes + sum(envelope.values())


def test_a_connection_cut_and_taken_up_again_counts_each_byte_once(setup: NodeSetup) -> None:
    image = setup.push(layers=[4 * MIB, 300_000])
    setup.registry.throttle(4 * MIB)
    setup.registry.cut(image.layers[0].digest, after=2 * MIB + 500_000)
    exporter = setup.exporter()
    setup.pulled(image)
    end = exporter.wait_whole(image)
    assert any(request.offset for request in setup.registry.requests), "nothing was resumed"
    assert end.layer_bytes == layer_size(image)


def test_a_pull_that_is_cancelled_has_failed_and_resumed_it_counts_each_byte_once(own_setup: NodeSetup) -> None:
    setup = own_setup
    image = setup.push(layers=[6 * MIB])
    exporter = setup.exporter()
    first, stall = setup.pull_held(image, 3 * MIB + 600_000)
    exporter.wait_until(lambda scrape: scrape.downloaded(image) >= 3 * MIB)
    first.cancel()
    failed = exporter.wait_until(lambda scrape: scrape.phase(image) == "failed")
    assert 3 * MIB <= failed.downloaded(image) < image.size
    assert failed.ended == {"failed": 1}
    assert failed.in_progress == {"resolving": 0, "downloading": 0, "unpacking": 0}
    again = setup.registry.stall(image.layers[0].digest, after=5 * MIB)
    stall.release()
    second = setup.pull(image)
    again.wait_held()
    resumed = exporter.wait_until(lambda scrape: scrape.phase(image) == "downloading" and scrape.pull(image).size)
    # Only what was complete counts as cached.
    cached = image.config.size
    assert resumed.pull(image).cached == cached
    assert resumed.pull(image).downloaded >= 3 * MIB
    assert resumed.pull(image).end is None
    assert resumed.pull(image).start > failed.pull(image).end
    again.release()
    second.wait()
    end = exporter.wait_whole(image, cached=cached)
    resumed_at = [request.offset for request in setup.registry.requests if request.target == image.layers[0].digest]
    assert any(resumed_at), "not resumed"
    assert end.layer_bytes == layer_size(image)
    assert end.ended == {"failed": 1, "succeeded": 1}


def test_an_exporter_started_in_mid_pull_counts_what_it_sees_coming(setup: NodeSetup) -> None:
    image = setup.push(layers=[6 * MIB, 300_000])
    pull, stall = setup.pull_held(image, 3 * MIB + 600_000)
    killed = setup.exporter()
    before = killed.wait_until(lambda scrape: scrape.downloaded(image) >= 3 * MIB)
    killed.kill()
    exporter = setup.exporter()
    first = exporter.wait_until(lambda scrape: (seen := scrape.pull(image)) and seen.downloaded)
    assert first.pull(image).downloaded == before.pull(image).downloaded
    assert first.pull(image).start == before.pull(image).start
    assert first.pull(image).cached == 0
    assert first.layer_bytes == 0
    there = first.pull(image).layers[0].downloaded
    assert there == 3 * MIB
    stall.release()
    pull.wait()
    end = exporter.wait_whole(image)
    assert end.layer_bytes == image.layers[0].size - there
    assert end.ended == {"succeeded": 1}
