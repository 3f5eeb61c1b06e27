"""Calls to containerd as plain functions: messages in, values out, every failure a `ContainerdError`."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from google.protobuf.empty_pb2 import Empty
from google.protobuf.timestamp_pb2 import Timestamp

from pulltrace.clock import NodeTime
from pulltrace_exporter.containerd.api import (
    content_pb2,
    events_pb2,
    images_pb2,
    introspection_pb2,
    leases_pb2,
    namespaces_pb2,
    snapshots_pb2,
    version_pb2,
)
from pulltrace_exporter.containerd.grpc_client.channel import CallFailed, Channel, Message, Metadata, Method
from pulltrace_exporter.containerd.quirks import (
    CHILD_LABEL,
    EXTRACT_PREFIX,
    LAZY_LABELS,
    LOCAL_SNAPSHOTTERS,
    PULL_LEASE_FILTER,
    SNAPSHOT_LABEL,
    SNAPSHOTS_RESOURCE,
    SNAPSHOTTER_PLUGINS,
    SOURCE_LABEL,
)
from pulltrace_exporter.errors import ContainerdError
from pulltrace_exporter.model.observation import BlobInfo, ImageRecord, Ingest, Snapshots, SnapshotStat

CALL_TIMEOUT_SECONDS = 5.0

_SERVICES: Final = "containerd.services"
VERSION: Final = Method(f"{_SERVICES}.version.v1.Version/Version", version_pb2.VersionResponse)
LIST_LEASES: Final = Method(f"{_SERVICES}.leases.v1.Leases/List", leases_pb2.ListResponse)
LIST_RESOURCES: Final = Method(f"{_SERVICES}.leases.v1.Leases/ListResources", leases_pb2.ListResourcesResponse)
LIST_STATUSES: Final = Method(f"{_SERVICES}.content.v1.Content/ListStatuses", content_pb2.ListStatusesResponse)
INFO: Final = Method(f"{_SERVICES}.content.v1.Content/Info", content_pb2.InfoResponse)
READ: Final = Method(f"{_SERVICES}.content.v1.Content/Read", content_pb2.ReadContentResponse)
STAT_SNAPSHOT: Final = Method(f"{_SERVICES}.snapshots.v1.Snapshots/Stat", snapshots_pb2.StatSnapshotResponse)
LIST_IMAGES: Final = Method(f"{_SERVICES}.images.v1.Images/List", images_pb2.ListImagesResponse)
LIST_NAMESPACES: Final = Method(f"{_SERVICES}.namespaces.v1.Namespaces/List", namespaces_pb2.ListNamespacesResponse)
LIST_PLUGINS: Final = Method(f"{_SERVICES}.introspection.v1.Introspection/Plugins", introspection_pb2.PluginsResponse)
SUBSCRIBE: Final = Method(f"{_SERVICES}.events.v1.Events/Subscribe", events_pb2.Envelope)
METHODS: Final[tuple[Method[Any], ...]] = (
    *(VERSION, LIST_LEASES, LIST_RESOURCES, LIST_STATUSES, INFO, READ),
    *(STAT_SNAPSHOT, LIST_IMAGES, LIST_NAMESPACES, LIST_PLUGINS, SUBSCRIBE),
)
"""All that are ever called, and none of them writes."""

Answer = TypeVar("Answer", bound=Message)


class Resources:
    """What belongs to a lease: digests in the store, digests being downloaded, snapshots by snapshotter."""

    __slots__ = ("contents", "ingests", "snapshots")

    def __init__(self, contents: frozenset[str], ingests: frozenset[str], snapshots: dict[str, Snapshots]) -> None:
        self.contents = contents
        self.ingests = ingests
        self.snapshots = snapshots


class Client:
    """One connection to one namespace of containerd. It makes reading calls only.

    Every method raises `ContainerdError` with the call and the gRPC status code when it fails.
    """

    def __init__(self, socket: Path, namespace: str) -> None:
        self._socket = socket
        self._channel = Channel(socket)
        self._metadata = _metadata(namespace)
        self._namespace = namespace

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection. Not while another thread makes a call."""
        self._channel.close()

    def cancel(self) -> None:
        """Let the call that another thread makes fail at once, and every later one."""
        self._channel.interrupt()

    def version(self) -> str:
        """The version as containerd says it; empty when it does not."""
        answer = self._find(VERSION, Empty(), absent=("UNIMPLEMENTED",))
        return "" if answer is None else str(answer.version)

    def remote_snapshotters(self) -> frozenset[str]:
        """The snapshotters that are loaded and may bring layers themselves; none when containerd does not tell."""
        request = introspection_pb2.PluginsRequest(filters=[SNAPSHOTTER_PLUGINS])
        answer = self._find(LIST_PLUGINS, request, absent=("UNIMPLEMENTED",))
        loaded = () if answer is None else answer.plugins
        return frozenset(plugin.id for plugin in loaded) - LOCAL_SNAPSHOTTERS

    def leases(self) -> dict[str, NodeTime]:
        """The leases that may be pulls: their start (Unix time) by their id."""
        request = leases_pb2.ListRequest(filters=[PULL_LEASE_FILTER])
        answer = self._call(LIST_LEASES, request)
        return {lease.id: seconds(lease.created_at) for lease in answer.leases}

    def resources(self, lease: str) -> Resources | None:
        """What belongs to a lease; None when it is gone."""
        request = leases_pb2.ListResourcesRequest(id=lease)
        answer = self._find(LIST_RESOURCES, request)
        return None if answer is None else _sort_resources(answer.resources)

    def ingests(self) -> dict[str, Ingest]:
        """All blobs being written, by digest. Opens files: ask only while there is a pull."""
        answer = self._call(LIST_STATUSES, content_pb2.ListStatusesRequest())
        ingests = {}
        for status in answer.statuses:
            digest = digest_of_ref(status.ref)
            if digest:
                ingests[digest] = Ingest(digest, status.offset, seconds(status.started_at), seconds(status.updated_at))
        return ingests

    def content(self, digest: str) -> BlobInfo | None:
        """A blob of the store; None when it is not there."""
        answer = self._find(INFO, content_pb2.InfoRequest(digest=digest))
        return None if answer is None else _content(digest, answer.info)

    def contents(self, digests: Sequence[str], namespace: str = "") -> dict[str, BlobInfo | None]:
        """Blobs of the store, None for each that is not there; of another namespace's store when one is given.

        They are asked for together, which costs both sides a third of what one after another does.
        """
        metadata = _metadata(namespace) if namespace else self._metadata
        requests = [content_pb2.InfoRequest(digest=digest) for digest in digests]
        try:
            answers = self._channel.calls(INFO, requests, metadata, CALL_TIMEOUT_SECONDS)
        except CallFailed as failed:
            raise _translate(INFO, failed) from failed
        return {digest: _info(digest, answer) for digest, answer in zip(digests, answers, strict=True)}

    def other_namespaces(self) -> list[str]:
        """The namespaces of this containerd but for the one that is read; none when it does not tell."""
        request = namespaces_pb2.ListNamespacesRequest()
        answer = self._find(LIST_NAMESPACES, request, absent=("UNIMPLEMENTED",))
        names = [] if answer is None else [namespace.name for namespace in answer.namespaces]
        return [name for name in names if name != self._namespace]

    def read(self, digest: str, limit: int) -> bytes | None:
        """The first `limit` bytes of a blob; None when it is not there."""
        request = content_pb2.ReadContentRequest(digest=digest, size=limit)
        try:
            parts = self._channel.stream(READ, request, self._metadata, CALL_TIMEOUT_SECONDS)
            return b"".join(part.data for part in parts)
        except CallFailed as failed:
            if failed.code == "NOT_FOUND":
                return None
            raise _translate(READ, failed) from failed

    def snapshot(self, snapshotter: str, chain_id: str) -> SnapshotStat:
        """Whether the snapshot of a chain ID is committed in a snapshotter, and since when.

        A snapshotter that is a program of its own may be down: then nobody knows, and it counts as not committed.
        """
        request = snapshots_pb2.StatSnapshotRequest(snapshotter=snapshotter, key=chain_id)
        local = snapshotter in LOCAL_SNAPSHOTTERS
        absent = ("NOT_FOUND", "INVALID_ARGUMENT", "UNIMPLEMENTED", *(() if local else ("UNAVAILABLE",)))
        answer = self._find(STAT_SNAPSHOT, request, absent)
        if answer is None or answer.info.kind != snapshots_pb2.COMMITTED:
            return SnapshotStat(snapshotter, None, local)
        lazy = not local and not LAZY_LABELS.isdisjoint(answer.info.labels)
        return SnapshotStat(snapshotter, seconds(answer.info.created_at), local, lazy)

    def images(self, root: str) -> tuple[ImageRecord, ...]:
        """The image records whose target is a root digest."""
        records = self._images_where(f"target.digest=={root}")
        return tuple(record for record in records if record.root == root)

    def image(self, name: str) -> ImageRecord | None:
        """The image record of a name; None when there is none."""
        quoted = name.replace("\\", r"\\").replace('"', r"\"")
        return next(iter(self._images_where(f'name=="{quoted}"')), None)

    def images_since(self, moment: float) -> list[ImageRecord]:
        """The image records written since a moment, Unix time. Reads all there are: ask seldom."""
        return [record for record in self._images_where() if record.updated_at >= moment]

    def _images_where(self, *conditions: str) -> tuple[ImageRecord, ...]:
        request = images_pb2.ListImagesRequest(filters=conditions)
        answer = self._call(LIST_IMAGES, request)
        return tuple(ImageRecord(image.name, seconds(image.updated_at), image.target.digest) for image in answer.images)

    def subscribe(self, filters: Iterable[str]) -> "Subscription":
        """The events of this namespace that pass one of the filters, on a connection of their own."""
        request = events_pb2.SubscribeRequest(filters=[f'namespace=="{self._namespace}",{each}' for each in filters])
        return Subscription(Channel(self._socket), request, self._metadata)

    def _call(self, method: Method[Answer], request: Message) -> Answer:
        try:
            return self._channel.call(method, request, self._metadata, CALL_TIMEOUT_SECONDS)
        except CallFailed as failed:
            raise _translate(method, failed) from failed

    def _find(
        self, method: Method[Answer], request: Message, absent: tuple[str, ...] = ("NOT_FOUND",)
    ) -> Answer | None:
        try:
            return self._call(method, request)
        except ContainerdError as error:
            if error.code in absent:
                return None
            raise


class Subscription:
    """A stream of events that one thread iterates and another one cancels."""

    def __init__(self, channel: Channel, request: events_pb2.SubscribeRequest, metadata: Metadata) -> None:
        self._channel = channel
        self._request = request
        self._metadata = metadata

    def __iter__(self) -> Iterator[events_pb2.Envelope]:
        """Raises ContainerdError when the stream breaks or is cancelled."""
        try:
            yield from self._channel.stream(SUBSCRIBE, self._request, self._metadata, None)
        except CallFailed as failed:
            raise _translate(SUBSCRIBE, failed) from failed
        finally:
            self._channel.close()

    def cancel(self) -> None:
        """End it; whoever iterates it is told at once."""
        self._channel.interrupt()


def digest_of_ref(ref: str) -> str:
    """The digest in an ingest's ref (`layer-sha256:…`, `manifest-sha256:…`); empty for a ref of another kind."""
    _, separator, digest = ref.partition("-")
    return digest if separator and ":" in digest else ""


def seconds(timestamp: Timestamp) -> NodeTime:
    """Unix time."""
    return NodeTime(timestamp.seconds + timestamp.nanos / 1e9)


def _metadata(namespace: str) -> Metadata:
    return (("containerd-namespace", namespace),)


def _info(digest: str, answer: content_pb2.InfoResponse | CallFailed) -> BlobInfo | None:
    if isinstance(answer, CallFailed):
        if answer.code == "NOT_FOUND":
            return None
        raise _translate(INFO, answer) from answer
    return _content(digest, answer.info)


def _content(digest: str, info: content_pb2.Info) -> BlobInfo:
    """The blob that was asked for, whatever digest the answer has."""
    return BlobInfo(
        digest,
        info.size,
        seconds(info.created_at),
        tuple(_sources(info.labels)),
        frozenset(value for name, value in info.labels.items() if name.startswith(CHILD_LABEL)),
        min((name.removeprefix(SNAPSHOT_LABEL) for name in info.labels if name.startswith(SNAPSHOT_LABEL)), default=""),
    )


def _sort_resources(resources: Iterable[leases_pb2.Resource]) -> Resources:
    contents, ingests = set(), set()
    committed: dict[str, set[str]] = {}
    extracting: dict[str, set[str]] = {}
    for resource in resources:
        kind, name = resource.type, resource.id  # each look at a field makes a new text
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


def _translate(method: Method[Answer], failed: CallFailed) -> ContainerdError:
    return ContainerdError(method.name.rpartition(".")[2], failed.code, failed.details)
