"""Images as values, by what their documents say: for scenarios in which nothing is fetched."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from pulltrace_exporter.model.image import Descriptor, Document, Index, Manifest, chain_ids
from rig.images import OCI, Dialect, digest

REGISTRY = "registry.example"


def a_blob(name: str, size: int, media_type: str = OCI.layer) -> Descriptor:
    return Descriptor(digest(name), size, media_type)


@dataclass(frozen=True, slots=True)
class Image:
    """An image in a registry: `documents` are its indexes, the root first, and its manifests.

    There is a config with its diff IDs for each manifest; `layers` are those of all manifests in turn.
    """

    registry: str
    repository: str
    tag: str
    documents: tuple[tuple[Descriptor, Document], ...]
    configs: tuple[Descriptor, ...]
    layers: tuple[Descriptor, ...]
    diff_ids: tuple[tuple[str, ...], ...]

    @property
    def root(self) -> str:
        return self.documents[0][0].digest

    @property
    def reference(self) -> str:
        return f"{self.registry}/{self.repository}:{self.tag}"

    @property
    def chain(self) -> tuple[str, ...]:
        return tuple(chain for diff_ids in self.diff_ids for chain in chain_ids(diff_ids))

    @property
    def size(self) -> int:
        return sum({blob.digest: blob.size for blob in (*self.configs, *self.layers)}.values())

    @property
    def envelope(self) -> int:
        return sum(descriptor.size for descriptor, _ in self.documents)

    def under(self, repository: str, registry: str | None = None, tag: str = "1") -> Self:
        """The same image, byte for byte, in another place."""
        return replace(self, repository=repository, registry=registry or self.registry, tag=tag)


def an_image(
    repository: str = "team/app",
    layers: Iterable[int | Descriptor] = (1000, 2000),
    *,
    registry: str = REGISTRY,
    indexes: int = 1,
    dialect: Dialect = OCI,
    config_size: int = 100,
) -> Image:
    """An image of one platform under so many nested indexes; a layer is a size, or a blob that others share."""
    blobs = tuple(
        layer if isinstance(layer, Descriptor) else a_blob(f"{repository} layer {number}", layer, dialect.layer)
        for number, layer in enumerate(layers)
    )
    config = Descriptor(digest(f"{repository} config"), config_size, dialect.config)
    top = Descriptor(digest(f"{repository} manifest"), 50, dialect.manifest)
    documents: list[tuple[Descriptor, Document]] = [(top, Manifest(dialect.manifest, config, blobs))]
    for depth in range(indexes):
        # Other platforms are named beside, and never on the node.
        other = Descriptor(digest(f"{repository} other platform {depth}"), 51, dialect.manifest)
        index = Index(dialect.index, (other, top))
        top = Descriptor(digest(f"{repository} index {depth}"), 70, dialect.index)
        documents.insert(0, (top, index))
    diff_ids = tuple(digest(f"unpacked {blob.digest}") for blob in blobs)
    return Image(registry, repository, "1", tuple(documents), (config,), blobs, (diff_ids,))


def for_platforms(repository: str, *images: Image) -> Image:
    """One index over images without an index of their own, all to be pulled."""
    index = Descriptor(digest(f"{repository} platforms"), 80, OCI.index)
    manifests = tuple(document for image in images for document in image.documents)
    return Image(
        REGISTRY,
        repository,
        "1",
        ((index, Index(OCI.index, tuple(descriptor for descriptor, _ in manifests))), *manifests),
        tuple(config for image in images for config in image.configs),
        tuple(layer for image in images for layer in image.layers),
        tuple(diff_ids for image in images for diff_ids in image.diff_ids),
    )
