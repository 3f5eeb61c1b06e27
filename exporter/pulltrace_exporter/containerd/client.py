"""Calls to containerd as plain functions: messages in, values out, every failure a `ContainerdError`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError

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
from pulltrace_exporter.containerd.messages import (
    IngestReader,
    Resources,
    blob_info,
    image_records,
    seconds,
    sort_resources,
)
from pulltrace_exporter.containerd.quirks import (
    LAZY_LABELS,
    LOCAL_SNAPSHOTTERS,
    PULL_LEASE_FILTER,
    SNAPSHOTTER_PLUGINS,
)
from pulltrace_exporter.errors import ContainerdError
from pulltrace_exporter.model.observation import BlobInfo, ImageRecord, Ingest, SnapshotStat

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
"""All methods that are ever called. None of them writes."""

Answer = TypeVar("Answer", bound=Message)


class Client:
    """One connection to one namespace of containerd. It makes reading calls only.

    Every method raises `ContainerdError` with the call and the gRPC status code when it fails.
    """

    def __init__(self, socket: Path, namespace: str) -> None:
        self._socket = socket
        self._channel = Channel(socket)
        self._metadata = _metadata(namespace)
        self._namespace = namespace
        self._ingests = IngestReader()

    def close(self) -> None:
        """End the connection. Must not be called while another thread makes a call."""
        self._channel.close()

    @property
    def usable(self) -> bool:
        """Whether further calls can be made: a call that got an answer leaves the connection as it was."""
        return self._channel.usable

    def cancel(self) -> None:
        """Make the call of another thread fail at once, and every later call."""
        self._channel.interrupt()

    def version(self) -> str:
        """The version that containerd reports; empty when it reports none."""
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
        return None if answer is None else sort_resources(answer.resources)

    def ingests(self) -> dict[str, Ingest]:
        """All blobs being written, by digest. containerd opens files for it: call it only while there is a pull."""
        answer = self._call(LIST_STATUSES, content_pb2.ListStatusesRequest())
        try:
            return self._ingests.by_digest(answer)
        except DecodeError as error:
            raise _translate(LIST_STATUSES, CallFailed("INTERNAL", "a status cannot be read")) from error

    def content(self, digest: str) -> BlobInfo | None:
        """A blob of the store; None when it is not there."""
        answer = self._find(INFO, content_pb2.InfoRequest(digest=digest))
        return None if answer is None else blob_info(digest, answer.info)

    def contents(self, digests: Sequence[str], namespace: str = "") -> dict[str, BlobInfo | None]:
        """Blobs of the store, None for each that is not there; of another namespace's store when one is given.

        The requests are sent together, which costs both sides a third of what single calls do.
        """
        metadata = _metadata(namespace) if namespace else self._metadata
        requests = [content_pb2.InfoRequest(digest=digest) for digest in digests]
        try:
            answers = self._channel.calls(INFO, requests, metadata, CALL_TIMEOUT_SECONDS)
        except CallFailed as failed:
            raise _translate(INFO, failed) from failed
        return {digest: _info(digest, answer) for digest, answer in zip(digests, answers, strict=True)}

    def other_namespaces(self) -> list[str]:
        """The namespaces of this containerd except the one that is read; none when it does not tell."""
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

        A snapshotter that is a program of its own may be down. Then the snapshot counts as not committed.
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
        """The image records written since a moment, Unix time. Reads all records, so call it seldom."""
        return [record for record in self._images_where() if record.updated_at >= moment]

    def _images_where(self, *conditions: str) -> tuple[ImageRecord, ...]:
        request = images_pb2.ListImagesRequest(filters=conditions)
        return image_records(self._call(LIST_IMAGES, request))

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
        """End the stream; the thread that iterates it gets an error at once."""
        self._channel.interrupt()


def blobs_of_other_namespaces(
    client: Client, found: Mapping[str, BlobInfo | None], created_at: float
) -> dict[str, BlobInfo]:
    """The blobs that this namespace did not have before `created_at` (Unix time), but another one did.

    containerd adds such a blob to this namespace at once, without fetching it.
    """
    wanted = [digest for digest, blob in found.items() if blob is None or blob.created_at >= created_at]
    elsewhere = (client.contents(wanted, namespace) for namespace in (client.other_namespaces() if wanted else ()))
    return {
        digest: blob
        for blobs in elsewhere
        for digest, blob in blobs.items()
        if blob is not None and blob.created_at < created_at
    }


def _metadata(namespace: str) -> Metadata:
    return (("containerd-namespace", namespace),)


def _info(digest: str, answer: content_pb2.InfoResponse | CallFailed) -> BlobInfo | None:
    if isinstance(answer, CallFailed):
        if answer.code == "NOT_FOUND":
            return None
        raise _translate(INFO, answer) from answer
    return blob_info(digest, answer.info)


def _translate(method: Method[Answer], failed: CallFailed) -> ContainerdError:
    return ContainerdError(method.name.rpartition(".")[2], failed.code, failed.details)
