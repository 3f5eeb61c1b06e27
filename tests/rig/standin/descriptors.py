"""Descriptors, manifests and what containerd makes of their media types."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
DOCKER_LAYERS = tuple(
    f"application/vnd.docker.image.rootfs.{kind}tar{suffix}"
    for kind in ("diff.", "foreign.diff.")
    for suffix in ("", ".gzip", ".zstd")
)

PLATFORM = "linux/amd64"


class BadContent(Exception):
    """A manifest, index or config that cannot be understood."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What is known of a blob before it is there. `platform` is `os/architecture` or empty."""

    media_type: str
    digest: str
    size: int
    platform: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEXES

    @property
    def is_manifest(self) -> bool:
        return self.media_type in MANIFESTS

    @property
    def is_config(self) -> bool:
        return self.media_type in CONFIGS

    @property
    def is_layer(self) -> bool:
        base = self.media_type.partition("+")[0]
        return self.media_type.startswith("application/vnd.oci.image.layer.") or base in DOCKER_LAYERS

    @property
    def ingest_ref(self) -> str:
        """The name of its download: nothing of the image's name is in it."""
        return f"{self._kind}-{self.digest}"

    @property
    def _kind(self) -> str:
        kinds = {
            "index": self.is_index,
            "manifest": self.is_manifest,
            "layer": self.is_layer,
            "config": self.is_config,
        }
        return next((kind for kind, holds in kinds.items() if holds), "unknown")

    @property
    def gc_label(self) -> str:
        """The label on its parent that keeps it; a number follows where it ends in a dot."""
        prefix = "containerd.io/gc.ref.content."
        return prefix + {"manifest": "m.", "layer": "l.", "config": "config"}.get(self._kind, "")

    @classmethod
    def parse(cls, document: Any) -> "Descriptor":
        if not isinstance(document, dict) or not isinstance(document.get("digest"), str):
            raise BadContent(f"not a descriptor: {document!r}")
        platform = document.get("platform") or {}
        return cls(
            str(document.get("mediaType", "")),
            document["digest"],
            int(document.get("size", 0)),
            f"{platform['os']}/{platform['architecture']}" if platform else "",
            dict(document.get("annotations") or {}),
        )

    def to_json(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


def children(parent: Descriptor, content: bytes) -> list[Descriptor]:
    """What a manifest or index names, in containerd's order; raises BadContent."""
    document = _parse(content)
    if parent.is_index:
        return [Descriptor.parse(child) for child in document.get("manifests", ())]
    return [Descriptor.parse(child) for child in (document.get("config"), *document.get("layers", ()))]


def gc_labels(named: list[Descriptor], *, with_layers: bool = True) -> dict[str, str]:
    """The labels that bind the children to their parent."""
    labels: dict[str, str] = {}
    counts: dict[str, int] = {}
    for child in named:
        if child.is_layer and not with_layers:
            continue
        key = child.gc_label
        number = counts[key] = counts.get(key, -1) + 1
        labels[f"{key}{number}" if number or key.endswith(".") else key] = child.digest
    return labels


def diff_ids(config: bytes) -> list[str]:
    root = _parse(config).get("rootfs") or {}
    return [str(each) for each in root.get("diff_ids") or ()]


def chain_ids(ids: list[str]) -> Iterator[str]:
    """Names of the snapshots: each layer on top of all before it."""
    chain = ""
    for diff_id in ids:
        chain = sha256(f"{chain} {diff_id}".encode()) if chain else diff_id
        yield chain


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _parse(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError as error:
        raise BadContent(f"unmarshal: {error}") from error
    if not isinstance(document, dict):
        raise BadContent("unmarshal: not an object")
    return document
