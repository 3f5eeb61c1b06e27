"""OCI and Docker image documents: what an index, a manifest and a config say. Pure.

The formats are those of the OCI image specification 1.1 (image-index, manifest, config) and of Docker's
manifest schema 2. The fields that are read here are the same in both.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

MAX_DOCUMENT_BYTES = 8 * 1024 * 1024
"""A larger index, manifest or config is not read. Registries commonly refuse manifests above 4 MiB."""

MAX_SIZE = 2**63 - 1
"""The specification's `size` is an int64. JSON has no such limit, and a huge number would not fit into a sample."""

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
"""The digests that containerd knows. It answers a question for any other with an error."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A reference to a blob: `size` in bytes (0: none or an invalid one is given), `media_type` (empty: none)."""

    digest: str
    size: int
    media_type: str


@dataclass(frozen=True, slots=True)
class Index:
    """Several manifests under one root, usually one for each platform; `references` are these."""

    media_type: str
    references: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image: its config (None: it has none) and its layers in order, the lowest first."""

    media_type: str
    config: Descriptor | None
    layers: tuple[Descriptor, ...]

    @property
    def references(self) -> tuple[Descriptor, ...]:
        """Everything that this document names."""
        return self.layers if self.config is None else (self.config, *self.layers)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A document that cannot be used, and why; its pull is shown without sizes and layers."""

    reason: str

    media_type = ""
    references: tuple[Descriptor, ...] = ()


Document = Index | Manifest | Unreadable


def parse_document(data: bytes) -> Document:
    """The index or manifest in `data`. Never raises, because a registry may have served anything.

    A part that cannot be read is left out. If nothing can be read, the result is `Unreadable`.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        return Unreadable(f"{type(error).__name__}: {error}"[:200])
    if not isinstance(document, dict):
        return Unreadable("it is not a JSON object")
    media_type = _text(document.get("mediaType"))
    manifests = _descriptors(document.get("manifests"))
    if manifests or document.get("manifests") == []:
        return Index(media_type or OCI_INDEX, manifests)
    config, layers = _descriptor(document.get("config")), _descriptors(document.get("layers"))
    if config is None and not layers:
        return Unreadable("it has neither manifests nor a config nor layers")
    return Manifest(media_type or OCI_MANIFEST, config, layers)


def parse_diff_ids(data: bytes) -> tuple[str, ...]:
    """`rootfs.diff_ids` of an image config: digests of the uncompressed layers, up to the first that is no digest."""
    try:
        diff_ids = json.loads(data)["rootfs"]["diff_ids"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return ()
    return tuple(takewhile(_is_digest, diff_ids)) if isinstance(diff_ids, list) else ()


def chain_ids(diff_ids: tuple[str, ...]) -> tuple[str, ...]:
    """The chain ID of each layer: containerd commits the snapshot of a layer and all below it under this name.

    Defined by the OCI image specification, config.md, "Layer ChainID".
    """
    chain: list[str] = []
    for diff_id in diff_ids:
        if chain:
            joined = f"{chain[-1]} {diff_id}".encode()
            chain.append("sha256:" + hashlib.sha256(joined).hexdigest())
        else:
            chain.append(diff_id)
    return tuple(chain)


def _descriptors(items: Any) -> tuple[Descriptor, ...]:
    found = (_descriptor(item) for item in items) if isinstance(items, list) else ()
    return tuple(descriptor for descriptor in found if descriptor is not None)


def _descriptor(item: Any) -> Descriptor | None:
    if not isinstance(item, dict) or not _is_digest(item.get("digest")):
        return None
    size = item.get("size")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= MAX_SIZE:
        size = 0
    return Descriptor(item["digest"], size, _text(item.get("mediaType")))


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
