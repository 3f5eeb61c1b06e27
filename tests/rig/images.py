"""Images for a registry or an archive: valid, small, and the same bytes on every run.

The layers hold incompressible content, so that the size of a blob is the size that was asked for plus the few
hundred bytes of its archive. Media types are those of the OCI image specification and of Docker's schema 2.
"""

import gzip
import hashlib
import io
import json
import random
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Compression = Literal["none", "gzip", "zstd"]
KIB = 1024
MIB = 1024 * KIB
PLATFORM = "linux/amd64"


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest(text: str) -> str:
    """The digest of content that consists of this text: one for values that need some digest."""
    return sha256(text.encode())


@dataclass(frozen=True, slots=True)
class Blob:
    """What a registry stores under a digest."""

    digest: str
    media_type: str
    data: bytes = field(repr=False)

    @classmethod
    def of(cls, media_type: str, data: bytes) -> "Blob":
        return cls(sha256(data), media_type, data)

    @classmethod
    def of_json(cls, media_type: str, document: Mapping[str, Any]) -> "Blob":
        return cls.of(media_type, json.dumps(document, separators=(",", ":")).encode())

    @property
    def size(self) -> int:
        return len(self.data)

    def descriptor(self, **more: Any) -> dict[str, Any]:
        """The JSON by which an index or manifest refers to this blob."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size, **more}


@dataclass(frozen=True, slots=True)
class Layer:
    """An archive of files, packed; images share a layer by naming the same one."""

    diff_id: str
    compression: Compression
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Image:
    """An image in a repository. `layers` are those of linux/amd64 in order, a repeated one as often as it is named."""

    repository: str
    tag: str
    index: Blob | None
    manifest: Blob
    config: Blob
    layers: tuple[Blob, ...]
    diff_ids: tuple[str, ...]
    others: tuple[Blob, ...] = ()
    """Manifests, configs and layers of the other platforms."""

    @property
    def root(self) -> Blob:
        """What the tag names."""
        return self.index or self.manifest

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """Everything that a registry needs to serve it."""
        index = (self.index,) if self.index else ()
        return (*index, self.manifest, self.config, *self.layers, *self.others)

    @property
    def manifests(self) -> tuple[Blob, ...]:
        """The blobs that are served as manifests: index and manifests of all platforms."""
        return tuple(blob for blob in self.blobs if blob.media_type in MANIFEST_TYPES)

    @property
    def size(self) -> int:
        """Bytes of config and layers for linux/amd64, a repeated layer counted once."""
        return sum({blob.digest: blob.size for blob in (self.config, *self.layers)}.values())

    def reference(self, host: str) -> str:
        return f"{host}/{self.repository}:{self.tag}"

    def digest_reference(self, host: str) -> str:
        return f"{host}/{self.repository}@{self.root.digest}"


@dataclass(frozen=True, slots=True)
class Dialect:
    """The media types of one of the two families. Docker has none for zstd that every containerd unpacks."""

    index: str
    manifest: str
    config: str
    layers: Mapping[Compression, str]

    @property
    def layer(self) -> str:
        """The media type of a layer as most images have it."""
        return self.layers["gzip"]


OCI = Dialect(
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.config.v1+json",
    {
        "none": "application/vnd.oci.image.layer.v1.tar",
        "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
        "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    },
)
DOCKER = Dialect(
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.container.image.v1+json",
    {
        "none": "application/vnd.docker.image.rootfs.diff.tar",
        "gzip": "application/vnd.docker.image.rootfs.diff.tar.gzip",
    },
)
MANIFEST_TYPES = frozenset({OCI.index, OCI.manifest, DOCKER.index, DOCKER.manifest})


def layer(size: int, seed: str | int, compression: Compression = "gzip") -> Layer:
    """A layer of one file of `size` incompressible bytes; the same size and seed give the same bytes."""
    name = f"{sha256(str(seed).encode())[7:23]}.bin"
    return file_layer({name: random.Random(seed).randbytes(size)}, compression)


def file_layer(files: Mapping[str, bytes], compression: Compression = "gzip", mode: int = 0o755) -> Layer:
    archive = tar(files, mode)
    return Layer(sha256(archive), compression, PACKERS[compression](archive))


def tar(files: Mapping[str, bytes], mode: int = 0o644) -> bytes:
    """An archive without anything of the machine or the hour in it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), mode
            archive.addfile(entry, io.BytesIO(data))
        end = archive.offset + 2 * tarfile.BLOCKSIZE  # the record's padding would make 10 KiB of the smallest layer
    return buffer.getvalue()[:end]


def build(
    repository: str,
    layers: Iterable[Layer | int] = (64 * KIB,),
    *,
    tag: str = "latest",
    index: bool = True,
    docker: bool = False,
    platforms: Sequence[str] = ("linux/arm64",),
    entrypoint: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
) -> Image:
    """An image of these layers; a number stands for a layer of that size, particular to repository and tag.

    `platforms` are further ones in the index, which a node of linux/amd64 leaves alone; `settings` are those of a
    container of it, such as Env and User.
    """
    dialect = DOCKER if docker else OCI
    filled = tuple(_filled(layers, f"{repository}:{tag}"))
    mine = _variant(dialect, PLATFORM, filled, {**_entrypoint(entrypoint), **(settings or {})})
    if not index:
        return Image(repository, tag, None, mine.manifest, mine.config, mine.layers, mine.diff_ids)
    others = tuple(
        _variant(dialect, name, (layer(KIB, f"{repository}:{tag}/{name}"),), _entrypoint(entrypoint))
        for name in platforms
    )
    root = Blob.of_json(dialect.index, _index(dialect, (mine, *others)))
    rest = tuple(blob for other in others for blob in (other.manifest, other.config, *other.layers))
    return Image(repository, tag, root, mine.manifest, mine.config, mine.layers, mine.diff_ids, rest)


def write_archive(image: Image, path: Path, name: str) -> Path:
    """Write the image to `path` as an OCI archive, to be imported under `name`; the path comes back."""
    annotations = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": image.tag}
    index = {"schemaVersion": 2, "manifests": [image.root.descriptor(annotations=annotations)]}
    files = {f"blobs/sha256/{blob.digest.removeprefix('sha256:')}": blob.data for blob in image.blobs}
    files["oci-layout"] = b'{"imageLayoutVersion":"1.0.0"}'
    files["index.json"] = json.dumps(index).encode()
    path.write_bytes(tar(files))
    return path


@dataclass(frozen=True, slots=True)
class _Variant:
    platform: str
    manifest: Blob
    config: Blob
    layers: tuple[Blob, ...]
    diff_ids: tuple[str, ...]


def _filled(layers: Iterable[Layer | int], seed: str) -> Iterator[Layer]:
    for position, item in enumerate(layers):
        yield item if isinstance(item, Layer) else layer(item, f"{seed}/{position}")


def _variant(dialect: Dialect, platform: str, layers: tuple[Layer, ...], settings: Mapping[str, Any]) -> _Variant:
    diff_ids = tuple(each.diff_id for each in layers)
    config = Blob.of_json(dialect.config, _config(platform, diff_ids, settings))
    blobs = tuple(Blob.of(dialect.layers[each.compression], each.data) for each in layers)
    manifest = {
        "schemaVersion": 2,
        "mediaType": dialect.manifest,
        "config": config.descriptor(),
        "layers": [blob.descriptor() for blob in blobs],
    }
    return _Variant(platform, Blob.of_json(dialect.manifest, manifest), config, blobs, diff_ids)


def _entrypoint(words: Sequence[str]) -> dict[str, Any]:
    return {"Entrypoint": list(words)} if words else {}


def _config(platform: str, diff_ids: Sequence[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    system, architecture = platform.split("/", 1)
    return {
        "architecture": architecture,
        "os": system,
        "config": dict(settings),
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
    }


def _index(dialect: Dialect, variants: Sequence[_Variant]) -> dict[str, Any]:
    manifests = []
    for variant in variants:
        system, architecture = variant.platform.split("/", 1)
        platform = {"os": system, "architecture": architecture}
        manifests.append(variant.manifest.descriptor(platform=platform))
    return {"schemaVersion": 2, "mediaType": dialect.index, "manifests": manifests}


def _stored_gzip(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=0, mtime=0)


def _stored_zstd(data: bytes) -> bytes:
    """A Zstandard frame of raw blocks (RFC 8878, 3.1.1): window of 128 KiB, no checksum, no content size."""
    block = 128 * KIB
    parts = [data[start : start + block] for start in range(0, len(data), block)] or [b""]
    frame = [bytes.fromhex("28b52ffd0038")]
    for number, part in enumerate(parts, start=1):
        header = len(part) << 3 | (number == len(parts))
        frame += [header.to_bytes(3, "little"), part]
    return b"".join(frame)


PACKERS: Mapping[Compression, Callable[[bytes], bytes]] = {"none": bytes, "gzip": _stored_gzip, "zstd": _stored_zstd}
