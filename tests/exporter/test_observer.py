"""Pulls that were over before anybody looked, and leases that tell nothing: what becomes of them look by look."""

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import cast

import pytest

from pulltrace.pull import Daemon
from pulltrace_exporter.containerd.client import Client, Resources
from pulltrace_exporter.containerd.observer import Observer
from pulltrace_exporter.errors import ContainerdError
from pulltrace_exporter.observation import Chain, Content, ImageRecord, Ingest, Lease, Observation

pytestmark = pytest.mark.unit

NOW = 1_700_000_000.0
HOST, REPOSITORY = "registry.example", "team/app"
TAG = f"{HOST}/{REPOSITORY}:v1"
DAEMON = Daemon(True, "2.1.9", NOW - 3600)


def digest_of(data: bytes) -> str:
    return f"sha256:{sha256(data).hexdigest()}"


CONFIG = json.dumps({"rootfs": {"diff_ids": [digest_of(b"unpacked")]}}).encode()
LAYER = b"layer"
MANIFEST = json.dumps(
    {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"digest": digest_of(CONFIG), "size": len(CONFIG)},
        "layers": [{"digest": digest_of(LAYER), "size": len(LAYER)}],
    }
).encode()
ROOT = digest_of(MANIFEST)
PARTS = (digest_of(CONFIG), digest_of(LAYER))


class FakeContainerd:
    """Answers as the client does; its state is what a test says."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[float, Resources | None]] = {}
        self.blobs: dict[str, tuple[bytes, float]] = {}
        self.records: dict[str, float] = {}
        self.failing = False

    def lease(self, lease_id: str, created_at: float, *contents: str, gone: bool = False) -> None:
        """A lease that holds these; `gone`: it is listed, and deleted before it is read."""
        self.held[lease_id] = (created_at, None if gone else Resources(frozenset(contents), frozenset(), {}))

    def fetch(self, at: float) -> None:
        """The image comes, its manifest first."""
        for number, data in enumerate((MANIFEST, CONFIG, LAYER)):
            self.blobs[digest_of(data)] = (data, at + number / 100)

    def leases(self) -> dict[str, float]:
        return {lease_id: created_at for lease_id, (created_at, _) in self.held.items()}

    def resources(self, lease_id: str) -> Resources | None:
        return self.held[lease_id][1]

    def ingests(self) -> dict[str, Ingest]:
        if self.failing:
            raise ContainerdError("Content/ListStatuses", "UNAVAILABLE")
        return {}

    def contents(self, digests: Sequence[str], namespace: str = "") -> dict[str, Content | None]:
        return {digest: None if namespace else self.content(digest) for digest in digests}

    def content(self, digest: str) -> Content | None:
        if digest not in self.blobs:
            return None
        data, created_at = self.blobs[digest]
        children = frozenset(PARTS if digest == ROOT else ())
        sources = ((HOST, REPOSITORY),)
        return Content(digest, len(data), created_at, sources, children)

    def other_namespaces(self) -> list[str]:
        return ["moby"]

    def read(self, digest: str, limit: int) -> bytes | None:
        return self.blobs[digest][0] if digest in self.blobs else None

    def chain(self, snapshotter: str, chain_id: str) -> Chain:
        return Chain(snapshotter, None)

    def image(self, name: str) -> ImageRecord | None:
        return ImageRecord(name, self.records[name], ROOT) if name in self.records else None

    def images(self, root: str) -> tuple[ImageRecord, ...]:
        return tuple(self.images_since(0.0)) if root == ROOT else ()

    def images_since(self, moment: float) -> list[ImageRecord]:
        return [ImageRecord(name, at, ROOT) for name, at in self.records.items() if at >= moment]


class Watcher:
    """An observer and its looks, with times as seconds after `NOW`."""

    def __init__(self, containerd: FakeContainerd) -> None:
        self._client = cast(Client, containerd)
        self._observer = Observer()
        self._reconnected = True

    def look(self, at: float, written: Iterable[str] = ()) -> Observation:
        seen = self._observer.observe(self._client, DAEMON, (), written, now=NOW + at, reconnected=self._reconnected)
        self._reconnected = False
        return seen


@pytest.fixture
def containerd() -> FakeContainerd:
    return FakeContainerd()


@pytest.fixture
def watcher(containerd: FakeContainerd) -> Watcher:
    watcher = Watcher(containerd)
    watcher.look(0)
    return watcher


def came(lease: Lease) -> set[str]:
    """What the lease brought: what is younger than itself."""
    blobs = (*lease.contents.values(), *lease.surveyed.values())
    return {blob.digest for blob in blobs if blob is not None and blob.created_at >= lease.created_at}


def test_a_pull_between_two_looks_is_glimpsed_with_all_that_it_brought(
    containerd: FakeContainerd, watcher: Watcher
) -> None:
    containerd.fetch(NOW + 3)
    containerd.records[TAG] = NOW + 3.5
    (lease,) = watcher.look(3.6, [TAG]).glimpsed
    assert lease.created_at == NOW + 3
    assert came(lease) == {ROOT, *PARTS}


def test_word_of_a_pull_may_come_a_look_later_than_it_could(containerd: FakeContainerd, watcher: Watcher) -> None:
    containerd.fetch(NOW + 3)
    containerd.records[TAG] = NOW + 3.05
    assert not watcher.look(3.06).glimpsed
    (lease,) = watcher.look(3.2, [TAG]).glimpsed
    assert came(lease) == {ROOT, *PARTS}


def test_a_re_pull_of_what_is_there_brought_nothing(containerd: FakeContainerd, watcher: Watcher) -> None:
    containerd.fetch(NOW - 60)
    containerd.records[TAG] = NOW + 3
    (lease,) = watcher.look(3.1, [TAG]).glimpsed
    assert lease.created_at == NOW + 3
    assert not came(lease)


def test_what_came_before_the_first_look_is_not_brought_by_a_pull_after_it(
    containerd: FakeContainerd, watcher: Watcher
) -> None:
    containerd.fetch(NOW - 0.2)
    containerd.records[TAG] = NOW + 0.3
    (lease,) = watcher.look(0.4, [TAG]).glimpsed
    assert not came(lease)


def test_names_that_cri_adds_or_writes_again_are_no_further_pulls(containerd: FakeContainerd, watcher: Watcher) -> None:
    containerd.fetch(NOW + 3)
    containerd.records[TAG] = NOW + 3.1
    assert len(watcher.look(3.15, [TAG]).glimpsed) == 1
    containerd.records |= {TAG: NOW + 3.2, f"{HOST}/{REPOSITORY}@{ROOT}": NOW + 3.3, digest_of(CONFIG): NOW + 3.3}
    assert not watcher.look(3.4, containerd.records).glimpsed


def test_the_records_of_a_pull_that_was_seen_are_its_own(containerd: FakeContainerd, watcher: Watcher) -> None:
    containerd.fetch(NOW + 1)
    containerd.lease("pull", NOW + 0.9, ROOT)
    watcher.look(1.1)
    containerd.records[TAG] = NOW + 1.2
    assert not watcher.look(1.21, [TAG]).glimpsed, "its lease is still there"
    del containerd.held["pull"]
    seen = watcher.look(1.3)
    assert [lease.id for lease in seen.ended] == ["pull"]
    assert not watcher.look(1.5, [TAG]).glimpsed


def test_a_re_pull_of_a_pull_that_was_seen_is_one_more(containerd: FakeContainerd, watcher: Watcher) -> None:
    containerd.fetch(NOW + 1)
    containerd.lease("pull", NOW + 0.9, ROOT)
    watcher.look(1.1)
    containerd.records[TAG] = NOW + 1.2
    del containerd.held["pull"]
    watcher.look(1.3)
    containerd.records[TAG] = NOW + 9
    (lease,) = watcher.look(9.1, [TAG]).glimpsed
    assert not came(lease)


def test_an_import_or_a_local_tag_is_no_pull(containerd: FakeContainerd, watcher: Watcher) -> None:
    containerd.fetch(NOW + 3)
    containerd.records["registry.example/other:v1"] = NOW + 3.5
    assert not watcher.look(3.6, containerd.records).glimpsed


def test_a_lease_that_is_gone_before_it_is_read_is_the_pull_that_was_written(
    containerd: FakeContainerd, watcher: Watcher
) -> None:
    containerd.fetch(NOW + 3)
    containerd.records[TAG] = NOW + 3.1
    containerd.lease("pull", NOW + 2.9, gone=True)
    early = watcher.look(3.11, [TAG])
    assert ([lease.id for lease in early.leases], early.glimpsed) == (["pull"], ())
    containerd.held.clear()
    late = watcher.look(3.2)
    (lease,) = late.glimpsed
    assert came(lease) == {ROOT, *PARTS}
    assert all(lease.nameless for lease in late.ended)


def test_a_lease_that_waited_for_its_registry_and_then_was_quick_is_told_what_it_was_for(
    containerd: FakeContainerd, watcher: Watcher
) -> None:
    containerd.fetch(NOW - 60)
    containerd.lease("slow", NOW + 1)
    for at in (2, 3, 4):
        assert watcher.look(at).leases[0].nameless
    containerd.held.clear()
    containerd.records[TAG] = NOW + 4.5
    seen = watcher.look(5)
    (lease,) = seen.ended
    assert (lease.id, lease.created_at, ROOT in lease.contents) == ("slow", NOW + 1, True)
    assert not came(lease)
    assert not watcher.look(5.1, [TAG]).glimpsed, "it is explained"


def test_of_several_records_the_first_after_it_was_last_seen_is_that_of_a_nameless_lease(
    containerd: FakeContainerd, watcher: Watcher
) -> None:
    containerd.fetch(NOW - 60)
    containerd.records[f"{HOST}/{REPOSITORY}:before"] = NOW + 2.5
    containerd.lease("failing", NOW + 1)
    watcher.look(2)
    watcher.look(3, containerd.records)
    containerd.held.clear()
    (lease,) = watcher.look(4).ended
    assert lease.nameless, "the image that was written meanwhile is another pull's"


def test_what_was_written_is_not_forgotten_when_reading_fails(containerd: FakeContainerd, watcher: Watcher) -> None:
    containerd.fetch(NOW + 3)
    containerd.records[TAG] = NOW + 3.5
    containerd.failing = True
    with pytest.raises(ContainerdError):
        watcher.look(3.6, [TAG])
    containerd.failing = False
    assert len(watcher.look(3.8).glimpsed) == 1
