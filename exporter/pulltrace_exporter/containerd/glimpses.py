"""Pulls that were over before anybody looked: known from the image record alone, which their success wrote.

A pull of what is already there takes some 30 ms, and with `imagePullPolicy: Always` each container's start makes one.
"""

from collections import OrderedDict
from collections.abc import Iterable

from pulltrace.reference import InvalidReference, Reference
from pulltrace_exporter.containerd.client import Client
from pulltrace_exporter.containerd.documents import Documents
from pulltrace_exporter.containerd.looks import Looks
from pulltrace_exporter.containerd.reader import LeaseReader
from pulltrace_exporter.observation import Content, ImageRecord, Ingest

SAME_SUCCESS_SECONDS = 1.0
"""Within this CRI writes further names of the image that it has just pulled, 1.6 the tag once more."""

REMEMBERED_ROOTS = 256


class Glimpses:
    """Tells the records that a pull wrote unseen from those that are explained by a pull that was seen."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._explained: OrderedDict[str, dict[str, float]] = OrderedDict()

    def explain(self, root: str, records: Iterable[ImageRecord]) -> None:
        """A pull of a root was seen to end, having written some of these records."""
        known = self._explained.setdefault(root, {})
        known.update((record.name, record.updated_at) for record in records)
        self._explained.move_to_end(root)
        if len(self._explained) > REMEMBERED_ROOTS:
            self._explained.popitem(last=False)

    def find(
        self,
        client: Client,
        names: Iterable[str],
        running: frozenset[str],
        ingests: dict[str, Ingest],
        snapshotter: str,
        looks: Looks,
    ) -> list[tuple[LeaseReader, ImageRecord]]:
        """The pulls behind the names written, but for those of `running` roots. None of `looks` showed them."""
        found = []
        for name in names:
            record = _record(client, name)
            if record is None or record.root in running or self._is_explained(record):
                continue
            reader = self._read(client, record, ingests, snapshotter, looks.before(record.updated_at))
            self.explain(record.root, [record])
            if reader is not None:
                found.append((reader, record))
        return found

    def identify(self, client: Client, reader: LeaseReader, running: frozenset[str]) -> None:
        """Tell a lease that went before it was seen to hold anything what it was for: its success wrote a record.

        The first success since it was last seen without one is the likeliest.
        """
        records = client.images_since(reader.seen_at)
        for record in sorted(records, key=lambda record: record.updated_at):
            if _is_reference(record.name) and record.root not in running and not self._is_explained(record):
                root = _pulled_root(client, record)
                if root is not None:
                    self.explain(record.root, [record])
                    reader.adopt(root)
                    return

    def _is_explained(self, record: ImageRecord) -> bool:
        # The names that CRI adds are of the same repository: one image from two repositories is two pulls.
        known = self._explained.get(record.root, {})
        wanted = _repository(record.name)
        same = {name: at for name, at in known.items() if _repository(name) == wanted}
        if same and record.name not in same and record.name.endswith(f"@{record.root}"):
            # CRI adds this name once, with a big manifest seconds later; its time says nothing of pulls to come.
            known[record.name] = 0.0
            return True
        return record.updated_at - max(same.values(), default=0.0) < SAME_SUCCESS_SECONDS

    def _read(
        self, client: Client, record: ImageRecord, ingests: dict[str, Ingest], snapshotter: str, since: float
    ) -> LeaseReader | None:
        """What the pull would have held; None for an image that was not pulled."""
        root = _pulled_root(client, record)
        if root is None:
            return None
        reader = LeaseReader(f"glimpse {record.name} {record.updated_at}", record.updated_at, self._documents)
        before = max(self._explained.get(record.root, {}).values(), default=0.0)
        reader.recall(client, root, ingests, snapshotter, max(before, since))
        return reader


def _record(client: Client, name: str) -> ImageRecord | None:
    return client.image(name) if _is_reference(name) else None


def _pulled_root(client: Client, record: ImageRecord) -> Content | None:
    """The root of an image; None for one that did not come from the repository it is named after."""
    root = client.content(record.root)
    reference = Reference.parse(record.name)
    return root if root is not None and (reference.host, reference.repository) in root.sources else None


def _is_reference(name: str) -> bool:
    return _repository(name) is not None


def _repository(name: str) -> tuple[str, str] | None:
    """Registry host and repository of an image's name."""
    try:
        reference = Reference.parse(name)
    except InvalidReference:
        return None  # CRI names each image by the digest of its config too
    return reference.host, reference.repository
