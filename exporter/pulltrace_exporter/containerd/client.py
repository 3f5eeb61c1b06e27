"""Calls to containerd as plain functions: stubs in, values out, every failure a `ContainerdError`."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.timestamp_pb2 import Timestamp
from grpc.experimental import ChannelOptions

from pulltrace.clock import NodeTime
from pulltrace_exporter.containerd.api import (
    content_pb2,
    content_pb2_grpc,
    events_pb2,
    events_pb2_grpc,
    images_pb2,
    images_pb2_grpc,
    introspection_pb2,
    introspection_pb2_grpc,
    leases_pb2,
    leases_pb2_grpc,
    namespaces_pb2,
    namespaces_pb2_grpc,
    snapshots_pb2,
    snapshots_pb2_grpc,
    version_pb2_grpc,
)
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
MAX_CALLS = 100
"""Under way at once: containerd works at all of them."""

_OPTIONS = (
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    # Older containerds refuse the socket path, which would otherwise be the authority.
    ("grpc.default_authority", "localhost"),
    # A ping after each answer would measure a bandwidth that a unix socket does not lack.
    ("grpc.http2.bdp_probe", 0),
    # Else a stream that nothing comes from wakes two threads, one of them in Python ten times a second.
    (ChannelOptions.SingleThreadedUnaryStream, 1),
)

T = TypeVar("T")


class Resources:
    """What belongs to a lease: digests in the store, digests being downloaded, snapshots by snapshotter."""

    __slots__ = ("contents", "ingests", "snapshots")

    def __init__(self, contents: frozenset[str], ingests: frozenset[str], snapshots: dict[str, Snapshots]) -> None:
        self.contents = contents
        self.ingests = ingests
        self.snapshots = snapshots


class Client:
    """One connection to one namespace of containerd. It holds stubs of reading calls only.

    Every method raises `ContainerdError` with the call and the gRPC status code when it fails.
    """

    def __init__(self, socket: Path, namespace: str) -> None:
        self._channel = grpc.insecure_channel(f"unix:{socket}", options=_OPTIONS)
        self._metadata = (("containerd-namespace", namespace),)
        self._namespace = namespace
        self._leases = leases_pb2_grpc.LeasesStub(self._channel)
        self._content = content_pb2_grpc.ContentStub(self._channel)
        self._snapshots = snapshots_pb2_grpc.SnapshotsStub(self._channel)
        self._images = images_pb2_grpc.ImagesStub(self._channel)
        self._events = events_pb2_grpc.EventsStub(self._channel)
        self._namespaces = namespaces_pb2_grpc.NamespacesStub(self._channel)
        self._introspection = introspection_pb2_grpc.IntrospectionStub(self._channel)
        self._version = version_pb2_grpc.VersionStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection, and with it the calls under way."""
        self._channel.close()

    def version(self) -> str:
        """The version as containerd says it; empty when it does not."""
        answer = self._find("Version/Version", self._version.Version, Empty(), absent=("UNIMPLEMENTED",))
        return "" if answer is None else str(answer.version)

    def remote_snapshotters(self) -> frozenset[str]:
        """The snapshotters that are loaded and may bring layers themselves; none when containerd does not tell."""
        request = introspection_pb2.PluginsRequest(filters=[SNAPSHOTTER_PLUGINS])
        name = "Introspection/Plugins"
        answer = self._find(name, self._introspection.Plugins, request, absent=("UNIMPLEMENTED",))
        loaded = () if answer is None else answer.plugins
        return frozenset(plugin.id for plugin in loaded) - LOCAL_SNAPSHOTTERS

    def leases(self) -> dict[str, NodeTime]:
        """The leases that may be pulls: their start (Unix time) by their id."""
        request = leases_pb2.ListRequest(filters=[PULL_LEASE_FILTER])
        answer = self._call("Leases/List", self._leases.List, request)
        return {lease.id: seconds(lease.created_at) for lease in answer.leases}

    def resources(self, lease: str) -> Resources | None:
        """What belongs to a lease; None when it is gone."""
        request = leases_pb2.ListResourcesRequest(id=lease)
        answer = self._find("Leases/ListResources", self._leases.ListResources, request)
        return None if answer is None else _sort_resources(answer.resources)

    def ingests(self) -> dict[str, Ingest]:
        """All blobs being written, by digest. Opens files: ask only while there is a pull."""
        answer = self._call("Content/ListStatuses", self._content.ListStatuses, content_pb2.ListStatusesRequest())
        ingests = {}
        for status in answer.statuses:
            digest = digest_of_ref(status.ref)
            if digest:
                ingests[digest] = Ingest(digest, status.offset, seconds(status.started_at), seconds(status.updated_at))
        return ingests

    def content(self, digest: str) -> BlobInfo | None:
        """A blob of the store; None when it is not there."""
        answer = self._find("Content/Info", self._content.Info, content_pb2.InfoRequest(digest=digest))
        return None if answer is None else _content(digest, answer.info)

    def contents(self, digests: Sequence[str], namespace: str = "") -> dict[str, BlobInfo | None]:
        """Blobs of the store, None for each that is not there; of another namespace's store when one is given.

        They are asked for together, which costs both sides a third of what one after another does.
        """
        metadata = (("containerd-namespace", namespace),) if namespace else self._metadata
        found: dict[str, BlobInfo | None] = {}
        for start in range(0, len(digests), MAX_CALLS):
            requests = [content_pb2.InfoRequest(digest=digest) for digest in digests[start : start + MAX_CALLS]]
            calls = [self._call("Content/Info", self._content.Info.future, request, metadata) for request in requests]
            for request, call in zip(requests, calls, strict=True):
                answer = self._find("Content/Info", _answer_to(call), request)
                found[request.digest] = None if answer is None else _content(request.digest, answer.info)
        return found

    def other_namespaces(self) -> list[str]:
        """The namespaces of this containerd but for the one that is read; none when it does not tell."""
        request = namespaces_pb2.ListNamespacesRequest()
        answer = self._find("Namespaces/List", self._namespaces.List, request, absent=("UNIMPLEMENTED",))
        names = [] if answer is None else [namespace.name for namespace in answer.namespaces]
        return [name for name in names if name != self._namespace]

    def read(self, digest: str, limit: int) -> bytes | None:
        """The first `limit` bytes of a blob; None when it is not there."""
        request = content_pb2.ReadContentRequest(digest=digest, size=limit)
        try:
            stream = self._content.Read(request, timeout=CALL_TIMEOUT_SECONDS, metadata=self._metadata)
            return b"".join(part.data for part in stream)
        except grpc.RpcError as error:
            failed = _translate("Content/Read", error)
            if failed.code == "NOT_FOUND":
                return None
            raise failed from error

    def snapshot(self, snapshotter: str, chain_id: str) -> SnapshotStat:
        """Whether the snapshot of a chain ID is committed in a snapshotter, and since when.

        A snapshotter that is a program of its own may be down: then nobody knows, and it counts as not committed.
        """
        request = snapshots_pb2.StatSnapshotRequest(snapshotter=snapshotter, key=chain_id)
        local = snapshotter in LOCAL_SNAPSHOTTERS
        absent = ("NOT_FOUND", "INVALID_ARGUMENT", "UNIMPLEMENTED", *(() if local else ("UNAVAILABLE",)))
        answer = self._find("Snapshots/Stat", self._snapshots.Stat, request, absent)
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
        answer = self._call("Images/List", self._images.List, request)
        return tuple(ImageRecord(image.name, seconds(image.updated_at), image.target.digest) for image in answer.images)

    def subscribe(self, filters: Iterable[str]) -> Any:
        """A stream of the envelopes of events of this namespace that pass one of the filters.

        Iterating it raises `grpc.RpcError` when it breaks.
        """
        request = events_pb2.SubscribeRequest(filters=[f'namespace=="{self._namespace}",{each}' for each in filters])
        try:
            return self._events.Subscribe(request, metadata=self._metadata)
        except ValueError as error:  # as in `_call`
            raise ContainerdError("Events/Subscribe", "CANCELLED", error) from error

    def _call(
        self, name: str, method: Callable[..., T], request: object, metadata: tuple[tuple[str, str], ...] = ()
    ) -> T:
        try:
            return method(request, timeout=CALL_TIMEOUT_SECONDS, metadata=metadata or self._metadata)
        except grpc.RpcError as error:
            raise _translate(name, error) from error
        except ValueError as error:  # what grpc makes of a call on a channel that was closed meanwhile
            raise ContainerdError(name, "CANCELLED", error) from error

    def _find(
        self, name: str, method: Callable[..., T], request: object, absent: tuple[str, ...] = ("NOT_FOUND",)
    ) -> T | None:
        try:
            return self._call(name, method, request)
        except ContainerdError as error:
            if error.code in absent:
                return None
            raise


def digest_of_ref(ref: str) -> str:
    """The digest in an ingest's ref (`layer-sha256:…`, `manifest-sha256:…`); empty for a ref of another kind."""
    _, separator, digest = ref.partition("-")
    return digest if separator and ":" in digest else ""


def seconds(timestamp: Timestamp) -> NodeTime:
    """Unix time."""
    return NodeTime(timestamp.seconds + timestamp.nanos / 1e9)


def _answer_to(call: "grpc.Future[Any]") -> Callable[..., Any]:
    """What to call for the answer to a call that was begun already."""
    return lambda _request, **_options: call.result()


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


def _translate(call: str, error: grpc.RpcError) -> ContainerdError:
    failed = cast(grpc.Call, error)  # what a stub raises is both
    return ContainerdError(call, failed.code().name, failed.details() or "")
