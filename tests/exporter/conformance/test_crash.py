"""A crash of containerd leaves leases behind that look like pulls for a day."""

from rig.exporter import RunningExporter
from rig.images import MIB, Image
from rig.invariants import layer_size
from rig.node_setup import NodeSetup

AFTER = 2 * MIB + 600_000


def test_the_stale_lease_of_a_crash_is_orphaned_and_the_retry_succeeds(own_setup: NodeSetup) -> None:
    setup = own_setup
    image = setup.push(layers=[4 * MIB, 300_000])
    exporter = setup.exporter()
    crash_in_mid_pull(setup, image, exporter)
    down = exporter.wait_until(lambda scrape: not scrape.up)
    assert down.phase(image) == "downloading", "nobody knows better while containerd is down"
    assert exporter.get("/-/ready").status == 200
    setup.node.start()
    stale = exporter.wait_until(lambda scrape: scrape.phase(image) == "orphaned")
    assert stale.up
    assert stale.ended == {"orphaned": 1}
    assert stale.in_progress["downloading"] == 0

    setup.pulled(image)
    end = exporter.wait_whole(image, cached=None)
    assert end.pull(image).start > stale.pull(image).end
    assert end.ended == {"orphaned": 1, "succeeded": 1}
    assert end.layer_bytes == layer_size(image)


def test_a_retry_at_once_after_the_crash_takes_the_place_of_the_stale_lease(own_setup: NodeSetup) -> None:
    """The kubelet does not wait until the exporter has made up its mind."""
    setup = own_setup
    image = setup.push(layers=[4 * MIB, 300_000])
    exporter = setup.exporter()
    crash_in_mid_pull(setup, image, exporter)
    setup.node.start()
    setup.registry.throttle(MIB)
    setup.pull(image)
    running = exporter.wait_until(lambda scrape: scrape.ended == {"orphaned": 1})
    exporter.wait_until(lambda scrape: scrape.phase(image) == "downloading")
    assert running.up
    setup.registry.throttle(None)
    end = exporter.wait_whole(image, cached=None)
    assert end.ended == {"orphaned": 1, "succeeded": 1}
    assert end.layer_bytes == layer_size(image)


def test_an_exporter_started_after_the_crash_shows_the_stale_lease_as_what_it_is(own_setup: NodeSetup) -> None:
    setup = own_setup
    image = setup.push(layers=[4 * MIB, 300_000])
    crash_in_mid_pull(setup, image)
    setup.node.start()
    exporter = setup.exporter()
    seen = exporter.watch(lambda scrape: scrape.phase(image) == "orphaned")
    assert not any(scrape.phase(image) in ("downloading", "unpacking") for scrape in seen), "nobody is pulling"
    stale = seen[-1]
    assert stale.ended == {"orphaned": 1}
    assert stale.total("pulltrace_downloaded_bytes_total") == 0, "it saw nothing coming"
    there = sum(layer.downloaded or 0 for layer in stale.pull(image).layers)
    assert 2 * MIB <= there < image.size

    setup.pulled(image)
    end = exporter.wait_whole(image, cached=None)
    assert end.ended == {"orphaned": 1, "succeeded": 1}
    assert end.layer_bytes == layer_size(image) - there


def crash_in_mid_pull(setup: NodeSetup, image: Image, exporter: RunningExporter | None = None) -> None:
    """Crash the daemon when the first layer is half there and the second one whole."""
    _, stall = setup.pull_held(image, AFTER)
    setup.registry.wait_sent(image.layers[1].digest, image.layers[1].size)
    watcher = exporter or setup.exporter()
    watcher.wait_until(
        lambda scrape: (pull := scrape.pull(image)) and pull.states[1:] in (["downloaded"], ["unpacking"])
    )
    if exporter is None:
        watcher.close()
    setup.node.crash()
    stall.release()
