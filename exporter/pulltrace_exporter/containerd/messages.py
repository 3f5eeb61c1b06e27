"""containerd's messages as values of the model."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from pulltrace.clock import NodeTime
from pulltrace_exporter.containerd.api import content_pb2, images_pb2, leases_pb2
from pulltrace_exporter.containerd.quirks import (
    CHILD_LABEL,
    EXTRACT_PREFIX,
    SNAPSHOT_LABEL,
    SNAPSHOTS_RESOURCE,
    SOURCE_LABEL,
)
from pulltrace_exporter.model.observation import BlobInfo, ImageRecord, Ingest, Snapshots


class Resources(NamedTuple):
    """What belongs to a lease: digests in the store, digests being downloaded, snapshots by snapshotter."""

    contents: frozenset[str]
    ingests: frozenset[str]
    snapshots: dict[str, Snapshots]


def digest_of_ref(ref: str) -> str:
    """The digest in an ingest's ref (`layer-sha256:…`, `manifest-sha256:…`); empty for a ref of another kind."""
    _, separator, digest = ref.partition("-")
    return digest if separator and ":" in digest else ""


def seconds(timestamp: Timestamp) -> NodeTime:
    """A timestamp as Unix time."""
    return NodeTime(timestamp.seconds + timestamp.nanos / 1e9)


def blob_info(digest: str, info: content_pb2.Info) -> BlobInfo:
    """The blob with the digest that was asked for; the one in the answer is not used."""
    return BlobInfo(
        digest,
        info.size,
        seconds(info.created_at),
        tuple(_sources(info.labels)),
        frozenset(value for name, value in info.labels.items() if name.startswith(CHILD_LABEL)),
        min((name.removeprefix(SNAPSHOT_LABEL) for name in info.labels if name.startswith(SNAPSHOT_LABEL)), default=""),
    )


def sort_resources(resources: Iterable[leases_pb2.Resource]) -> Resources:
    """What belongs to a lease, by kind."""
    contents, ingests = set(), set()
    committed: dict[str, set[str]] = {}
    extracting: dict[str, set[str]] = {}
    for resource in resources:
        kind, name = resource.type, resource.id  # each access to a field of a message makes a new str
        if kind == "content":
            contents.add(name)
        elif kind == "ingests":
            ingests.add(digest_of_ref(name))
        elif kind.startswith(SNAPSHOTS_RESOURCE):
            chains = extracting if name.startswith(EXTRACT_PREFIX) else committed
            chains.setdefault(kind, set()).add(name.rpartition(" ")[2])
    snapshots = {
        kind.removeprefix(SNAPSHOTS_RESOURCE): Snapshots(
            frozenset(committed.get(kind, ())), frozenset(extracting.get(kind, ()))
        )
        for kind in committed.keys() | extracting.keys()
    }
    return Resources(frozenset(contents), frozenset(ingests - {""}), snapshots)


def _sources(labels: Any) -> Iterable[tuple[str, str]]:
    """The (registry host, repository) pairs of a blob's source labels, each label a comma-separated list."""
    for name in sorted(labels):
        if name.startswith(SOURCE_LABEL):
            host = name.removeprefix(SOURCE_LABEL)
            yield from ((host, repository) for repository in labels[name].split(",") if repository)


def image_records(answer: images_pb2.ListImagesResponse) -> tuple[ImageRecord, ...]:
    """All image records of an answer."""
    return tuple(ImageRecord(image.name, seconds(image.updated_at), image.target.digest) for image in answer.images)


class IngestReader:
    """Reads ingests. It parses only the statuses that have changed since the last call."""

    def __init__(self) -> None:
        self._known: dict[bytes, Ingest | None] = {}

    def by_digest(self, answer: content_pb2.ListStatusesResponse) -> dict[str, Ingest]:
        """All blobs being written whose ref has a digest; raises google.protobuf.message.DecodeError."""
        before, self._known = self._known, {}
        for status in answer.statuses:
            self._known[status] = before[status] if status in before else _ingest(status)
        return {ingest.digest: ingest for ingest in self._known.values() if ingest is not None}


def _ingest(data: bytes) -> Ingest | None:
    status = content_pb2.Status.FromString(data)
    digest = digest_of_ref(status.ref)
    if not digest:
        return None
    return Ingest(digest, status.offset, seconds(status.started_at), seconds(status.updated_at))
