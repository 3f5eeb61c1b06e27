"""Conversations with containerd as it means them: a pull from its lease to its end, and one that fails.

They are inputs in several parts: a byte for what it is, two for its length, and its bytes, again and again.
"""

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from fuzz.served import WALL
from pulltrace_exporter.containerd import client
from pulltrace_exporter.containerd.api import (
    content_pb2,
    descriptor_pb2,
    events_pb2,
    images_pb2,
    introspection_pb2,
    leases_pb2,
    namespaces_pb2,
    payloads_pb2,
    snapshots_pb2,
    version_pb2,
)
from pulltrace_exporter.model.image import chain_ids

HEAD: Final = 3


def framed(kind: int, payload: bytes) -> bytes:
    """One frame; what does not fit is cut off."""
    payload = payload[:0xFFFF]
    return bytes((kind,)) + len(payload).to_bytes(2, "big") + payload


def frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The frames, the last one as long as the data has bytes for it."""
    at = 0
    while at + HEAD <= len(data):
        size = int.from_bytes(data[at + 1 : at + HEAD], "big")
        yield data[at], data[at + HEAD : at + HEAD + size]
        at += HEAD + size


METHODS: Final = tuple(
    method.name
    for method in (
        *(client.LIST_LEASES, client.LIST_RESOURCES, client.LIST_STATUSES, client.INFO, client.READ),
        *(client.STAT_SNAPSHOT, client.LIST_IMAGES, client.LIST_NAMESPACES, client.VERSION, client.SUBSCRIBE),
        client.LIST_PLUGINS,
    )
)
LEASES, RESOURCES, STATUSES, INFO, READ, STAT, IMAGES, NAMESPACES, VERSION, EVENTS, PLUGINS = range(len(METHODS))
FAILED, POLL = len(METHODS), len(METHODS) + 1
"""A call's failure (which method, which code, its words), and one look at all this."""

NAME: Final = "registry.example/team/app:v1"
SOURCE: Final = {"containerd.io/distribution.source.registry.example": "team/app"}
OCI: Final = "application/vnd.oci.image."


def digest(data: bytes) -> str:
    return "sha256:" + sha256(data).hexdigest()


LAYERS: Final = (b"layer one", b"layer two")
DIFF_IDS: Final = tuple(digest(layer + b" unpacked") for layer in LAYERS)
CONFIG: Final = json.dumps({"rootfs": {"type": "layers", "diff_ids": DIFF_IDS}}).encode()


def descriptor(data: bytes, kind: str) -> dict[str, object]:
    return {"mediaType": OCI + kind, "digest": digest(data), "size": len(data)}


MANIFEST: Final = json.dumps(
    {
        "config": descriptor(CONFIG, "config.v1+json"),
        "layers": [descriptor(layer, "layer.v1.tar+gzip") for layer in LAYERS],
    }
).encode()
INDEX: Final = json.dumps({"manifests": [descriptor(MANIFEST, "manifest.v1+json")]}).encode()


def at(seconds: float) -> Timestamp:
    return Timestamp(seconds=int(WALL + seconds), nanos=5)


def info(data: bytes, *children: bytes, **labels: str) -> bytes:
    named = {f"containerd.io/gc.ref.content.{number}": digest(child) for number, child in enumerate(children)}
    found = content_pb2.Info(
        digest=digest(data), size=len(data), created_at=at(1), labels={**SOURCE, **named, **labels}
    )
    return _frame(INFO, content_pb2.InfoResponse(info=found))


def read(data: bytes) -> bytes:
    parts = (data[: len(data) // 2], data[len(data) // 2 :])
    return framed(
        READ, b"".join(framed(0, content_pb2.ReadContentResponse(data=part).SerializeToString()) for part in parts)
    )


def poll(seconds: int = 1) -> bytes:
    return framed(POLL, bytes((seconds,)))


def lease(*ids: str) -> bytes:
    expiry = {"containerd.io/gc.expire": "2027-01-01T00:00:00Z"}
    found = [leases_pb2.Lease(id=each, created_at=at(0), labels=expiry) for each in ids]
    return _frame(LEASES, leases_pb2.ListResponse(leases=found))


def resources(*pairs: tuple[str, str]) -> bytes:
    found = [leases_pb2.Resource(type=kind, id=name) for kind, name in pairs]
    return _frame(RESOURCES, leases_pb2.ListResourcesResponse(resources=found))


def statuses(*offsets: int) -> bytes:
    found = [
        content_pb2.Status(
            ref=f"layer-{digest(layer)}", offset=offset, total=9, started_at=at(1), updated_at=at(2)
        ).SerializeToString()
        for layer, offset in zip(LAYERS, offsets, strict=False)
    ]
    return _frame(STATUSES, content_pb2.ListStatusesResponse(statuses=found))


def stat(name: str, kind: snapshots_pb2.Kind = snapshots_pb2.COMMITTED) -> bytes:
    found = snapshots_pb2.Info(name=name, kind=kind, created_at=at(3))
    return _frame(STAT, snapshots_pb2.StatSnapshotResponse(info=found))


def image() -> bytes:
    target = descriptor_pb2.Descriptor(media_type=OCI + "index.v1+json", digest=digest(INDEX), size=len(INDEX))
    found = images_pb2.Image(name=NAME, target=target, created_at=at(4), updated_at=at(4))
    return _frame(IMAGES, images_pb2.ListImagesResponse(images=[found]))


def event(topic: str) -> bytes:
    change = payloads_pb2.ImageChange(name=NAME, labels={"io.cri-containerd.image": "managed"})
    value = Any(type_url="containerd.events.ImageCreate", value=change.SerializeToString())
    envelope = events_pb2.Envelope(timestamp=at(4), namespace="k8s.io", topic=topic, event=value)
    return framed(EVENTS, framed(0, envelope.SerializeToString()))


def _frame(method: int, answer: Message) -> bytes:
    return framed(method, answer.SerializeToString())


CONTENTS: Final = (("content", digest(INDEX)), ("content", digest(MANIFEST)), ("content", digest(CONFIG)))
CHAIN: Final = chain_ids(DIFF_IDS)
START: Final = b"".join(
    (
        _frame(VERSION, version_pb2.VersionResponse(version="2.1.9")),
        _frame(NAMESPACES, namespaces_pb2.ListNamespacesResponse(namespaces=[namespaces_pb2.Namespace(name="moby")])),
        _frame(PLUGINS, introspection_pb2.PluginsResponse(plugins=[introspection_pb2.Plugin(id="soci")])),
        event("/images/create"),
        lease("1-a"),
        resources(*CONTENTS, *(("ingests", f"layer-{digest(layer)}") for layer in LAYERS)),
        info(INDEX, MANIFEST) + info(MANIFEST, CONFIG, *LAYERS) + info(CONFIG),
        read(INDEX) + read(MANIFEST) + read(CONFIG),
        statuses(1, 2) + poll() + statuses(5, 9) + poll(),
    )
)
UNPACKING: Final = b"".join(
    (
        resources(*CONTENTS, ("content", digest(LAYERS[0])), ("snapshots/overlayfs", f"k8s.io/1/extract-1 {CHAIN[0]}")),
        info(LAYERS[0]) + info(LAYERS[1]) + stat(CHAIN[0]) + poll(),
    )
)
SEEDS: Final = (
    START + UNPACKING + image() + lease() + poll() + poll(200),
    START + lease() + poll() + lease("1-a", "2-b") + poll() + poll(70),
    START + framed(FAILED, bytes((LEASES, 14)) + b"gone") + poll() + lease("1-a") + poll(),
)
