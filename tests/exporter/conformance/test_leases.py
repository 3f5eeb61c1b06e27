"""containerd has leases that are no pulls, and pulls whose lease nobody takes away."""

import time
from pathlib import Path

from rig.images import MIB, build, write_archive
from rig.node_setup import NodeSetup


def test_an_import_from_an_archive_is_no_pull(setup: NodeSetup, tmp_path: Path) -> None:
    name = "registry.example/imported:v1"
    archive = write_archive(build("imported", [8 * MIB, 300_000]), tmp_path / "image.tar", name)
    exporter = setup.exporter(busy="50ms", idle="50ms")
    setup.node.import_image(archive)
    end = exporter.wait_polled()
    assert (end.pulls, end.ended, end.unresolved) == ((), {}, 0)
    assert end.total("pulltrace_downloaded_bytes_total") == 0


def test_a_held_lease_without_an_image_is_resolving_until_it_goes(setup: NodeSetup) -> None:
    exporter = setup.exporter(idle="200ms")
    drop = setup.node.hold_lease("held-for-a-while")
    held = exporter.wait_until(lambda scrape: scrape.in_progress["resolving"] == 1)
    assert not held.pulls
    drop()
    end = exporter.wait_until(lambda scrape: scrape.in_progress["resolving"] == 0)
    assert (end.pulls, end.ended, end.unresolved) == ((), {}, 1)


def test_a_lease_held_for_a_moment_as_by_a_container_start_is_nothing(setup: NodeSetup) -> None:
    exporter = setup.exporter(idle="50ms")
    took = 1.0
    while took >= 1:  # that would be no moment, which a busy machine takes now and then
        before = exporter.wait_polled()
        began = time.monotonic()
        drop = setup.node.hold_lease("held-for-a-moment")
        seen = exporter.wait_polled()
        drop()
        took = time.monotonic() - began
    end = exporter.wait_polled()
    for scrape in (seen, end):
        assert (scrape.pulls, scrape.ended, scrape.unresolved) == ((), {}, before.unresolved)
        assert scrape.in_progress["resolving"] == 0


def test_the_pull_of_a_killed_client_is_orphaned_after_a_while_and_a_retry_is_an_ordinary_one(
    own_setup: NodeSetup,
) -> None:
    setup = own_setup
    image = setup.push(layers=[4 * MIB, 300_000])
    stall = setup.registry.stall(image.layers[0].digest, after=2 * MIB + 600_000)
    exporter = setup.exporter("--pull.abandoned=2s", idle="200ms")
    kill = setup.node.client_pull(setup.reference(image))
    exporter.wait_until(lambda scrape: scrape.downloaded(image) >= 2 * MIB)
    kill()
    killed_at = time.time()
    orphan = exporter.wait_until(lambda scrape: scrape.phase(image) == "orphaned")
    assert orphan.ended == {"orphaned": 1}
    assert orphan.pull(image).end >= killed_at
    assert 2 <= orphan.pull(image).end - orphan.pull(image).last_progress < 60
    # Its lease is still there and stays ignored.
    assert exporter.wait_polled().ended == {"orphaned": 1}

    stall.release()
    setup.pulled(image)
    end = exporter.wait_whole(image, cached=None)
    assert end.ended == {"orphaned": 1, "succeeded": 1}
    assert end.in_progress["downloading"] == 0
