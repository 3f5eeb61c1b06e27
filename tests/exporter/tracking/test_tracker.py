"""The life of pulls, as a scrape would see it."""

import time
from dataclasses import replace

import pytest

from pulltrace.model.pull import ENDS
from pulltrace_exporter.model.image import Descriptor, Index, Manifest, Unreadable
from pulltrace_exporter.model.view import RegistryResult, RegistryStage
from rig.images import OCI, digest
from rig.manifests import REGISTRY, Image, a_blob, an_image
from rig.simulated_exporter import Exporter
from rig.simulated_node import Node

pytestmark = pytest.mark.unit


def seconds(exporter: Exporter, stage: str) -> float:
    return exporter.shown.totals.stages[RegistryStage(REGISTRY, stage)].seconds


def whole_seconds(exporter: Exporter) -> float:
    return exporter.shown.totals.durations[REGISTRY].total


def active(exporter: Exporter, stage: str) -> float:
    return exporter.shown.totals.active_seconds[RegistryStage(REGISTRY, stage)]


# Several at once


@pytest.mark.parametrize(
    "other",
    [an_image("team/other"), an_image("team/app new").under("team/app", tag="2")],
    ids=["two repositories", "two images of one repository"],
)
def test_concurrent_pulls_are_kept_apart(node: Node, exporter: Exporter, other: Image) -> None:
    one = node.begin(an_image(), 100).image
    pull = node.begin(other, 300)
    exporter.look(0.1)
    assert {shown.key: shown.downloaded for shown in exporter.shown.pulls} == {
        (REGISTRY, "team/app", one.root): 200,
        (REGISTRY, other.repository, other.root): 400,
    }
    pull.fail()
    exporter.look()
    phases = {shown.key.digest: shown.phase.value for shown in exporter.shown.pulls}
    assert phases == {one.root: "downloading", other.root: "failed"}


def test_the_same_image_requested_twice_is_one_download_and_two_ended_pulls(node: Node, exporter: Exporter) -> None:
    image = an_image()
    first = node.pull(image)
    node.sleep(0.5)
    second = node.pull(image)
    first.resolve()
    second.resolve()
    first.fetch(0, 500)
    exporter.look(0.5)
    assert exporter.pull.requests == 2
    assert exporter.pull.downloaded == 600
    assert exporter.pull.started_at == node.now.wall - 1.0

    first.run()
    exporter.look()
    assert exporter.pull.requests == 1
    assert exporter.pull.phase == "unpacking"
    assert exporter.results == {"succeeded": 1}
    second.run()
    exporter.look()

    assert exporter.pull.phase == "succeeded"
    assert exporter.results == {"succeeded": 2}
    assert exporter.counted == image.size + image.envelope
    assert exporter.found == 0


def test_the_start_is_the_older_of_two_requests_in_whichever_order_they_are_listed(node: Node) -> None:
    exporter = Exporter(node)
    image = an_image()
    first = node.pull(image)
    node.sleep(0.4)
    first.find_root()  # before the second one's lease: for it the root would have been there before
    node.sleep(0.4)
    second = node.pull(image)
    node.leases = {second.id: second.held, first.id: first.held}
    first.resolve()
    second.resolve()
    exporter.look(0.2)

    assert exporter.pull.started_at == pytest.approx(node.now.wall - 1.0)
    assert exporter.counted == 100 + image.envelope


def test_a_second_request_that_fails_does_not_end_the_first(node: Node, exporter: Exporter) -> None:
    image = an_image()
    first, second = node.begin(image), node.begin(image)
    exporter.look(0.1)
    second.fail()
    exporter.look()
    assert exporter.pull.phase == "downloading"
    assert exporter.results == {"failed": 1}

    first.run()
    exporter.look()
    assert exporter.pull.phase == "succeeded"
    assert exporter.results == {"failed": 1, "succeeded": 1}


# Ends


def test_a_cancelled_pull_fails_and_what_was_there_stays_visible_for_the_linger(node: Node) -> None:
    exporter = Exporter(node, linger=30)
    node.begin(an_image(), 400).fail()
    pull = node.begin(an_image(), 400)
    exporter.look(0.1)
    pull.fail()
    exporter.look()
    ended = node.now.wall
    assert exporter.pull.phase == "failed"
    assert exporter.pull.ended_at == ended
    assert exporter.look(29).pull.ended_at == ended
    assert exporter.look(1).shown.pulls == ()
    assert exporter.results == {"failed": 1}


def test_series_leave_after_the_linger_though_containerd_cannot_be_read(node: Node) -> None:
    exporter = Exporter(node, linger=30)
    pull = node.begin(an_image(), 400)
    exporter.look(0.1)
    pull.run()
    exporter.look()
    exporter.miss(31)

    assert exporter.shown.pulls == ()


def test_a_failed_re_pull_of_a_present_image_failed_whatever_its_old_record_says(
    node: Node, exporter: Exporter
) -> None:
    image = an_image()
    node.pulled(image)
    pull = node.begin(image)
    exporter.look(0.1)
    pull.fail()
    exporter.look()

    assert exporter.pull.phase == "failed"
    assert exporter.results == {"failed": 1}
    assert exporter.pull.references == (image.reference,)


def test_a_pull_that_ended_while_containerd_could_not_be_read_ends_as_it_did(node: Node, exporter: Exporter) -> None:
    pull = node.begin(an_image(), 400)
    exporter.look(0.1)
    exporter.miss(5)
    pull.run()
    exporter.miss(5)
    assert exporter.pull.phase == "downloading"
    exporter.look()

    assert exporter.pull.phase == "succeeded"


def test_the_counters_of_a_registry_start_at_zero_when_it_is_first_seen(node: Node, exporter: Exporter) -> None:
    node.begin(an_image(), 400)
    totals = exporter.look(0).shown.totals

    assert totals.pulls == {RegistryResult(REGISTRY, result.value): 0 for result in ENDS}
    assert totals.active_seconds == {RegistryStage(REGISTRY, stage): 0 for stage in ("download", "unpack")}
    assert totals.cached_bytes == {REGISTRY: 0}


# The series continue


def test_a_retry_within_the_linger_continues_the_series_with_its_own_start(node: Node, exporter: Exporter) -> None:
    pull = node.begin(an_image(), 400)
    exporter.look(0.1)
    pull.fail()
    exporter.look()
    assert exporter.pull.ended_at is not None
    node.sleep(20)
    retry = node.begin(an_image(), 700)
    exporter.look(0.5)

    shown = exporter.pull
    assert shown.key.digest == pull.image.root
    assert shown.phase == "downloading"
    assert shown.ended_at is None
    assert shown.started_at == node.now.wall - 0.5
    assert shown.downloaded == 700
    retry.run()
    exporter.look()
    assert exporter.results == {"failed": 1, "succeeded": 1}


def test_a_retry_within_one_interval_is_a_new_attempt_and_not_a_second_request(node: Node, exporter: Exporter) -> None:
    pull = node.begin(an_image(), 400)
    exporter.look(0.1)
    pull.fail()
    node.sleep(0.2)
    node.begin(an_image(), 500)
    exporter.look(0.3)

    assert exporter.results == {"failed": 1}
    assert exporter.pull.requests == 1
    assert exporter.pull.phase == "downloading"
    assert exporter.pull.started_at == node.now.wall - 0.3
    assert exporter.counted == 500 + 100 + pull.image.envelope


def test_an_image_that_is_pulled_again_and_again_stays_one_pull(node: Node, exporter: Exporter) -> None:
    image = an_image()
    for _ in range(10):
        pull = node.begin(image)
        exporter.look(0.1)
        pull.run()
        exporter.look(10)
        assert exporter.pull.phase == "succeeded"

    assert exporter.results == {"succeeded": 10}
    assert exporter.counted == image.size + image.envelope
    assert exporter.found == 9 * image.size
    assert exporter.look(200).shown.pulls == ()


# Not every lease is a pull


def test_a_registry_that_does_not_answer_is_resolving_after_a_second(node: Node, exporter: Exporter) -> None:
    lease = node.pull(an_image())
    assert exporter.look(0.5).shown.resolving == ()
    assert exporter.look(0.5).shown.resolving == ()
    assert exporter.look(0.5).shown.resolving == (lease.held.created_at,)
    assert exporter.shown.pulls == ()

    lease.find_root()
    assert exporter.look().shown.resolving == ()


def test_a_lease_that_ends_without_ever_naming_an_image_is_unresolved(node: Node, exporter: Exporter) -> None:
    pull = node.pull(an_image())
    exporter.look(0.1).watch(3)
    pull.fail()
    exporter.look()

    assert exporter.shown.totals.unresolved_pulls == 1
    assert exporter.shown.resolving == ()
    assert exporter.results == {}


@pytest.mark.parametrize("pause", [0.3, 5.0])
def test_a_container_start_holds_an_empty_lease_for_a_moment_and_is_no_unresolved_pull(
    node: Node, exporter: Exporter, pause: float
) -> None:
    lease = node.lease()
    exporter.look(0.05)
    del node.leases[lease]
    exporter.look(pause)

    assert exporter.shown.totals.unresolved_pulls == 0


def test_an_import_a_container_start_and_a_local_unpack_are_no_pulls(node: Node, exporter: Exporter) -> None:
    imported, started, unpacked = (node.leases[node.lease()] for _ in range(3))
    image = an_image()
    node.pulled(image)  # so that blobs of the archive bear a source
    exporter = Exporter(node).look()
    archive = Descriptor(digest("archive"), 10, OCI.index)
    manifest, document = image.documents[1]
    node.documents[archive.digest] = Index(OCI.index, (manifest,))
    node.documents[manifest.digest] = document
    node.store(archive, image)
    node.contents[archive.digest] = replace(node.contents[archive.digest], sources=())
    imported.contents |= {archive.digest, manifest.digest, *(layer.digest for layer in image.layers)}
    started.committed.add("sha256:writable layer")
    unpacked.extracting.add(image.chain[0])
    exporter.watch(5)
    assert exporter.shown.pulls == ()
    assert exporter.shown.resolving == ()
    node.leases.clear()
    exporter.look()

    assert exporter.shown.pulls == ()
    assert exporter.results == {}
    assert exporter.shown.totals.unresolved_pulls == 0
    assert exporter.counted == 0


def test_an_import_that_brings_a_pulled_manifest_before_its_index_is_no_pull_in_the_end(
    node: Node, exporter: Exporter
) -> None:
    image = an_image(indexes=0)
    node.pulled(image)
    importer = node.pull(image)
    importer.complete(unpack=False)
    exporter.look(0.1)
    manifest, _ = image.documents[0]
    archive = Descriptor(digest("archive"), 10, OCI.index)
    node.documents[archive.digest] = Index(OCI.index, (manifest,))
    node.store(archive, image, labelled=False)
    labels = frozenset({manifest.digest})
    node.contents[archive.digest] = replace(node.contents[archive.digest], children=labels)
    importer.held.contents.add(archive.digest)
    exporter.look()
    assert exporter.shown.pulls == ()
    importer.fail()
    exporter.look()

    assert exporter.shown.pulls == ()
    assert exporter.results == {}
    assert exporter.tracker._downloads._blobs == {}


def test_a_pull_whose_index_is_described_after_its_manifest_is_one_pull_of_the_index(node: Node) -> None:
    image = an_image()
    pull = node.begin(image, 100)
    pull.held.contents.remove(image.root)  # of very many contents only some are described at once
    node.sleep(1)
    exporter = Exporter(node).look(0.1)
    pull.held.contents.add(image.root)
    pull.fetch(0, 300)
    exporter.look()
    assert exporter.pull.key.digest == image.root
    assert exporter.counted == 200
    pull.run()
    exporter.look()

    assert exporter.results == {"succeeded": 1}
    assert exporter.counted == 900 + 2000


def test_a_root_without_the_label_of_a_registry_is_no_pull(node: Node, exporter: Exporter) -> None:
    pull = node.begin(an_image())
    for name, content in node.contents.items():
        node.contents[name] = replace(content, sources=())
    exporter.watch(5)
    pull.succeed()
    exporter.look()

    assert exporter.shown.pulls == ()
    assert exporter.results == {}
    assert exporter.counted == 0


# Leases that nobody ends


def test_a_lease_of_a_killed_client_is_orphaned_when_nothing_changed_for_long_and_then_ignored(node: Node) -> None:
    exporter = Exporter(node, abandoned=900)
    pull = node.begin(an_image(), 400)
    exporter.look(0.1)
    exporter.watch(890, every=10)
    assert exporter.pull.phase == "downloading"
    exporter.watch(10, every=10)
    assert exporter.pull.phase == "orphaned"
    assert exporter.results == {"orphaned": 1}
    exporter.watch(200, every=10)
    assert exporter.shown.pulls == ()

    pull.fail()  # it expires after a day
    exporter.look()
    assert exporter.results == {"orphaned": 1}
    assert exporter.shown.pulls == ()


def test_a_slow_pull_is_not_abandoned_while_anything_of_it_moves(node: Node) -> None:
    exporter = Exporter(node, abandoned=900)
    pull = node.begin(an_image(), 400)
    for offset in range(401, 410):
        exporter.watch(800, every=100)
        pull.fetch(0, offset)

    assert exporter.look().pull.phase == "downloading"


def test_a_second_request_is_not_abandoned_while_the_first_one_works_for_it(node: Node) -> None:
    exporter = Exporter(node, abandoned=900)
    pull = node.begin(an_image(), 400)
    node.begin(pull.image)
    for offset in range(401, 420):
        pull.fetch(0, offset)
        exporter.look(100)

    assert exporter.pull.requests == 2
    assert exporter.results == {}


def test_a_pull_is_not_abandoned_for_the_time_in_which_nobody_could_look(node: Node) -> None:
    exporter = Exporter(node, abandoned=900)
    pull = node.begin(an_image(), 400)
    exporter.look(0.1)
    exporter.miss(1200)
    pull.fetch(0, 900)
    exporter.look()

    assert exporter.pull.phase == "downloading"
    assert exporter.pull.downloaded == 1000


def test_an_abandoned_lease_without_a_name_is_unresolved_and_ignored(node: Node) -> None:
    exporter = Exporter(node, abandoned=900)
    lease = node.lease()
    exporter.watch(1000, every=10)

    assert exporter.shown.totals.unresolved_pulls == 1
    assert exporter.shown.resolving == ()
    assert exporter.tracker.ignored == {lease}


def test_a_live_request_beside_an_abandoned_one_goes_on_as_an_ordinary_pull(node: Node) -> None:
    exporter = Exporter(node, abandoned=900)
    killed = node.begin(an_image(), 400)
    exporter.look(0.1)
    exporter.watch(880, every=10)
    retry = node.begin(killed.image)
    exporter.watch(20, every=10)
    assert exporter.results == {"orphaned": 1}
    assert exporter.pull.phase == "downloading"
    assert exporter.pull.requests == 1
    assert exporter.pull.started_at == retry.held.created_at
    retry.run()
    exporter.look()

    assert exporter.results == {"orphaned": 1, "succeeded": 1}
    assert exporter.pull.phase == "succeeded"


# Clocks


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_ages_stay_right_when_the_wall_clock_is_stepped(node: Node, exporter: Exporter, step: float) -> None:
    resolving = node.pull(an_image("team/late"))
    pull = node.begin(an_image(), 400)
    exporter.look(0.1).watch(9.9, every=1.1)
    node.step_clock(step)
    exporter.look()
    assert exporter.pull.started_at == pytest.approx(node.now.wall - 11)
    assert exporter.pull.last_progress_at == pytest.approx(node.now.wall - 10.9)
    assert [node.now.wall - started for started in exporter.shown.resolving] == [pytest.approx(11)]

    resolving.find_root()
    exporter.look(0)
    pull.run()
    resolving.run()
    exporter.look()
    node.step_clock(-step)
    exporter.look(10)
    assert exporter.results == {"succeeded": 2}
    assert exporter.pulls["team/app"].ended_at == pytest.approx(node.now.wall - 10)
    assert exporter.look(120).shown.pulls == ()
    assert whole_seconds(exporter) == pytest.approx(24)


@pytest.mark.parametrize("step", [3600.0, -3600.0])
@pytest.mark.parametrize("before_success", [True, False])
def test_a_pull_over_which_the_clock_is_stepped_is_counted_right(
    node: Node, exporter: Exporter, step: float, before_success: bool
) -> None:
    image = an_image()
    pull = node.pull(image)
    pull.find_root()
    exporter.look(0.1)
    if before_success:
        node.step_clock(step)
    pull.run()
    if not before_success:
        node.step_clock(step)
    exporter.look()

    assert exporter.results == {"succeeded": 1}
    assert exporter.counted == image.size + image.envelope
    assert exporter.found == 0
    assert whole_seconds(exporter) == pytest.approx(1.1)


def test_a_lease_from_the_future_has_no_negative_age(node: Node, exporter: Exporter) -> None:
    node.begin(an_image(), 400)
    node.step_clock(-3600)
    exporter.look(0.1)

    for at in (exporter.pull.started_at, exporter.pull.last_progress_at):
        assert at is not None
        assert at <= node.now.wall


def test_a_blob_older_than_a_clock_step_back_is_cached_although_its_time_is_in_the_future(
    node: Node, exporter: Exporter
) -> None:
    image = an_image()
    node.pulled(image)
    exporter.look()
    node.step_clock(-7200)
    exporter.look()
    pull = node.begin(image)
    exporter.look(0.1)
    assert exporter.pull.cached == image.size
    pull.fail()
    exporter.look()

    assert exporter.counted == 0
    assert exporter.results == {"failed": 1}  # the record of the old success is of the future too


def test_slow_drift_of_the_clocks_is_no_step(node: Node, exporter: Exporter) -> None:
    node.begin(an_image(), 400)
    for _ in range(100):
        node.step_clock(0.01)
        exporter.look(0.1)

    assert exporter.pull.started_at == 1_700_000_000.0


# Durations


def test_the_stages_of_a_succeeded_pull_are_timed(node: Node, exporter: Exporter) -> None:
    pull = node.pull(an_image())
    exporter.look(0.5).look(1.5)
    pull.resolve()
    exporter.look(0)
    pull.fetch(0, 10)
    exporter.watch(7)
    pull.finish(0, 1)
    exporter.look()
    pull.unpack(0)
    exporter.watch(3)
    pull.run()
    exporter.look(0)

    assert whole_seconds(exporter) == pytest.approx(13)
    assert seconds(exporter, "resolve") == pytest.approx(2)
    assert seconds(exporter, "download") == pytest.approx(8)
    assert seconds(exporter, "unpack") == pytest.approx(3)


def test_the_stages_of_a_pull_that_nobody_saw_downloading_come_from_its_blobs(node: Node, exporter: Exporter) -> None:
    pull = node.pull(an_image())
    node.sleep(0.2)
    pull.find_root()
    exporter.look(0.1)
    node.sleep(0.5)
    pull.resolve()
    pull.finish(0, 1)
    node.sleep(1.5)
    pull.run()
    exporter.look(0)

    assert whole_seconds(exporter) == pytest.approx(2.3)
    assert seconds(exporter, "resolve") == pytest.approx(0.2)
    assert seconds(exporter, "download") == pytest.approx(0.6)
    assert seconds(exporter, "unpack") == pytest.approx(1.5)


def test_failed_pulls_have_no_durations(node: Node, exporter: Exporter) -> None:
    pull = node.begin(an_image(), 400)
    exporter.look(0.1)
    pull.fail()
    exporter.look()

    assert exporter.shown.totals.durations == {}


def test_active_seconds_are_those_in_which_any_pull_of_the_registry_was_in_the_stage(
    node: Node, exporter: Exporter
) -> None:
    exporter.look()
    one, two = node.begin(an_image("team/a"), 400), node.begin(an_image("team/b"), 400)
    exporter.look()
    assert active(exporter, "download") == pytest.approx(1)
    exporter.watch(4)
    assert active(exporter, "download") == pytest.approx(5)  # not ten for two pulls
    two.fail()
    one.finish(0, 1)
    exporter.look()
    exporter.watch(3)
    assert active(exporter, "download") == pytest.approx(6)
    assert active(exporter, "unpack") == pytest.approx(3)
    one.run()
    exporter.look().watch(20)
    assert active(exporter, "download") == pytest.approx(6)
    assert active(exporter, "unpack") == pytest.approx(4)


def test_registries_that_are_counted_together_are_active_together(node: Node) -> None:
    exporter = Exporter(node, label_values=1)
    for number in range(3):
        layers = (a_blob(f"blob {number}", 1000),)
        node.begin(an_image(f"team/{number}", layers, registry=f"r{number}.example"))
    exporter.look(0)
    exporter.look(5)
    seconds = {key.registry: value for key, value in exporter.shown.totals.active_seconds.items() if value}
    assert seconds == {"r0.example": pytest.approx(5), "other": pytest.approx(5)}


def test_time_in_which_containerd_could_not_be_read_is_not_active(node: Node, exporter: Exporter) -> None:
    node.begin(an_image(), 400)
    exporter.look()
    exporter.miss(60)
    exporter.look()

    assert active(exporter, "download") < 3


# Odd images


def test_an_image_whose_manifest_cannot_be_read_is_shown_without_sizes(node: Node, exporter: Exporter) -> None:
    image = an_image(indexes=0)
    pull = node.pull(image)
    pull.find_root()
    node.documents[image.root] = Unreadable("too large")
    exporter.look(0.1)
    shown = exporter.pull
    assert (shown.size, shown.cached, shown.downloaded, shown.unpacked) == (None,) * 4
    assert (shown.progress_ratio, shown.eta_seconds, shown.bytes_per_second) == (None,) * 3
    assert shown.layers == ()
    assert shown.phase == "downloading"

    pull.succeed()
    exporter.look()
    assert exporter.pull.phase == "succeeded"
    assert exporter.results == {"succeeded": 1}


def test_a_hostile_manifest_of_ten_thousand_layers_is_followed_in_bounded_time(node: Node, exporter: Exporter) -> None:
    layers = tuple(a_blob(f"hostile {number}", 1 + number, f"type/{number}") for number in range(10_000))
    image = an_image("team/hostile", layers)
    pull = node.begin(image)
    exporter.look(0.1)
    began = time.process_time()
    for round_ in range(3):
        pull.fetch(round_, 1)
        pull.finish(*range(100 * round_, 100 * round_ + 100))
        exporter.look()
    spent = time.process_time() - began

    assert len(exporter.layers) == 10_000
    assert len(exporter.shown.totals.downloaded_bytes) <= 101
    assert exporter.counted == sum(range(1, 301)) + 100 + image.envelope
    assert spent < 10  # quadratic work would take minutes


def test_a_manifest_that_names_one_blob_ten_thousand_times_counts_it_once(node: Node, exporter: Exporter) -> None:
    pull = node.begin(an_image(layers=(a_blob("again", 1000),) * 10_000))
    pull.finish(0)
    exporter.look(0.1)

    assert exporter.pull.size == 1100
    assert len(exporter.layers) == 10_000


def test_a_manifest_whose_only_layer_is_its_config_counts_it_once(node: Node, exporter: Exporter) -> None:
    empty = Descriptor(digest("{}"), 2, "application/vnd.oci.empty.v1+json")
    image = an_image(layers=(), indexes=0)
    manifest = Manifest(OCI.manifest, empty, (empty,))
    image = replace(
        image, documents=((image.documents[0][0], manifest),), configs=(empty,), layers=(empty,), diff_ids=((),)
    )
    node.begin(image)
    exporter.look(0.1)

    assert exporter.pull.size == 2
    assert exporter.pull.downloaded == 2
    assert exporter.states == ["downloaded"]
