"""Images that exist only as numbers: any size, any speed, no bytes but those of manifests and configs."""

import json
import math
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field

from rig.standin.control import Token
from rig.standin.descriptors import CONFIGS, INDEXES, MANIFESTS, PLATFORM, Descriptor, sha256
from rig.standin.reference import Reference
from rig.standin.sources import MIB, Chunk, SourceFailed

OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
TICK = 0.05

Bandwidth = Callable[[float], float]
"""Bytes per second of one image, shared by its running layers, so many seconds after its first byte.

May raise SourceFailed. Infinite: everything at once.
"""


def instantly(_: float) -> float:
    return math.inf


@dataclass(frozen=True, slots=True)
class Layer:
    """Layers of one name are one blob, whichever image names them."""

    name: str
    size: int
    media_type: str = OCI_LAYER

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(self.media_type, sha256(f"layer {self.name}".encode()), self.size)

    @property
    def diff_id(self) -> str:
        return sha256(f"diff {self.name}".encode())


@dataclass(slots=True)
class _Flow:
    """The downloads of one image that run now; they share its bandwidth."""

    running: int = 0
    since: float = 0.0


@dataclass(slots=True)
class _Published:
    root: Descriptor
    bandwidth: Bandwidth
    resolve_seconds: float
    flow: _Flow = field(default_factory=_Flow)


class SyntheticRegistry:
    """A source of invented images."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._images: dict[str, _Published] = {}
        self._documents: dict[str, bytes] = {}

    def publish(
        self,
        reference: str,
        layers: Sequence[Layer],
        *,
        bandwidth: Bandwidth = instantly,
        resolve_seconds: float = 0.0,
    ) -> str:
        """Offer an image under a reference, and answer its root digest; by digest it is offered too."""
        config = {
            "os": PLATFORM.split("/")[0],
            "architecture": PLATFORM.split("/")[1],
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFESTS[0],
            "config": self._keep(CONFIGS[0], config).to_json(),
            "layers": [layer.descriptor.to_json() for layer in layers],
        }
        root = self._keep_index(self._keep(MANIFESTS[0], manifest))
        name = Reference.parse(reference)
        with self._lock:
            for each in (name.name, f"{name.locator}@{root.digest}"):
                self._images[each] = _Published(root, bandwidth, resolve_seconds)
        return root.digest

    def publish_document(self, reference: str, media_type: str, content: bytes) -> str:
        """Offer anything as an image's root: broken, huge, of an unknown type."""
        root = Descriptor(media_type, sha256(content), len(content))
        with self._lock:
            self._documents[root.digest] = content
            self._images[Reference.parse(reference).name] = _Published(root, instantly, 0.0)
        return root.digest

    def resolve(self, reference: Reference, token: Token) -> Descriptor:
        found = self._find(reference)
        token.wait(found.resolve_seconds if found else 0.0)
        if not found:
            raise SourceFailed(f"{reference.name}: not found")
        return found.root

    def chunks(self, reference: Reference, blob: Descriptor, offset: int, token: Token) -> Generator[Chunk, None, None]:
        """Documents come whole, layers as numbers at the image's bandwidth."""
        document = self._documents.get(blob.digest)
        if document is not None:
            yield document[offset:]
            return
        image = self._find(reference)
        if image is None:
            raise SourceFailed(f"content of {reference.name} not found: not found")
        with self._lock:
            image.flow.running += 1
            image.flow.since = image.flow.since or time.monotonic()
        try:
            yield from _flow(image, blob.size - offset, token)
        finally:
            with self._lock:
                image.flow.running -= 1
                image.flow.since = image.flow.since if image.flow.running else 0.0

    def _find(self, reference: Reference) -> _Published | None:
        with self._lock:
            return self._images.get(reference.name)

    def _keep(self, media_type: str, document: object) -> Descriptor:
        content = json.dumps(document).encode()
        digest = sha256(content)
        self._documents[digest] = content
        return Descriptor(media_type, digest, len(content))

    def _keep_index(self, manifest: Descriptor) -> Descriptor:
        system, architecture = PLATFORM.split("/")
        own = {**manifest.to_json(), "platform": {"os": system, "architecture": architecture}}
        other = {**manifest.to_json(), "platform": {"os": "linux", "architecture": "s390x"}}
        other["digest"] = sha256(f"another platform's {manifest.digest}".encode())
        document = {"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": [other, own]}
        return self._keep(INDEXES[0], document)


def _flow(image: _Published, size: int, token: Token) -> Iterator[int]:
    """So many bytes as whole mebibytes, the rest at last."""
    arrived, given, last = 0.0, 0, time.monotonic()
    while given < size:
        now = time.monotonic()
        speed = image.bandwidth(now - image.flow.since)
        if math.isinf(speed):
            yield size - given
            return
        arrived = min(size, arrived + speed / max(1, image.flow.running) * (now - last))
        last = now
        step = size - given if arrived >= size else (int(arrived) - given) // MIB * MIB
        if step:
            given += step
            yield step
        else:
            token.wait(TICK)
