"""Leases that a crash of containerd leaves behind."""

import pytest

from rig.manifests import an_image
from rig.simulated_exporter import Exporter
from rig.simulated_node import Node

pytestmark = pytest.mark.unit


def test_a_pull_that_the_exporter_saw_crash_is_orphaned_once_and_leaves_after_the_linger(
    node: Node, exporter: Exporter
) -> None:
    stale = node.begin(an_image(), 400)
    exporter.look(0.1)
    node.crash(down=3)
    exporter.miss()
    exporter.look()
    assert exporter.pull.phase == "downloading"  # wall clocks step: its age alone is no proof
    exporter.watch(3)
    assert exporter.pull.phase == "orphaned"
    assert exporter.pull.ended_at is not None
    assert exporter.results == {"orphaned": 1}
    assert exporter.tracker.ignored == {stale.id}

    exporter.watch(200, every=10)
    assert exporter.shown.pulls == ()
    assert exporter.results == {"orphaned": 1}
    assert exporter.counted == 620  # 100 of config, 120 of index and manifest


def test_an_exporter_started_after_the_crash_shows_the_orphan_and_counts_none_of_its_bytes(node: Node) -> None:
    node.begin(an_image(), 400)
    node.crash()
    exporter = Exporter(node).look()
    assert exporter.shown.pulls == ()
    exporter.watch(3)
    assert exporter.pull.phase == "orphaned"
    assert exporter.pull.downloaded == 500
    assert exporter.results == {"orphaned": 1}
    assert exporter.counted == 0

    exporter.watch(200, every=10)
    assert exporter.shown.pulls == ()
    assert exporter.results == {"orphaned": 1}


def test_a_stale_lease_beside_its_retry_is_found_at_once_and_the_retry_is_an_ordinary_pull(
    node: Node, exporter: Exporter
) -> None:
    image = an_image()
    node.begin(image, 400)
    exporter.look(0.1)
    node.crash()
    retry = node.begin(image, 600)
    exporter.look()

    assert exporter.pull.phase == "downloading"
    assert exporter.pull.requests == 1
    assert exporter.results == {"orphaned": 1}
    assert exporter.pull.downloaded == 600  # what had come before the retry is its cache, but for the ingest
    retry.fetch(0, 900)
    exporter.look()
    retry.run()
    exporter.look()

    assert exporter.pull.phase == "succeeded"
    assert exporter.results == {"orphaned": 1, "succeeded": 1}
    assert exporter.counted == image.size + image.envelope


def test_a_retry_that_waits_for_the_registry_beside_its_stale_lease_becomes_an_ordinary_pull(
    node: Node, exporter: Exporter
) -> None:
    image = an_image()
    node.begin(image, 400)
    exporter.look(0.1)
    node.crash()
    retry = node.pull(image)
    exporter.look()
    retry.find_root()
    exporter.look(0.5)
    exporter.watch(3)
    assert exporter.pull.phase == "downloading"
    assert exporter.pull.started_at == retry.held.created_at
    assert exporter.results == {"orphaned": 1}

    retry.run()
    exporter.look()
    assert exporter.pull.phase == "succeeded"
    assert exporter.results == {"orphaned": 1, "succeeded": 1}
    assert exporter.counted == image.size + image.envelope


@pytest.mark.parametrize("seen_running", [True, False])
def test_a_retry_that_succeeds_before_its_stale_lease_is_found_is_a_success(
    node: Node, exporter: Exporter, seen_running: bool
) -> None:
    image = an_image()
    node.begin(image, 400)
    exporter.look(0.1)
    node.crash()
    exporter.look(0.1)
    retry = node.pull(image)
    if seen_running:
        retry.resolve()
        exporter.look(0.1)
    retry.run()
    exporter.look(0.1)
    assert exporter.pull.phase == "succeeded"
    exporter.watch(3)

    assert exporter.pull.phase == "succeeded"
    assert exporter.results == {"orphaned": 1, "succeeded": 1}


def test_a_stale_lease_whose_ingests_a_retry_takes_over_is_still_stale(node: Node, exporter: Exporter) -> None:
    image = an_image()
    stale = node.begin(image, 400)
    stale.fetch(1, 100)
    exporter.look(0.1)
    node.crash()
    exporter.look()
    assert exporter.results == {}
    retry = node.begin(image, 600)
    exporter.look(0.5)

    assert exporter.results == {"orphaned": 1}
    assert exporter.pull.requests == 1
    assert exporter.pull.started_at == retry.held.created_at


def test_a_retry_that_writes_before_it_is_listed_does_not_bring_its_stale_lease_to_life(
    node: Node, exporter: Exporter
) -> None:
    """The leases are listed before the ingests, and a busy node lets much happen in between."""
    image = an_image()
    stale = node.begin(image, 400)
    exporter.look(0.1)
    node.crash()
    exporter.look()
    stale.fetch(0, 500)
    exporter.look(0.1)
    retry = node.begin(image, 600)
    exporter.look(0.1)

    assert exporter.results == {"orphaned": 1}
    assert exporter.pull.phase == "downloading"
    assert exporter.pull.started_at == retry.held.created_at


def test_an_exporter_started_after_crash_and_retry_shows_the_retry_and_counts_the_orphan(node: Node) -> None:
    image = an_image()
    node.begin(image, 400)
    node.crash()
    retry = node.begin(image, 600)
    exporter = Exporter(node).look()
    assert exporter.pull.phase == "downloading"
    assert exporter.pull.requests == 1
    assert exporter.results == {"orphaned": 1}
    retry.fetch(0, 700)
    exporter.look()

    assert exporter.counted == 100


def test_a_stale_lease_that_had_named_no_image_is_one_unresolved_pull(node: Node) -> None:
    node.lease()
    node.crash()
    exporter = Exporter(node).look()
    assert exporter.shown.resolving == ()
    exporter.watch(5)

    assert exporter.shown.pulls == ()
    assert exporter.shown.resolving == ()
    assert exporter.shown.totals.unresolved_pulls == 1


def test_a_stale_lease_of_something_that_was_no_pull_is_passed_over(node: Node) -> None:
    lease = node.lease()
    node.leases[lease].extracting.add("sha256:chain")
    node.crash()
    exporter = Exporter(node).watch(5)

    assert exporter.shown.pulls == ()
    assert exporter.results == {}
    assert exporter.shown.totals.unresolved_pulls == 0


def test_two_stale_leases_of_one_image_are_two_orphans_and_one_pull(node: Node) -> None:
    node.begin(an_image(), 400)
    node.sleep(1)
    node.begin(an_image(), 400)
    node.crash()
    exporter = Exporter(node).watch(5)

    assert exporter.pull.phase == "orphaned"
    assert exporter.results == {"orphaned": 2}


def test_a_live_pull_under_a_clock_that_was_stepped_is_never_stale_because_it_moves(node: Node) -> None:
    pull = node.begin(an_image(layers=(100_000,)), 400)
    node.crash(down=1)  # so it looks
    node.sleep(1)
    exporter = Exporter(node).look()
    for offset in range(1000, 5000, 1000):
        pull.fetch(0, offset)
        exporter.look()
    pull.fetch(0, 4000)
    exporter.watch(30)

    assert exporter.pull.phase == "downloading"
    assert exporter.results == {}
    assert exporter.counted == 2000  # from 2000 on: by then it was known to be alive


def test_a_clock_that_was_stepped_back_after_the_daemons_start_condemns_nobody_even_standing_still(
    node: Node,
) -> None:
    node.step_clock(-3600)
    node.daemon = Node().daemon  # started "in the future"
    assert node.daemon.started_at is not None
    node.step_clock(node.daemon.started_at - node.now.wall - 1800)
    node.begin(an_image(), 400)
    exporter = Exporter(node).watch(60)

    assert exporter.pull.phase == "downloading"
    assert exporter.results == {}


def test_a_lease_that_appears_later_is_never_left_by_a_restart(node: Node, exporter: Exporter) -> None:
    exporter.look()
    node.step_clock(-100_000)
    node.begin(an_image(), 400)
    exporter.watch(60)

    assert exporter.pull.phase == "downloading"


def test_losing_the_connection_without_a_restart_orphans_nobody(node: Node, exporter: Exporter) -> None:
    node.begin(an_image(), 400)
    exporter.look(0.1)
    exporter.miss(30)
    exporter.look().watch(30)

    assert exporter.pull.phase == "downloading"


def test_a_daemon_whose_start_is_not_known_has_no_stale_leases(node: Node) -> None:
    node.daemon = type(node.daemon)(up=True)
    node.begin(an_image(), 400)
    exporter = Exporter(node).watch(30)

    assert exporter.pull.phase == "downloading"
