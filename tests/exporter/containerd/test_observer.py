"""Pulls that were over before anybody looked, and leases that tell nothing: what becomes of them look by look."""

import json
import sys
from collections.abc import Callable, Sequence
from typing import cast

import pytest

from pulltrace.clock import Instant, Monotonic, NodeTime
from pulltrace.model.pull import Daemon
from pulltrace_exporter.containerd.client import Client
from pulltrace_exporter.containerd.inferred.cri_image_writes import ImageWrite
from pulltrace_exporter.containerd.messages import Resources
from pulltrace_exporter.containerd.observer import Observer
from pulltrace_exporter.errors import ContainerdError
from pulltrace_exporter.model.image import MAX_DOCUMENT_BYTES, chain_ids
from pulltrace_exporter.model.observation import (
    BlobInfo,
    ImageRecord,
    Ingest,
    Lease,
    Observation,
    Snapshots,
    SnapshotStat,
)
from pulltrace_exporter.tracking.poll import Poll
from pulltrace_exporter.tracking.stale_leases import StaleLeases
from rig.images import sha256

pytestmark = pytest.mark.unit

NOW = 1_700_000_000.0
HOST, REPOSITORY = "registry.example", "team/app"
TAG = f"{HOST}/{REPOSITORY}:v1"
REWRITING, TIDY = "1.6.20~ds1", "2.1.9"
"""Versions whose CRI writes all of an image's names at each pull, and what is new only."""


CONFIG = json.dumps({"rootfs": {"diff_ids": [sha256(b"unpacked")]}}).encode()
LAYER = b"layer"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFEST = json.dumps(
    {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"digest": sha256(CONFIG), "size": len(CONFIG)},
        "layers": [{"digest": sha256(LAYER), "size": len(LAYER), "mediaType": LAYER_TYPE}],
    }
).encode()
ROOT = sha256(MANIFEST)
PARTS = (sha256(CONFIG), sha256(LAYER))
BY_DIGEST = f"{HOST}/{REPOSITORY}@{ROOT}"


class FakeContainerd:
    """Answers as the client does; its state is what a test says."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[float, Resources | None]] = {}
        self.blobs: dict[str, tuple[bytes, float]] = {}
        self.records: dict[str, float] = {}
        self.failing = ""
        self.unpacked = True
        self.labelled = True
        self.children: dict[str, tuple[str, ...]] = {ROOT: PARTS}
        self.snapshots: dict[str, float] = {}
        self.roots: dict[str, str] = {}
        """Of the names that are not the usual image's."""
        self.listing: Callable[[], object] = lambda: None
        """What happens while the leases are listed."""
        self.writing: dict[str, Ingest] = {}
        self.refused = ""
        """The digest, chain ID or name for which calls fail."""
        self.asked = 0
        self.most_read = 0

    def lease(self, lease_id: str, created_at: float, *contents: str, gone: bool = False) -> None:
        """A lease that holds these; `gone`: it is listed, and deleted before it is read."""
        self.held[lease_id] = (created_at, None if gone else Resources(frozenset(contents), frozenset(), {}))

    def fetch(self, at: float) -> None:
        """The image comes, its manifest first."""
        for number, data in enumerate((MANIFEST, CONFIG, LAYER)):
            self.blobs[sha256(data)] = (data, at + number / 100)

    def hold(self, lease_id: str, at: float) -> None:
        """The image comes for a lease that holds its root."""
        self.lease(lease_id, at, ROOT)
        self.fetch(at)

    def hold_before_root(self, lease_id: str, at: float) -> None:
        """The lease holds the root, and many layers that stand before it in the order of digests."""
        layers = [data for number in range(1000) if sha256(data := b"%d" % number) < ROOT]
        assert len(layers) > 100
        self.blobs |= {sha256(data): (data, at + 0.1) for data in layers}
        self.lease(lease_id, at, ROOT, *map(sha256, layers))

    def fetch_layer(self, at: float) -> dict[str, Snapshots]:
        """A lease's only layer is on its way, all else has come. Returns what the lease holds of snapshots."""
        config, layer = PARTS
        self.fetch(at)
        del self.blobs[layer]
        self.writing = {layer: Ingest(layer, 1, NodeTime(at), NodeTime(at))}
        snapshots: dict[str, Snapshots] = {}
        self.held["pull"] = (at, Resources(frozenset((ROOT, config)), frozenset((layer,)), snapshots))
        return snapshots

    def write(self, name: str, at: float, *, created: bool = False, managed: bool = True) -> ImageWrite:
        """A record is written at `NOW` and so many seconds, and a moment later that is announced."""
        self.records[name] = NOW + at
        return ImageWrite(name, NOW + at + 0.001, created, managed)

    def write_pull(self, version: str, at: float, *, created: bool = False) -> tuple[ImageWrite, ...]:
        """All that a pull of the usual tag writes: under its lease, and CRI after that."""
        own = self.write(TAG, at, created=created)
        again = (self.write(TAG, at + 0.01),) if version == REWRITING else ()
        added = (self.write(BY_DIGEST, at + 0.02, created=created),) if created or version == REWRITING else ()
        return (own, *again, *added)

    def leases(self) -> dict[str, float]:
        self._fail_for("Leases/List")
        self.listing()
        return {lease_id: created_at for lease_id, (created_at, _) in self.held.items()}

    def resources(self, lease_id: str) -> Resources | None:
        self.asked += 1
        return self.held[lease_id][1]

    def ingests(self) -> dict[str, Ingest]:
        self._fail_for("Content/ListStatuses")
        return self.writing

    def contents(self, digests: Sequence[str], namespace: str = "") -> dict[str, BlobInfo | None]:
        if self.refused in digests:
            raise ContainerdError("Content/Info", "UNAVAILABLE")
        return {digest: None if namespace else self.content(digest) for digest in digests}

    def content(self, digest: str) -> BlobInfo | None:
        if digest not in self.blobs:
            return None
        data, created_at = self.blobs[digest]
        children = frozenset(self.children.get(digest, ()))
        sources = ((HOST, REPOSITORY),) if self.labelled else ()
        snapshotter = "overlayfs" if self.unpacked and digest == sha256(CONFIG) else ""
        return BlobInfo(digest, len(data), NodeTime(created_at), sources, children, snapshotter)

    def other_namespaces(self) -> list[str]:
        return ["moby"]

    def read(self, digest: str, limit: int) -> bytes | None:
        """As containerd: without a limit all is sent."""
        self.most_read = max(self.most_read, limit or sys.maxsize)
        return self.blobs[digest][0][: limit or None] if digest in self.blobs else None

    def snapshot(self, snapshotter: str, chain_id: str) -> SnapshotStat:
        if self.refused == chain_id:
            raise ContainerdError("Snapshots/Stat", "UNAVAILABLE")
        created_at = self.snapshots.get(chain_id)
        return SnapshotStat(snapshotter, None if created_at is None else NodeTime(created_at))

    def image(self, name: str) -> ImageRecord | None:
        if self.refused == name:
            raise ContainerdError("Images/List", "UNAVAILABLE")
        return self._record(name) if name in self.records else None

    def images(self, root: str) -> tuple[ImageRecord, ...]:
        self._fail_for("Images/List")
        return tuple(record for record in self.images_since(0.0) if record.root == root)

    def images_since(self, moment: float) -> list[ImageRecord]:
        return [self._record(name) for name, at in self.records.items() if at >= moment]

    def _record(self, name: str) -> ImageRecord:
        return ImageRecord(name, NodeTime(self.records[name]), self.roots.get(name, ROOT))

    def _fail_for(self, call: str) -> None:
        if call == self.failing:
            raise ContainerdError(call, "UNAVAILABLE")


class Watched(FakeContainerd):
    """One that an observer looks at, with times as seconds after `NOW`. It has looked once."""

    def __init__(self, version: str = TIDY) -> None:
        super().__init__()
        self._daemon = Daemon(True, version, NodeTime(NOW - 3600))
        self._now = NOW
        self._observer = Observer(lambda: self._now)
        self._reconnected = True
        self.look(0)

    @property
    def urgent(self) -> bool:
        return self._observer.urgent

    def pass_time(self, seconds: float) -> None:
        self._now += seconds

    def reconnect(self) -> None:
        self._reconnected = True

    def look(self, at: float, *written: ImageWrite, late: Callable[[], Sequence[ImageWrite]] = tuple) -> Observation:
        self._now = NOW + at
        client = cast(Client, self)
        seen = self._observer.observe(client, self._daemon, (), written, reconnected=self._reconnected, late=late)
        self._reconnected = False
        return seen

    def see_pull(self) -> None:
        """A pull is seen that has brought its image."""
        self.hold("pull", NOW + 1)
        self.look(1.1)


@pytest.fixture
def containerd() -> Watched:
    return Watched()


def came(lease: Lease) -> set[str]:
    """What the lease brought: what is younger than itself."""
    blobs = (*lease.contents.values(), *lease.found_blobs.values())
    return {blob.digest for blob in blobs if blob is not None and blob.created_at >= lease.created_at}


def test_a_pull_between_two_looks_is_inferred_with_all_that_it_brought(containerd: Watched) -> None:
    containerd.fetch(NOW + 3)
    (lease,) = containerd.look(3.6, containerd.write(TAG, 3.5, created=True)).inferred
    assert lease.created_at == NOW + 3
    assert came(lease) == {ROOT, *PARTS}


def test_word_of_a_pull_may_come_a_look_later_than_it_could(containerd: Watched) -> None:
    containerd.fetch(NOW + 3)
    written = containerd.write(TAG, 3.05, created=True)
    assert not containerd.look(3.06).inferred
    (lease,) = containerd.look(3.2, written).inferred
    assert came(lease) == {ROOT, *PARTS}


def test_a_pull_that_ended_while_the_leases_were_listed_brought_what_came_before_they_were(containerd: Watched) -> None:
    containerd.fetch(NOW + 3)
    written = containerd.write(TAG, 3.5, created=True)
    containerd.listing = lambda: containerd.pass_time(0.4)
    assert not containerd.look(3.2).inferred
    containerd.listing = lambda: None
    (lease,) = containerd.look(3.8, written).inferred
    assert came(lease) == {ROOT, *PARTS}


@pytest.mark.parametrize(("came_at", "at"), [(-60, 3), (-0.2, 0.3)], ids=["long ago", "just before the first poll"])
def test_a_re_pull_of_what_is_there_brought_nothing(containerd: Watched, came_at: float, at: float) -> None:
    containerd.fetch(NOW + came_at)
    (lease,) = containerd.look(at + 0.1, containerd.write(TAG, at)).inferred
    assert lease.created_at == NOW + at
    assert not came(lease)


def test_many_unseen_pulls_delay_no_look_and_are_all_told(containerd: Watched) -> None:
    """Each takes a call for each of its layers: a look that took in hundreds would show nothing else for a minute."""
    containerd.fetch(NOW - 60)
    writes = [containerd.write(TAG, 1 + number / 100) for number in range(120)]
    told = [len(containerd.look(3, *writes).inferred)]
    while containerd.urgent:
        told.append(len(containerd.look(3 + len(told) / 10).inferred))
    assert sum(told) == len(writes)
    assert max(told) < len(writes) / 2


@pytest.mark.parametrize("name", [TAG, BY_DIGEST], ids=["by tag", "by digest"])
@pytest.mark.parametrize("version", [REWRITING, TIDY])
def test_each_of_several_quick_pulls_is_one_whatever_names_cri_writes_besides(version: str, name: str) -> None:
    """As seen on both: the requested name, its ID, then what the version writes besides."""
    containerd = Watched(version)
    containerd.fetch(NOW - 60)
    counts = []
    for number in range(3):
        first, at = number == 0, 3 + number * 0.1
        writes = [containerd.write(name, at, created=first)]
        if version == REWRITING or first:
            writes.append(containerd.write(sha256(CONFIG), at + 0.01, created=first))
        if version == REWRITING:
            writes.append(containerd.write(name, at + 0.02))
        if name == TAG and (version == REWRITING or first):
            writes.append(containerd.write(BY_DIGEST, at + 0.03, created=first))
        counts.append(len(containerd.look(at + 0.05, *writes).inferred))
    assert counts == [1, 1, 1]


@pytest.mark.parametrize(
    ("image_at", "layer_at", "began_at"),
    [(-60, 3.2, 3), (1, 0.5, 1)],
    ids=["after the record was written", "before the root"],
)
def test_a_layer_that_another_pull_brought_was_not_fetched_by_an_inferred_one(
    containerd: Watched, image_at: float, layer_at: float, began_at: float
) -> None:
    containerd.fetch(NOW + image_at)
    written = containerd.write(TAG, 3)
    containerd.blobs[PARTS[1]] = (LAYER, NOW + layer_at)
    (lease,) = containerd.look(3.4, written).inferred
    assert lease.created_at == NOW + began_at


def test_the_snapshot_of_a_discarded_layer_is_dated_by_itself(containerd: Watched) -> None:
    """That of the top layer may be younger than the pull; both are committed when the config is first read."""
    base, top = sha256(b"base"), sha256(b"top")
    chain = chain_ids((base, top))
    config = json.dumps({"rootfs": {"diff_ids": [base, top]}}).encode()
    layers = [{"digest": digest, "size": 4} for digest in (base, top)]
    manifest = json.dumps({"config": {"digest": sha256(config), "size": len(config)}, "layers": layers}).encode()
    containerd.children[sha256(manifest)] = (sha256(config), base, top)
    containerd.blobs = {sha256(data): (data, NOW + 1) for data in (manifest, config, b"top")}
    containerd.snapshots = {chain[0]: NOW - 60, chain[1]: NOW + 1.1}
    containerd.lease("pull", NOW + 1, *containerd.blobs)
    (lease,) = containerd.look(1.2).leases
    assert {name: stat.created_at for name, stat in lease.found_snapshots.items()} == containerd.snapshots


def test_a_root_that_had_no_labels_yet_is_read_though_many_layers_have_come_since(containerd: Watched) -> None:
    """A near registry sends them between two polls."""
    names = containerd.children.pop(ROOT)
    containerd.labelled = False
    containerd.hold("pull", NOW + 1)
    containerd.look(1.1)
    containerd.labelled, containerd.children[ROOT] = True, names
    containerd.hold_before_root("pull", NOW + 1)
    assert ROOT in containerd.look(1.2).documents


def test_a_root_that_no_poll_came_to_is_read_when_the_lease_is_gone(containerd: Watched) -> None:
    containerd.hold("pull", NOW + 1)
    containerd.hold_before_root("pull", NOW + 1)
    assert ROOT not in containerd.look(1.1).documents
    del containerd.held["pull"]
    seen = containerd.look(1.2)
    assert ROOT in seen.documents
    assert [ROOT in lease.contents for lease in seen.ended] == [True]


def test_a_lease_of_a_crash_that_holds_much_is_no_live_one_because_it_is_read_little_by_little(
    containerd: Watched,
) -> None:
    """The exporter begins after the crash. One of the contents is only listed, and is gone."""
    layers = [b"%d" % number for number in range(100)]
    containerd.blobs = {sha256(data): (data, NOW - 4000) for data in layers}
    containerd.lease("stale", NOW - 4000, *map(sha256, layers), sha256(b"gone"))
    containerd.reconnect()
    stale = StaleLeases()
    polls = [Poll(containerd.look(at), Instant(NOW + at, Monotonic(at))) for at in range(1, 6)]
    assert [stale.confirm(poll, frozenset()) for poll in polls] == [[], [], [], ["stale"], []]


@pytest.mark.parametrize("size", [0, 1, 2**40])
def test_a_config_is_read_whatever_size_a_manifest_gives_it(containerd: Watched, size: int) -> None:
    """It may be there for another image, and then containerd does not compare its size."""
    manifest = json.dumps({"config": {"digest": sha256(CONFIG), "size": size}}).encode()
    containerd.children[sha256(manifest)] = (sha256(CONFIG),)
    containerd.blobs = {sha256(data): (data, NOW + 1) for data in (manifest, CONFIG)}
    containerd.lease("pull", NOW + 1, *containerd.blobs)
    assert containerd.look(1.2).diff_ids == {sha256(CONFIG): (sha256(b"unpacked"),)}
    assert containerd.most_read <= MAX_DOCUMENT_BYTES


def test_several_pulls_between_two_looks_are_several(containerd: Watched) -> None:
    containerd.fetch(NOW + 1)
    writes = [containerd.write(TAG, 2, created=True), containerd.write(BY_DIGEST, 2.1, created=True)]
    writes += [containerd.write(TAG, 2.2), containerd.write(TAG, 2.3)]
    first, *others = containerd.look(2.4, *writes).inferred
    assert came(first) == {ROOT, *PARTS}
    assert [came(lease) for lease in others] == [set(), set()]


@pytest.mark.parametrize("version", [REWRITING, TIDY])
def test_the_mark_of_cri_on_another_clients_image_is_no_further_pull(version: str) -> None:
    containerd = Watched(version)
    containerd.fetch(NOW - 60)
    for at in (3.0, 3.1):
        writes = (containerd.write(TAG, at, managed=False), containerd.write(TAG, at + 0.01))
        assert len(containerd.look(at + 0.05, *writes).inferred) == 1


def test_the_name_that_cri_adds_late_is_no_further_pull(containerd: Watched) -> None:
    containerd.see_pull()
    del containerd.held["pull"]
    assert len(containerd.look(1.3, containerd.write(TAG, 1.2, created=True)).ended) == 1
    assert not containerd.look(8.3, containerd.write(BY_DIGEST, 8.2, created=True)).inferred
    assert len(containerd.look(8.5, containerd.write(BY_DIGEST, 8.4)).inferred) == 1


def test_the_name_that_cri_adds_is_no_pull_when_nobody_heard_of_the_pulls_own(containerd: Watched) -> None:
    """A subscription takes its time."""
    containerd.see_pull()
    containerd.write(TAG, 1.2, created=True)
    del containerd.held["pull"]
    assert not containerd.look(1.3, containerd.write(BY_DIGEST, 1.25, created=True)).inferred


def test_the_record_of_a_pull_that_was_seen_is_its_own(containerd: Watched) -> None:
    containerd.see_pull()
    assert not containerd.look(1.21, containerd.write(TAG, 1.2)).inferred, "its lease is still there"
    del containerd.held["pull"]
    seen = containerd.look(1.3)
    assert ([lease.id for lease in seen.ended], seen.inferred) == (["pull"], ())


def test_word_of_a_pull_that_was_seen_may_come_late(containerd: Watched) -> None:
    containerd.see_pull()
    written = containerd.write(TAG, 1.2)
    del containerd.held["pull"]
    containerd.look(1.3)
    assert not containerd.look(1.5, written).inferred


@pytest.mark.parametrize("pause", [0.01, 9])
def test_a_re_pull_of_a_pull_that_was_seen_is_one_more(containerd: Watched, pause: float) -> None:
    containerd.see_pull()
    del containerd.held["pull"]
    written = containerd.write(TAG, 1.2)
    containerd.look(1.3)
    (lease,) = containerd.look(9.4, written, containerd.write(TAG, 1.3 + pause)).inferred
    assert not came(lease)


def test_an_unseen_pull_beside_a_seen_one_counts_as_well(containerd: Watched) -> None:
    containerd.see_pull()
    seen = containerd.look(1.4, containerd.write(TAG, 1.2), containerd.write(TAG, 1.3))
    assert (len(seen.leases), len(seen.inferred)) == (1, 1)


@pytest.mark.parametrize("version", [REWRITING, TIDY])
def test_each_of_two_pulls_that_were_seen_has_one_of_two_records_whichever_ends_first(version: str) -> None:
    containerd = Watched(version)
    containerd.fetch(NOW + 1)
    containerd.lease("early", NOW + 0.9, ROOT)
    containerd.lease("late", NOW + 0.95, ROOT)
    containerd.look(1.1)
    inferred = [*containerd.look(1.15, containerd.write(TAG, 1.13)).inferred]
    for lease, at in (("late", 1.2), ("early", 1.3)):
        del containerd.held[lease]
        inferred += containerd.look(at).inferred
    inferred += containerd.look(1.4, containerd.write(TAG, 1.28)).inferred
    assert not inferred


def test_a_pulls_own_record_and_the_write_of_another_change_places() -> None:
    """Three at once where names are written again: T of each, and only then the second ones."""
    containerd = Watched(REWRITING)
    containerd.fetch(NOW + 1)
    names = ("a", "b", "c")
    for name in names:
        containerd.lease(name, NOW + 1, ROOT)
    containerd.look(1.1)
    containerd.held.clear()
    containerd.look(1.2, *(containerd.write(TAG, 1.12 + number / 100) for number in range(len(names))))
    again = [containerd.write(TAG, 1.3 + number / 100) for number in range(len(names))]
    assert not containerd.look(1.4, *again).inferred
    assert len(containerd.look(1.6, containerd.write(TAG, 1.5)).inferred) == 1


def test_a_pull_that_failed_explains_no_success(containerd: Watched) -> None:
    containerd.fetch(NOW + 1)
    containerd.lease("failing", NOW + 1.1, ROOT)
    containerd.look(1.2)
    del containerd.held["failing"]
    assert not containerd.look(1.3).inferred
    assert len(containerd.look(2.1, containerd.write(TAG, 2)).inferred) == 1


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("looks", [(), (1.5,), (1.5, 899.5)], ids=["at-once", "soon", "when-time-has-caught-up"])
def test_a_pull_whose_clock_was_set_back_has_written_its_record_itself(
    containerd: Watched, looks: tuple[float, ...], ended: bool
) -> None:
    containerd.hold("pull", NOW + 900)
    containerd.look(901)
    for at in looks:
        containerd.look(at)
    end = (looks or (1.5,))[-1] + 0.6
    if ended:
        containerd.held.clear()
    assert not containerd.look(end, containerd.write(TAG, end - 0.2)).inferred


def test_a_pull_that_failed_after_a_clock_was_set_back_explains_no_success(containerd: Watched) -> None:
    containerd.fetch(NOW + 800)
    containerd.write(TAG, 801)
    containerd.lease("failing", NOW + 900, ROOT)
    containerd.look(901)
    containerd.look(1.5)
    del containerd.held["failing"]
    assert not containerd.look(2.5).inferred
    assert len(containerd.look(3.1, containerd.write(TAG, 3)).inferred) == 1


def test_an_import_or_a_local_tag_is_no_pull(containerd: Watched) -> None:
    containerd.fetch(NOW + 3)
    written = containerd.write("registry.example/other:v1", 3.5, created=True, managed=False)
    assert not containerd.look(3.6, written, containerd.write("registry.example/other:v1", 3.51)).inferred


def test_a_lease_that_is_gone_before_it_is_read_is_the_pull_that_was_written(containerd: Watched) -> None:
    containerd.fetch(NOW + 3)
    containerd.lease("pull", NOW + 2.9, gone=True)
    early = containerd.look(3.11, containerd.write(TAG, 3.1))
    assert ([lease.id for lease in early.leases], early.inferred) == (["pull"], ())
    containerd.held.clear()
    late = containerd.look(3.2)
    (lease,) = late.inferred
    assert came(lease) == {ROOT, *PARTS}
    assert all(lease.nameless for lease in late.ended)


def test_leases_that_were_quick_at_the_same_time_are_told_what_each_was_for(containerd: Watched) -> None:
    containerd.fetch(NOW - 60)
    other, tag = sha256(b"other"), f"{HOST}/{REPOSITORY}:v2"
    containerd.blobs[other] = (b"{}", NOW - 60)
    containerd.children[other], containerd.roots[tag] = PARTS, other
    for name in ("first", "second"):
        containerd.lease(name, NOW + 1)
    assert all(lease.nameless for lease in containerd.look(2).leases)
    containerd.held.clear()
    writes = containerd.write(TAG, 2.5), containerd.write(tag, 2.6)
    seen = containerd.look(3, *writes)
    assert {digest for lease in seen.ended for digest in lease.contents} >= {ROOT, other}
    assert not seen.inferred


def test_a_lease_that_waited_for_its_registry_and_then_was_quick_is_told_what_it_was_for(containerd: Watched) -> None:
    containerd.fetch(NOW - 60)
    containerd.lease("slow", NOW + 1)
    for at in (2, 3, 4):
        assert containerd.look(at).leases[0].nameless
    containerd.held.clear()
    written = containerd.write(TAG, 4.5)
    seen = containerd.look(5)
    (lease,) = seen.ended
    assert (lease.id, lease.created_at, ROOT in lease.contents) == ("slow", NOW + 1, True)
    assert not came(lease)
    assert not containerd.look(5.1, written).inferred, "it is explained"


def test_an_image_of_schema_1_whose_root_is_made_between_two_looks_is_that_of_its_lease() -> None:
    """containerd 1.x makes the manifest when all layers are there, and a small image is unpacked a moment later."""
    containerd = Watched(REWRITING)
    config, layer = PARTS
    layers = [{"digest": layer, "size": len(LAYER), "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip"}]
    described = {"digest": config, "size": len(CONFIG), "mediaType": "application/vnd.oci.image.config.v1+json"}
    manifest = json.dumps({"config": described, "layers": layers}).encode()
    root = sha256(manifest)
    containerd.labelled, containerd.children, containerd.roots[TAG] = False, {root: PARTS}, root
    containerd.blobs[layer] = (LAYER, NOW + 1)
    containerd.held["pull"] = (NOW + 0.9, Resources(frozenset((layer,)), frozenset(("sha256:other",)), {}))
    containerd.look(1.1)
    del containerd.held["pull"]
    containerd.blobs |= {root: (manifest, NOW + 1.2), config: (CONFIG, NOW + 1.2)}
    seen = containerd.look(1.3, containerd.write(TAG, 1.25, created=True))
    assert [came(lease) for lease in seen.ended] == [{root, *PARTS}]
    assert not seen.inferred


def test_a_nameless_lease_takes_the_first_record_after_it_was_last_seen(containerd: Watched) -> None:
    containerd.fetch(NOW - 60)
    containerd.lease("failing", NOW + 1)
    containerd.look(2)
    containerd.look(3, containerd.write(f"{HOST}/{REPOSITORY}:before", 2.5))
    containerd.held.clear()
    (lease,) = containerd.look(4).ended
    assert lease.nameless, "the image that was written meanwhile is another pull's"


def test_a_record_that_a_seen_pull_wrote_is_not_that_of_a_nameless_lease(containerd: Watched) -> None:
    containerd.fetch(NOW - 60)
    containerd.lease("failing", NOW + 1)
    containerd.lease("pull", NOW + 1, ROOT)
    containerd.look(2)
    containerd.held.clear()
    containerd.write(TAG, 2.5)
    assert {lease.id: lease.nameless for lease in containerd.look(3).ended} == {"failing": True, "pull": False}


def test_a_record_that_was_removed_before_the_next_poll_was_the_pulls(containerd: Watched) -> None:
    containerd.see_pull()
    written = containerd.write(TAG, 1.5, created=True)
    containerd.held.clear()
    containerd.records.clear()
    seen = containerd.look(2.2, written)
    assert [record.name for record in seen.images[ROOT]] == [TAG]
    assert not seen.inferred


@pytest.mark.parametrize(("managed", "added_at"), [(True, 1.51), (False, 1.51), (False, 2.7)])
def test_a_root_that_was_removed_before_it_was_seen_with_its_label_comes_from_where_cri_says(
    containerd: Watched, managed: bool, added_at: float
) -> None:
    """An import's name is not CRI's, though CRI adds one that is, with a big manifest after seconds."""
    containerd.hold("pull", NOW + 1)
    containerd.labelled = False
    containerd.look(1.2)
    own = containerd.write(TAG, 1.5, created=True, managed=managed)
    written = (own, containerd.write(BY_DIGEST, added_at, created=True))
    containerd.held.clear()
    containerd.records.clear()
    containerd.blobs.clear()
    seen = containerd.look(3, *written)
    assert {record.name for record in seen.images[ROOT]} == {BY_DIGEST}
    assert [info and info.sources for info in seen.ended[0].contents.values()] == [((HOST, REPOSITORY),) * managed]


@pytest.mark.parametrize("ended", [True, False])
def test_a_blob_that_was_found_before_its_source_was_written_gets_it(containerd: Watched, ended: bool) -> None:
    containerd.hold("pull", NOW + 1)
    containerd.labelled = False
    containerd.look(1.2)
    containerd.labelled = True
    if ended:
        containerd.held.clear()
    seen = containerd.look(1.4)
    (lease,) = seen.ended if ended else seen.leases
    assert [blob and blob.sources for blob in lease.found_blobs.values()] == [((HOST, REPOSITORY),)] * len(PARTS)


def test_a_root_that_was_removed_and_comes_again_is_described_as_it_was(containerd: Watched) -> None:
    """The next pull's has no labels yet, so that it does not look like a root."""
    containerd.see_pull()
    written = containerd.write(TAG, 1.5, created=True)
    containerd.records.clear()
    containerd.fetch(NOW + 1.8)
    containerd.children.clear()
    containerd.held = {"next": (NOW + 1.7, Resources(frozenset((ROOT,)), frozenset(), {}))}
    seen = containerd.look(2, written)
    assert [record.name for record in seen.images[ROOT]] == [TAG]
    assert not seen.inferred


def test_a_pull_between_two_looks_whose_image_was_removed_is_told_by_its_events(containerd: Watched) -> None:
    written = (containerd.write(TAG, 3.5, created=True), containerd.write(BY_DIGEST, 3.51, created=True))
    containerd.records.clear()
    seen = containerd.look(4, *written)
    (lease,) = seen.inferred
    info = lease.contents[ROOT]
    assert info is not None
    assert info.sources == ((HOST, REPOSITORY),)
    assert not came(lease) - {ROOT}
    assert [record.name for record in seen.images[ROOT]] == [TAG]
    assert not containerd.look(5).inferred


@pytest.mark.parametrize("version", [REWRITING, TIDY])
def test_a_repeated_pull_between_two_looks_whose_image_was_removed_is_one_pull(version: str) -> None:
    """A name that is updated keeps its root, whatever is pulled from the repository at the same time."""
    containerd = Watched(version)
    containerd.fetch(NOW - 60)
    assert len(containerd.look(2, *containerd.write_pull(version, 1, created=True)).inferred) == 1
    other = sha256(b"other")
    written = containerd.write_pull(version, 3)
    sibling = (
        containerd.write(f"{HOST}/{REPOSITORY}:v2", 3.5, created=True),
        containerd.write(f"{HOST}/{REPOSITORY}@{other}", 3.51, created=True),
    )
    containerd.records.clear()
    containerd.blobs.clear()
    seen = containerd.look(4, *written, *sibling)
    assert [root for lease in seen.inferred for root in lease.contents] == [ROOT, other]
    assert not containerd.look(5).inferred


@pytest.mark.parametrize("version", [REWRITING, TIDY])
def test_a_tag_that_moves_between_two_unseen_pulls_names_both_images(version: str) -> None:
    containerd = Watched(version)
    other = sha256(b"other")
    first = containerd.write_pull(version, 1, created=True)
    second = (containerd.write(TAG, 3), containerd.write(f"{HOST}/{REPOSITORY}@{other}", 3.02, created=True))
    containerd.records.clear()
    assert [root for lease in containerd.look(4, *first, *second).inferred for root in lease.contents] == [ROOT, other]


def test_a_new_tag_of_an_image_that_was_removed_before_is_not_its_neighbours(containerd: Watched) -> None:
    other = sha256(b"other")
    written = list(containerd.write_pull(TIDY, 1, created=True))
    containerd.records.clear()
    assert len(containerd.look(2, *written).inferred) == 1
    written = [
        containerd.write(f"{HOST}/{REPOSITORY}{name}", at, created=True)
        for name, at in ((":v3", 3), (f"@{ROOT}", 3.02), (":v2", 3.5), (f"@{other}", 3.52))
    ]
    containerd.records.clear()
    assert [root for lease in containerd.look(4, *written).inferred for root in lease.contents] == [ROOT, other]


@pytest.mark.parametrize("version", [REWRITING, TIDY])
def test_two_pulls_of_an_image_that_was_removed_after_them_are_two(version: str) -> None:
    containerd = Watched(version)
    written = (*containerd.write_pull(version, 3, created=True), *containerd.write_pull(version, 3.5))
    containerd.records.clear()
    assert len(containerd.look(4, *written).inferred) == 2


def test_an_import_that_was_removed_is_no_pull(containerd: Watched) -> None:
    marked = (containerd.write(TAG, 3.52), containerd.write(BY_DIGEST, 3.53, created=True))
    written = (containerd.write(TAG, 3.5, created=True, managed=False), *marked)
    containerd.records.clear()
    assert not containerd.look(4, *written).inferred


@pytest.mark.parametrize(
    ("name", "at"),
    [("registry.example/team/other:v1", 1.5), (TAG, 0.9), (f"registry.example/team/app@sha256:{'0' * 64}", 1.5)],
)
def test_a_record_that_was_removed_and_cannot_be_the_pulls_is_none(containerd: Watched, name: str, at: float) -> None:
    containerd.see_pull()
    written = containerd.write(name, at)
    containerd.held.clear()
    containerd.records.clear()
    assert not containerd.look(2.2, written).images[ROOT]


@pytest.mark.parametrize("call", ["Leases/List", "Content/ListStatuses", "Images/List"])
def test_records_are_not_lost_when_reading_fails(containerd: Watched, call: str) -> None:
    containerd.fetch(NOW + 3)
    containerd.failing = call
    with pytest.raises(ContainerdError):
        containerd.look(3.6, containerd.write(TAG, 3.5))
    containerd.failing = ""
    assert len(containerd.look(3.8).inferred) == 1


def test_a_removed_record_whose_root_is_not_known_yet_is_not_lost_when_reading_fails(containerd: Watched) -> None:
    name = f"{HOST}/team/other:v1"
    own, other = containerd.write(TAG, 3.5, created=True), containerd.write(name, 3.51)
    containerd.records.clear()
    containerd.refused = name
    with pytest.raises(ContainerdError):
        containerd.look(3.6, own, other)
    containerd.refused = ""
    added = containerd.write(BY_DIGEST, 3.7, created=True)
    containerd.records.clear()
    (lease,) = containerd.look(3.8, added).inferred
    assert ROOT in lease.contents


CHAIN_ID = sha256(b"unpacked")


@pytest.mark.parametrize("refused", [*PARTS, CHAIN_ID], ids=["config", "layer", "snapshot"])
def test_what_was_there_before_a_pull_is_asked_again_when_reading_fails(containerd: Watched, refused: str) -> None:
    containerd.lease("pull", NOW + 1)
    containerd.look(1.1)
    containerd.fetch(NOW - 60)
    containerd.snapshots = {CHAIN_ID: NOW - 59}
    containerd.lease("pull", NOW + 1, ROOT)
    containerd.refused = refused
    with pytest.raises(ContainerdError):
        containerd.look(1.3)
    containerd.refused = ""
    (lease,) = containerd.look(1.5).leases
    assert lease.found_blobs == containerd.contents(PARTS)
    assert lease.found_snapshots == {CHAIN_ID: SnapshotStat("overlayfs", NodeTime(NOW - 59))}


def test_what_a_lease_holds_is_asked_when_a_blob_begins_or_ends_and_now_and_then(containerd: Watched) -> None:
    _, layer = PARTS
    containerd.fetch_layer(NOW + 1)
    asked = []
    for at in range(2, 9):
        (lease,) = containerd.look(at).leases
        assert lease.ingests == {layer}
        asked.append(containerd.asked)
    assert asked == [1, 1, 1, 1, 1, 2, 2]
    containerd.writing = {}
    containerd.fetch(NOW + 1)
    containerd.lease("pull", NOW + 1, ROOT, *PARTS)
    for at in (9, 10):
        (lease,) = containerd.look(at).leases
        assert layer in lease.contents
    assert containerd.asked == 4, "a layer that is unpacked is told by no ingest"


def test_what_a_lease_holds_is_asked_after_a_connection_was_made_anew(containerd: Watched) -> None:
    """Otherwise what it gained before a crash would seem to come after it, and a stale lease would seem alive."""
    snapshots = containerd.fetch_layer(NOW + 1)
    containerd.look(2)
    snapshots["overlayfs"] = Snapshots(extracting=frozenset({"sha256:chain"}))
    asked = containerd.asked
    containerd.reconnect()
    (lease,) = containerd.look(3).leases
    assert (lease.snapshots, containerd.asked) == (snapshots, asked + 1)


def test_other_pulls_that_go_on_and_on_do_not_hold_up_the_end_of_one(containerd: Watched) -> None:
    other = containerd.write("registry.example/team/other:v1", 1.5)
    containerd.fetch(NOW + 1)
    for lease, contents in (("failing", (ROOT,)), ("nameless", ())):
        containerd.lease(lease, NOW + 1.1, *contents)
        containerd.look(1.2)
        containerd.held.clear()
        assert [lease.id for lease in containerd.look(2, late=lambda: (other,)).ended] == [lease]


@pytest.mark.parametrize("written_again", [False, True])
def test_the_config_of_a_later_pull_does_not_say_that_the_one_before_failed_to_unpack(
    containerd: Watched, written_again: bool
) -> None:
    containerd.fetch(NOW + 1)
    snapshots = {"overlayfs": Snapshots(frozenset(("sha256:" + "1" * 64,)))}
    containerd.held["one"] = NOW + 1, Resources(frozenset((ROOT, *PARTS)), frozenset(), snapshots)
    containerd.look(1.5)
    written = [containerd.write(TAG, 1.6, created=True)]
    del containerd.held["one"], containerd.records[TAG]
    # The image is removed, and a second pull of it has brought all but unpacked nothing yet.
    containerd.fetch(NOW + 2)
    containerd.unpacked = False
    containerd.lease("two", NOW + 1.9, ROOT, *PARTS)
    if written_again:
        written.append(containerd.write(TAG, 2.3, created=True))
    (ended,) = containerd.look(2.5, *written).ended
    assert ended.unpacked is None


def test_a_pull_whose_config_stays_without_a_snapshotter_has_failed_to_unpack(containerd: Watched) -> None:
    containerd.fetch(NOW + 1)
    containerd.unpacked = False
    snapshots = {"overlayfs": Snapshots(frozenset(("sha256:" + "1" * 64,)))}
    containerd.held["one"] = NOW + 1, Resources(frozenset((ROOT, *PARTS)), frozenset(), snapshots)
    containerd.look(1.5)
    del containerd.held["one"]
    (ended,) = containerd.look(2.5, containerd.write(TAG, 1.6, created=True)).ended
    assert ended.unpacked is False
