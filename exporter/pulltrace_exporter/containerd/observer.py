"""Makes an observation: decides which calls are needed and in which order, and makes no more than these."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from pulltrace.clock import NodeTime
from pulltrace.model.pull import Daemon
from pulltrace_exporter.containerd.client import Client
from pulltrace_exporter.containerd.inferred.cri_image_writes import ImageWrite
from pulltrace_exporter.containerd.inferred.inferred_pulls import InferredPulls
from pulltrace_exporter.containerd.inferred.poll_history import PollHistory
from pulltrace_exporter.containerd.lease_reader import LeaseReader
from pulltrace_exporter.containerd.manifest_cache import ManifestCache
from pulltrace_exporter.containerd.quirks import USUAL_SNAPSHOTTER
from pulltrace_exporter.containerd.reading import Reading
from pulltrace_exporter.model.observation import ImageRecord, Lease, Observation

PATIENCE_SECONDS = 0.5
"""A lease that held nothing and lasted longer is examined when it is gone. The tracker counts only still older ones."""

MAX_LATE = 3
"""How many times to wait for an event while only those of other pulls come. CRI sends the event within milliseconds."""

T = TypeVar("T")


class Observer:
    """Reads one containerd. It outlives connections, because what was read of images stays true.

    `wall` gives the Unix time. `remote_snapshotters` are those that the present connection's containerd has loaded.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self.remote_snapshotters: frozenset[str] = frozenset()
        self._documents = ManifestCache()
        self._readers: dict[str, LeaseReader] = {}
        self._inferred_pulls = InferredPulls(self._documents)
        self._snapshotter = USUAL_SNAPSHOTTER
        self._looks = PollHistory()

    @property
    def busy(self) -> bool:
        """Whether the last observation showed a lease that may be a pull, or left image writes unexplained."""
        return bool(self._readers) or self._inferred_pulls.pending

    @property
    def urgent(self) -> bool:
        """Whether some lease has not shown its image yet, or image writes are unexplained."""
        return self._inferred_pulls.pending or any(not reader.settled for reader in self._readers.values())

    def observe(
        self,
        client: Client,
        daemon: Daemon,
        ignored: Iterable[str],
        written: Iterable[ImageWrite] = (),
        *,
        reconnected: bool,
        late: Callable[[], Iterable[ImageWrite]] = tuple,
    ) -> Observation:
        """Read the node once. Raises ContainerdError when any call fails; then nothing counts as seen.

        `written` are the image records that were written since the last time. `late` waits a moment for more of them.

        While there is no pull, this is one cheap call. Ingests are read before a lease's resources, so that a blob
        that is committed in between shows as complete, and is never missing in both.
        """
        self._inferred_pulls.hear(written)  # first of all: they are told once, even if a call fails
        began = self._wall()
        listed = client.leases()
        now = self._wall()
        if reconnected:
            self._looks = PollHistory()
            for reader in self._readers.values():
                reader.expect_change()
        ignored = frozenset(ignored)
        watched = {lease_id: created for lease_id, created in listed.items() if lease_id not in ignored}
        gone = [reader for lease_id, reader in self._readers.items() if lease_id not in listed]
        others = tuple(Lease(lease_id, created) for lease_id, created in listed.items() if lease_id in ignored)
        if watched or gone or self._inferred_pulls.pending:
            reading = Reading(client, daemon.version, now, client.ingests(), self._snapshotter, late)
            readers, observation = self._examine(reading, daemon, watched, gone)
        else:
            readers, observation = {}, Observation(daemon)
        self._readers = readers
        self._looks.add(began, now)
        return replace(observation, leases=(*observation.leases, *others), reconnected=reconnected)

    def _examine(
        self, reading: Reading, daemon: Daemon, watched: dict[str, NodeTime], gone: list[LeaseReader]
    ) -> tuple[dict[str, LeaseReader], Observation]:
        readers = self._read(reading, watched)
        self._identify(reading, gone, frozenset(root for reader in (*readers.values(), *gone) for root in reader.roots))
        images = self._close(reading, gone)
        self._inferred_pulls.follow(readers.values(), reading.now)
        # A lease that was gone before it could be read may have written a record: the next poll knows.
        vanished = any(reader.vanished for reader in readers.values())
        inferred = [] if vanished else self._inferred_pulls.find(reading, self._looks)
        images |= {root: reading.client.images(root) for reader in readers.values() for root in reader.unnamed_roots}
        images |= {pull.root: pull.records for pull in inferred}
        everyone = (*readers.values(), *gone, *(pull.reader for pull in inferred))
        return readers, Observation(
            daemon,
            leases=tuple(reader.lease() for reader in readers.values()),
            ended=tuple(reader.lease() for reader in gone),
            inferred=tuple(pull.reader.lease() for pull in inferred),
            ingests=reading.ingests,
            documents=_merged(reader.documents for reader in everyone),
            diff_ids=_merged(reader.diff_ids for reader in everyone),
            images=images,
            remote_snapshotters=self.remote_snapshotters,
        )

    def _identify(self, reading: Reading, gone: list[LeaseReader], known: frozenset[str]) -> None:
        """Find the images of leases that are gone and were never seen to hold an image's root."""
        last = self._looks.last
        adopted: frozenset[str] = frozenset()
        for reader in gone:
            reader.look_back(reading.client)
            if reader.rootless or (reader.empty and last - reader.created_at > PATIENCE_SECONDS):
                self._inferred_pulls.identify(reading, reader, known | adopted)
                if not reader.roots:  # two requests may have been for one image
                    self._inferred_pulls.identify(reading, reader, known)
                adopted |= frozenset(reader.roots)
            elif reader.empty:
                self._looks.forget(reader.created_at)

    def _read(self, reading: Reading, watched: dict[str, NodeTime]) -> dict[str, LeaseReader]:
        readers = {}
        for lease_id, created_at in watched.items():
            reader = self._readers.get(lease_id) or LeaseReader(lease_id, created_at, self._documents)
            readers[lease_id] = reader
            if watched.keys() == self._readers.keys() and not reader.may_have_changed(reading.ingests):
                reader.see(reading.now)
                continue
            resources = reading.client.resources(lease_id)
            if resources is None:
                reader.vanished = True  # it went after the leases were listed: the next poll sees it as ended
                continue
            reader.see(reading.now)
            self._snapshotter = reading.snapshotter = next(iter(resources.snapshots), reading.snapshotter)
            reader.read(reading, resources)
        return readers

    def _close(self, reading: Reading, gone: list[LeaseReader]) -> dict[str, tuple[ImageRecord, ...]]:
        images: dict[str, tuple[ImageRecord, ...]] = {}
        for reader in gone:
            for root in reader.roots:
                if root not in images:
                    images[root] = reading.client.images(root)
            records = [record for root in reader.roots for record in images[root]]
            written = [record for record in records if reader.has_written(record, reading.now)]
            if not written:
                written = self._removed_records(reading, reader)
                for record in written:
                    images[record.root] += (record,)
            self._inferred_pulls.name_source(reader, reading.now)
            reader.close(reading, self._inferred_pulls.first_write(written, reader, reading.now))
            self._inferred_pulls.end(reader, written, reading)
        return images

    def _removed_records(self, reading: Reading, reader: LeaseReader) -> list[ImageRecord]:
        """The records that events tell of, for a pull whose record is gone. Events can come after the lease's end."""
        written = self._inferred_pulls.removed_records(reading, reader)
        for _ in range(MAX_LATE if reader.roots else 0):
            if written or not (late := tuple(reading.late())):
                break
            self._inferred_pulls.hear(late)
            written = self._inferred_pulls.removed_records(reading, reader)
        return written


def _merged(mappings: Iterable[dict[str, T]]) -> dict[str, T]:
    merged: dict[str, T] = {}
    for mapping in mappings:
        merged.update(mapping)
    return merged
