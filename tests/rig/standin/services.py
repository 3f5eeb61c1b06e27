"""containerd's read calls on the state of the stand-in: answers only, no behaviour."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from pulltrace_exporter.containerd.api import (
    content_pb2,
    descriptor_pb2,
    events_pb2,
    images_pb2,
    introspection_pb2,
    leases_pb2,
    snapshots_pb2,
    version_pb2,
)
from rig.standin import filters
from rig.standin.bus import Event
from rig.standin.records import Blob, Image, Ingest, Lease, Namespace, Snapshot
from rig.standin.sources import MIB
from rig.standin.store import Parts

REVISION = "0000000000000000000000000000000000000000"


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks: the namespace from the metadata, empty when there is none."""

    namespace: str
    context: grpc.ServicerContext

    def refuse_unknown(self, what: str) -> NoReturn:
        self.context.abort(grpc.StatusCode.NOT_FOUND, f"{what}: not found")


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC: its request's type and what answers it, once or as a stream."""

    request: type[Message]
    answer: Callable[[Any, Call], Any]
    stream: bool = False


class Services:
    """All services of one daemon."""

    def __init__(self, parts: Parts, snapshotter: str) -> None:
        self._parts = parts
        self._snapshotter = snapshotter

    @property
    def methods(self) -> Mapping[str, Mapping[str, Method]]:
        return {
            "containerd.services.leases.v1.Leases": {
                "List": Method(leases_pb2.ListRequest, self.list_leases),
                "ListResources": Method(leases_pb2.ListResourcesRequest, self.list_resources),
            },
            "containerd.services.content.v1.Content": {
                "Info": Method(content_pb2.InfoRequest, self.info),
                "Read": Method(content_pb2.ReadContentRequest, self.read, stream=True),
                "ListStatuses": Method(content_pb2.ListStatusesRequest, self.list_statuses),
            },
            "containerd.services.snapshots.v1.Snapshots": {
                "Stat": Method(snapshots_pb2.StatSnapshotRequest, self.stat),
            },
            "containerd.services.images.v1.Images": {
                "List": Method(images_pb2.ListImagesRequest, self.list_images),
            },
            "containerd.services.events.v1.Events": {
                "Subscribe": Method(events_pb2.SubscribeRequest, self.subscribe, stream=True),
            },
            "containerd.services.introspection.v1.Introspection": {
                "Plugins": Method(introspection_pb2.PluginsRequest, self.plugins),
            },
            "containerd.services.version.v1.Version": {
                "Version": Method(Empty, self.version),
            },
        }

    def plugins(self, request: introspection_pb2.PluginsRequest, _: Call) -> introspection_pb2.PluginsResponse:
        matches = filters.parse(request.filters)
        plugins = (introspection_pb2.Plugin(type=kind, id=name) for kind, name in self._plugins())
        return introspection_pb2.PluginsResponse(
            plugins=[plugin for plugin in plugins if matches(_lookup({}, type=plugin.type, id=plugin.id))]
        )

    def _plugins(self) -> Iterator[tuple[str, str]]:
        yield "io.containerd.content.v1", "content"
        yield from (("io.containerd.snapshotter.v1", name) for name in sorted({"overlayfs", self._snapshotter}))

    def version(self, _: Empty, __: Call) -> version_pb2.VersionResponse:
        return version_pb2.VersionResponse(version=self._parts.flavour.version, revision=REVISION)

    def list_leases(self, request: leases_pb2.ListRequest, call: Call) -> leases_pb2.ListResponse:
        matches = filters.parse(request.filters)
        with self._parts.records.lock:
            found = sorted(self._namespace(call).leases.values(), key=lambda lease: lease.id)
            return leases_pb2.ListResponse(
                leases=[
                    leases_pb2.Lease(id=one.id, created_at=_stamp(one.created_at), labels=one.labels)
                    for one in found
                    if matches(_lookup(one.labels, id=one.id))
                ]
            )

    def list_resources(self, request: leases_pb2.ListResourcesRequest, call: Call) -> leases_pb2.ListResourcesResponse:
        with self._parts.records.lock:
            lease = self._namespace(call).leases.get(request.id)
            if lease is None:
                call.refuse_unknown(f'lease "{request.id}"')
            return leases_pb2.ListResourcesResponse(
                resources=[leases_pb2.Resource(id=name, type=kind) for kind, name in _resources(lease)]
            )

    def info(self, request: content_pb2.InfoRequest, call: Call) -> content_pb2.InfoResponse:
        with self._parts.records.lock:
            return content_pb2.InfoResponse(info=_info(self._blob(request.digest, call)))

    def read(self, request: content_pb2.ReadContentRequest, call: Call) -> Iterator[content_pb2.ReadContentResponse]:
        with self._parts.records.lock:
            size = self._blob(request.digest, call).size
        offset = request.offset
        end = min(size, offset + request.size) if request.size else size
        while offset < end:
            data = self._parts.files.read(request.digest, offset, min(MIB, end - offset))
            yield content_pb2.ReadContentResponse(offset=offset, data=data)
            offset += len(data)

    def list_statuses(self, request: content_pb2.ListStatusesRequest, call: Call) -> content_pb2.ListStatusesResponse:
        matches = filters.parse(request.filters)
        with self._parts.records.lock:
            found = self._namespace(call).ingests.values()
            return content_pb2.ListStatusesResponse(
                statuses=[_status(each).SerializeToString() for each in found if matches(_lookup({}, ref=each.ref))]
            )

    def stat(self, request: snapshots_pb2.StatSnapshotRequest, call: Call) -> snapshots_pb2.StatSnapshotResponse:
        if request.snapshotter != self._snapshotter:
            text = f"snapshotter not loaded: {request.snapshotter}: invalid argument"
            call.context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
        with self._parts.records.lock:
            snapshot = self._namespace(call).snapshots.get((request.snapshotter, request.key))
            if snapshot is None:
                call.refuse_unknown(f"snapshot {request.key} does not exist")
            return snapshots_pb2.StatSnapshotResponse(info=_snapshot(snapshot))

    def list_images(self, request: images_pb2.ListImagesRequest, call: Call) -> images_pb2.ListImagesResponse:
        matches = filters.parse(request.filters)
        with self._parts.records.lock:
            found = sorted(self._namespace(call).images.values(), key=lambda image: image.name)
            return images_pb2.ListImagesResponse(
                images=[_image(image) for image in found if matches(_image_lookup(image))]
            )

    def subscribe(self, request: events_pb2.SubscribeRequest, call: Call) -> Iterator[events_pb2.Envelope]:
        matches = filters.parse(request.filters)
        with self._parts.bus.subscription() as events:
            if not call.context.add_callback(lambda: events.put(None)):
                return
            for event in iter(events.get, None):
                if matches(_event_lookup(event)):
                    yield _envelope(event)

    def _namespace(self, call: Call) -> Namespace:
        return self._parts.records.namespace(call.namespace)

    def _blob(self, digest: str, call: Call) -> Blob:
        blob = self._namespace(call).blobs.get(digest)
        if blob is None:
            call.refuse_unknown(f"content digest {digest}")
        return blob


def _lookup(labels: Mapping[str, str], **fields: str) -> filters.Lookup:
    def find(path: tuple[str, ...]) -> str | None:
        if path[0] == "labels":
            return labels.get(".".join(path[1:]))
        # An empty field counts as absent, as in containerd's adaptors.
        return (fields.get(path[0]) or None) if len(path) == 1 else None

    return find


def _image_lookup(image: Image) -> filters.Lookup:
    plain = _lookup(image.labels, name=image.name)
    target = _lookup({}, digest=image.target.digest, mediatype=image.target.media_type)
    return lambda path: target(path[1:]) if path[0] == "target" and len(path) > 1 else plain(path)


def _event_lookup(event: Event) -> filters.Lookup:
    plain = _lookup({}, topic=event.topic, namespace=event.namespace)
    parent = getattr(event.payload, "parent", "")
    return lambda path: (parent or None) if path == ("event", "parent") else plain(path)


def _resources(lease: Lease) -> Iterator[tuple[str, str]]:
    yield from (("content", digest) for digest in sorted(lease.content))
    yield from (("ingests", ref) for ref in sorted(lease.ingests))
    yield from ((f"snapshots/{snapshotter}", key) for snapshotter, key in sorted(lease.snapshots))


def _info(blob: Blob) -> content_pb2.Info:
    return content_pb2.Info(
        digest=blob.digest,
        size=blob.size,
        created_at=_stamp(blob.created_at),
        updated_at=_stamp(blob.updated_at),
        labels=blob.labels,
    )


def _status(ingest: Ingest) -> content_pb2.Status:
    return content_pb2.Status(
        started_at=_stamp(ingest.started_at),
        updated_at=_stamp(ingest.updated_at),
        ref=ingest.ref,
        offset=ingest.offset,
        total=ingest.total,
    )


def _snapshot(snapshot: Snapshot) -> snapshots_pb2.Info:
    return snapshots_pb2.Info(
        name=snapshot.name,
        parent=snapshot.parent,
        kind=snapshots_pb2.COMMITTED if snapshot.committed else snapshots_pb2.ACTIVE,
        created_at=_stamp(snapshot.created_at),
        updated_at=_stamp(snapshot.updated_at),
        labels=snapshot.labels,
    )


def _image(image: Image) -> images_pb2.Image:
    return images_pb2.Image(
        name=image.name,
        labels=image.labels,
        target=descriptor_pb2.Descriptor(
            media_type=image.target.media_type, digest=image.target.digest, size=image.target.size
        ),
        created_at=_stamp(image.created_at),
        updated_at=_stamp(image.updated_at),
    )


def _envelope(event: Event) -> events_pb2.Envelope:
    return events_pb2.Envelope(
        timestamp=_stamp(event.at_ns),
        namespace=event.namespace,
        topic=event.topic,
        event=AnyMessage(type_url=event.type_url, value=event.payload.SerializeToString()),
    )


def _stamp(nanoseconds: int) -> Timestamp:
    return Timestamp(seconds=nanoseconds // 10**9, nanos=nanoseconds % 10**9)
