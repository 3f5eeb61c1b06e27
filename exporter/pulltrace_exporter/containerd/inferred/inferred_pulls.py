"""Pulls that ended before a poll saw their lease. Only the image record tells of them, which their success wrote.

A pull of what is already there takes some 30 ms, and with `imagePullPolicy: Always` each container's start makes one.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from pulltrace.model.reference import Reference
from pulltrace_exporter.containerd.client import Client
from pulltrace_exporter.containerd.inferred.cri_image_writes import CriImageWrites, ImageWrite
from pulltrace_exporter.containerd.inferred.lease_image_match import LeaseImageMatch
from pulltrace_exporter.containerd.inferred.poll_history import PollHistory
from pulltrace_exporter.containerd.inferred.removed_records import DIGEST_NAME_SECONDS, REMEMBERED, RemovedRecords
from pulltrace_exporter.containerd.lease_reader import LeaseReader
from pulltrace_exporter.containerd.manifest_cache import ManifestCache
from pulltrace_exporter.containerd.quirks import converts_schema_1, is_converted, rewrites_records
from pulltrace_exporter.containerd.reading import Reading
from pulltrace_exporter.model.observation import BlobInfo, ImageRecord

MOST_AT_ONCE = 50
"""How many are checked at one poll; the next one follows soon. Each takes a call for each of its layers."""

UNKNOWN = frozenset(("",))
"""The children of an index or a manifest of which only the digest is known."""

SHUFFLED_SECONDS = 2.0
"""Where CRI writes names again, a pull's own write may come so long after the one that CRI adds for another pull of the
same name."""


class InferredPull(NamedTuple):
    """A pull that no poll saw: what its lease would have held, its root, and the root's records."""

    reader: LeaseReader
    root: str
    records: tuple[ImageRecord, ...]


class InferredPulls:
    """Finds the records that no pull explains that a poll has seen. An unseen pull has written them."""

    def __init__(self, documents: ManifestCache) -> None:
        self._documents = documents
        self._lease_match = LeaseImageMatch()
        self._cri_writes = CriImageWrites()
        self._written: OrderedDict[str, float] = OrderedDict()
        """By name and by root: until when what was written is accounted for."""
        self._not_unpacked: OrderedDict[str, float] = OrderedDict()
        """By root: until when what was written of it led to no success."""
        self._heard: tuple[ImageWrite, ...] = ()
        self._removed = RemovedRecords()
        self._unseen: tuple[tuple[ImageWrite, ImageRecord], ...] = ()

    @property
    def pending(self) -> bool:
        """Whether some write is not explained yet."""
        return bool(self._heard or self._unseen)

    def hear(self, writes: Iterable[ImageWrite]) -> None:
        """These records were written."""
        new = sorted(writes, key=lambda write: write.at)
        self._removed.hear(new)
        self._heard = tuple(sorted((*self._heard, *new), key=lambda write: write.at))

    def follow(self, running: Iterable[LeaseReader], now: float) -> None:
        """These pulls are under way."""
        self._lease_match.follow(running, now)

    def end(self, reader: LeaseReader, records: Iterable[ImageRecord], reading: Reading) -> None:
        """A pull that was seen is over; `records` are those of its image that were written since it began."""
        written = sorted(records, key=lambda record: record.updated_at)
        self._lease_match.end(reader, reading.now, succeeded=bool(written))
        if reader.unpacked is False:
            self._fail(written, reading.now)
            return
        for record in written:
            # For word of the pull's own record may have come too early to be heard.
            if Reference.find(record.name) and not rewrites_records(reading.version):
                self._cri_writes.expect_digest(record.name, record.root, record.updated_at)

    def removed_records(self, reading: Reading, reader: LeaseReader) -> list[ImageRecord]:
        """Records that the reader's pull has written, as containerd announced them, and that were removed since.

        The first record of another image of the same repository may be among them: nothing tells the two apart.
        """
        contents = reader.lease().contents
        return [
            record
            for root in reader.roots
            for record in self._removed.of_root(root)
            if reader.has_written(record, reading.now)
            and _may_name(reading.client, record.name, root, contents.get(root))
        ]

    def name_source(self, reader: LeaseReader, now: float) -> None:
        """Say where a root comes from that was removed before it was seen with its label: CRI has named it."""
        contents = reader.lease().contents
        for root in reader.removed.intersection(reader.roots):
            info = contents[root]
            if info is None or info.sources:
                continue
            reference = self._removed.pulled_as(root, lambda record: reader.has_written(record, now))
            if reference is not None:
                reader.adopt(replace(info, sources=(reference.source,)))

    def first_write(self, records: Iterable[ImageRecord], reader: LeaseReader, now: float) -> float | None:
        """When the first of these records was written since the reader's pull began; None when there are none.

        A later pull may have written a record again.
        """
        names = {record.name for record in records}
        heard = (write for root in reader.roots for write in self._removed.of_root(root) if write.name in names)
        return min((each.updated_at for each in (*records, *heard) if reader.has_written(each, now)), default=None)

    def find(self, reading: Reading, looks: PollHistory) -> list[InferredPull]:
        """The pulls that nobody saw, by what was heard of, the first of them. None of `looks` showed them."""
        self._sort(reading)
        found = []
        for write, record in self._unseen[:MOST_AT_ONCE]:
            reader = self._read(reading, write, record, looks.before(write.at))
            if reader is not None:
                records = reading.client.images(record.root)
                known = any(each.name == record.name for each in records)
                found.append(InferredPull(reader, record.root, records if known else (*records, record)))
        self._unseen = self._unseen[MOST_AT_ONCE:]
        return found

    def identify(self, reading: Reading, reader: LeaseReader, known: frozenset[str]) -> None:
        """Tell a lease that went before it was seen to hold a root what it was for: its success wrote a record.

        The first success since it was last seen without one is the likeliest, but for those of `known` roots. A lease
        that holds layers without a root pulled an image whose root containerd made itself.
        """
        records = reading.client.images_since(reader.seen_at)
        for record in sorted(records, key=lambda record: record.updated_at):
            if Reference.find(record.name) and record.root not in known and not self._is_accounted(record):
                root = self._pulled_root(reading, record)
                if root is not None and not (reader.rootless and root.sources):
                    reader.adopt(root)
                    return

    def _pulled_root(self, reading: Reading, record: ImageRecord) -> BlobInfo | None:
        """The root of an image; None for one that was not pulled from the repository it is named after."""
        client = reading.client
        root = client.content(record.root)
        reference = Reference.parse(record.name)
        if root is None and client.image(record.name) is None:
            # It has been removed. What CRI wrote of it says that it was pulled, and what it was.
            return BlobInfo(record.root, 0, record.updated_at, (reference.source,), UNKNOWN)
        if root is None or reference.source in root.sources:
            return root
        if root.sources or not converts_schema_1(reading.version):
            return None
        document = self._documents.document(client, root.digest, root.size)
        return root if document is not None and is_converted(document) else None

    def _sort(self, reading: Reading) -> None:
        """Keep of what was heard of the writes of pulls that nobody saw. Nothing is lost when a call fails."""
        records: dict[str, ImageRecord | None] = {}
        early: tuple[ImageWrite, ...] = ()
        while len(self._heard) > len(early):
            write, *others = self._heard[len(early) :]
            # CRI names each image by the digest of its config too.
            if Reference.find(write.name) and not self._cri_writes.hear(write):
                if write.name not in records:
                    records[write.name] = reading.client.image(write.name)
                present = records[write.name]
                record = present or self._removed.find(write)
                if record is not None:
                    self._removed.remember(record)
                    self._explain(write, record, reading, removed=present is None)
                elif write.managed and 0 <= reading.now - write.at < DIGEST_NAME_SECONDS:
                    early += (write,)
            self._account(write.name, write.at)
            self._heard = (*early, *others)

    def _explain(self, write: ImageWrite, record: ImageRecord, reading: Reading, *, removed: bool) -> None:
        rewriting = rewrites_records(reading.version)
        if not write.managed or write.at > self._not_unpacked.get(record.root, 0.0):
            self._cri_writes.expect(write, record.root, rewriting=rewriting)
        if removed and not write.managed:
            return  # it may have been an import
        if not self._lease_match.claim(record.root, write.at, reading.now, SHUFFLED_SECONDS if rewriting else 0.0):
            self._unseen += ((write, record),)
            return
        self._account(record.root, write.at)

    def _fail(self, written: Iterable[ImageRecord], at: float) -> None:
        """What was pulled was not unpacked, after these records were written: CRI adds no further name."""
        for record in written:
            _remember(self._not_unpacked, record.root, at)
            if Reference.find(record.name):
                self._cri_writes.cancel(record.name, record.root)

    def _account(self, key: str, at: float) -> None:
        _remember(self._written, key, at)

    def _is_accounted(self, record: ImageRecord) -> bool:
        told = self._cri_writes.due(record.name) or self._lease_match.awaits(record.root)
        return told or record.updated_at <= self._written.get(record.name, 0.0)

    def _read(self, reading: Reading, write: ImageWrite, record: ImageRecord, since: float) -> LeaseReader | None:
        """What the pull would have held; None for an image that was not pulled."""
        root = self._pulled_root(reading, record)
        if root is None:
            return None
        # It was written a moment before that was announced, and may have been written again since.
        end = min(write.at, record.updated_at)
        reader = LeaseReader(f"inferred {write.name} {write.at}", end, self._documents)
        reader.recall(reading, root, max(self._written.get(record.root, 0.0), since))
        self._account(record.root, write.at)
        if reader.unpacked is False:
            self._fail([record], write.at)
        return reader


def _may_name(client: Client, name: str, root: str, info: BlobInfo | None) -> bool:
    """Whether a name may have been written for a root, by what can still be known of both."""
    reference = Reference.find(name)
    if reference is None:
        return False
    present = client.image(name)
    if present is not None:  # removed, and written again since
        return present.root == root
    if reference.digest is not None:
        return reference.digest == root
    return info is not None and reference.source in info.sources


def _remember(times: OrderedDict[str, float], key: str, at: float) -> None:
    times[key] = max(at, times.pop(key, at))
    if len(times) > REMEMBERED:
        times.popitem(last=False)
