"""One namespace of the daemon with the rules of its changes: what is leased, labelled, announced, and in what order."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from google.protobuf.message import Message

from pulltrace_exporter.containerd.api.payloads_pb2 import ContentCreate, ImageChange, SnapshotPrepare
from rig.standin.bus import Bus, Event
from rig.standin.control import Clock, Killed
from rig.standin.descriptors import Descriptor
from rig.standin.files import Files
from rig.standin.flavour import Flavour
from rig.standin.records import Blob, Image, Ingest, Lease, Namespace, Records, Snapshot

EXPIRE = "containerd.io/gc.expire"
EXPIRE_AFTER = 24 * 3600
SOURCE = "containerd.io/distribution.source."
LABEL_LIMIT = 4096


class AlreadyThere(Exception):
    """The content exists; it has been added to the lease."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What every store of a daemon shares."""

    records: Records
    files: Files
    clock: Clock
    bus: Bus
    flavour: Flavour


class Store:
    """The changes of one namespace, each atomic; once the daemon is dead they raise Killed."""

    def __init__(self, parts: Parts, namespace: str) -> None:
        self._parts = parts
        self.namespace = namespace
        self.flavour = parts.flavour

    @contextmanager
    def changing(self) -> Iterator[Namespace]:
        records = self._parts.records
        with records.lock:
            if not records.alive:
                raise Killed
            yield records.namespace(self.namespace)

    def now(self) -> int:
        return self._parts.clock.now_ns()

    def unique(self) -> str:
        """The part of names that containerd makes from the clock's nanoseconds and a few random bytes."""
        return f"{self.now() % 10**9}-{secrets.token_urlsafe(3)}"

    # Leases

    def create_lease(self, lease_id: str = "", *, expires: bool = True) -> str:
        """A new lease with the daemon's usual label; without `expires` as a pod sandbox holds it."""
        now = self.now()
        until = datetime.fromtimestamp(now // 10**9 + EXPIRE_AFTER, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        with self.changing() as records:
            lease = Lease(lease_id or self.unique(), now, {EXPIRE: until} if expires else {})
            records.leases[lease.id] = lease
        return lease.id

    def delete_lease(self, lease_id: str) -> None:
        with self.changing() as records:
            records.leases.pop(lease_id, None)

    # Content

    def blob(self, digest: str) -> Blob | None:
        with self._parts.records.lock:
            return self._parts.records.namespace(self.namespace).blobs.get(digest)

    def read(self, digest: str) -> bytes:
        return self._parts.files.read(digest)

    def open_writer(self, lease: str, ref: str, size: int, digest: str = "") -> "Writer":
        """Begin or resume a download; raises AlreadyThere."""
        with self.changing() as records:
            if digest and digest in records.blobs:
                records.leases[lease].content.add(digest)
                raise AlreadyThere(digest)
            now = self.now()
            ingest = records.ingests.get(ref) or Ingest(ref, size, now, now)
            assert not ingest.writing, f"no scenario has two writers of {ref}"
            ingest.writing = True
            records.ingests[ref] = ingest
            records.leases[lease].ingests.add(ref)
        return Writer(self, self._parts.files, lease, ingest)

    def commit(self, lease: str, ingest: Ingest, digest: str) -> str:
        """Turn a finished ingest into content, by default under the digest that its bytes have."""
        digest = digest or self._parts.files.digest(ingest.ref)
        with self.changing() as records:
            self._parts.files.commit(ingest.ref, digest)
            records.ingests.pop(ingest.ref, None)
            records.leases[lease].ingests.discard(ingest.ref)
            records.leases[lease].content.add(digest)
            new = digest not in records.blobs
            now = self.now()
            if new:
                records.blobs[digest] = Blob(digest, ingest.offset, now, now)
        if new:
            self._announce("/content/create", ContentCreate(digest=digest, size=ingest.offset))
        return digest

    def put_blob(self, digest: str, content: bytes) -> None:
        """A blob that somebody else than a pull puts into the store: under no lease, and with no source."""
        self._parts.files.append(digest, content)
        with self.changing() as records:
            self._parts.files.commit(digest, digest)
            now = self.now()
            records.blobs.setdefault(digest, Blob(digest, len(content), now, now))

    def label(self, digest: str, labels: Mapping[str, str]) -> None:
        with self.changing() as records:
            blob = records.blobs.get(digest)
            if blob and labels:
                blob.labels = {**blob.labels, **labels}
                blob.updated_at = self.now()

    def append_source(self, digest: str, host: str, repository: str) -> None:
        """Say where a content came from, beside what is said already; left out when that would grow too long."""
        with self.changing() as records:
            blob = records.blobs.get(digest)
            key = f"{SOURCE}{host}"
            known = blob.labels.get(key, "") if blob else ""
            value = ",".join(sorted({*filter(None, known.split(",")), repository}))
            if len(key) + len(value) <= LABEL_LIMIT:
                self.label(digest, {key: value})

    # Snapshots

    def prepare(self, lease: str, snapshotter: str, parent: str, chain: str) -> str:
        """Begin a layer's snapshot; empty when it is there already."""
        with self.changing() as records:
            if (snapshotter, chain) in records.snapshots:
                records.leases[lease].snapshots.add((snapshotter, chain))
                return ""
            key = f"extract-{self.unique()} {chain}"
            now = self.now()
            labels = {"containerd.io/snapshot.ref": chain}
            records.snapshots[snapshotter, key] = Snapshot(snapshotter, key, parent, False, now, now, labels)
            records.leases[lease].snapshots.add((snapshotter, key))
        self._announce("/snapshot/prepare", SnapshotPrepare(key=key, parent=parent, snapshotter=snapshotter))
        return key

    def has_snapshot(self, snapshotter: str, chain: str) -> bool:
        with self.changing() as records:
            return (snapshotter, chain) in records.snapshots

    def commit_snapshot(
        self, lease: str, snapshotter: str, key: str, chain: str, parent: str, labels: Mapping[str, str] | None = None
    ) -> None:
        """Finish a layer's snapshot under its chain ID; without a key a remote snapshotter has done it all."""
        with self.changing() as records:
            records.snapshots.pop((snapshotter, key), None)
            held = records.leases[lease].snapshots
            held.discard((snapshotter, key))
            held.add((snapshotter, chain))
            now = self.now()
            all_labels = {"containerd.io/snapshot.ref": chain, **(labels or {})}
            made = Snapshot(snapshotter, chain, parent, True, now, now, all_labels)
            records.snapshots.setdefault((snapshotter, chain), made)

    def remove_snapshot(self, lease: str, snapshotter: str, key: str) -> None:
        with self.changing() as records:
            records.snapshots.pop((snapshotter, key), None)
            records.leases[lease].snapshots.discard((snapshotter, key))

    # Images

    def put_image(self, name: str, target: Descriptor, labels: Mapping[str, str]) -> None:
        """Create the record, or update it, which moves its `updated_at` even when nothing else changes."""
        with self.changing() as records:
            now = self.now()
            old = records.images.get(name)
            created = old.created_at if old else now
            records.images[name] = Image(name, target, created, now, dict(labels))
        verb = "update" if old else "create"
        message = f"containerd.services.images.v1.Image{verb.title()}"
        self._announce(f"/images/{verb}", ImageChange(name=name, labels=labels), message)

    def image(self, name: str) -> Image | None:
        with self._parts.records.lock:
            return self._parts.records.namespace(self.namespace).images.get(name)

    def delete_image(self, name: str) -> None:
        with self.changing() as records:
            records.images.pop(name, None)

    def _announce(self, topic: str, payload: Message, message: str = "") -> None:
        message = message or payload.DESCRIPTOR.full_name
        self._parts.bus.publish(Event(self.now(), self.namespace, topic, message, payload))


class Writer:
    """The open end of an ingest: its lock is held until it is committed or closed."""

    def __init__(self, store: Store, files: Files, lease: str, ingest: Ingest) -> None:
        self._store = store
        self._files = files
        self._lease = lease
        self._ingest = ingest

    @property
    def offset(self) -> int:
        return self._ingest.offset

    def write(self, chunk: bytes | int) -> None:
        """Append bytes, or so many that only exist as a number."""
        with self._store.changing():
            if isinstance(chunk, bytes):
                self._files.append(self._ingest.ref, chunk)
            self._ingest.offset += len(chunk) if isinstance(chunk, bytes) else chunk
            self._ingest.updated_at = self._store.now()

    def commit(self, digest: str = "") -> str:
        return self._store.commit(self._lease, self._ingest, digest)

    def close(self) -> None:
        """Let go of the ref; what was written stays for the next one."""
        self._ingest.writing = False
