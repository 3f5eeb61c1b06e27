"""containerd's names and labels, and what its versions and settings do differently, in one place."""

import re
from collections.abc import Sequence

from pulltrace_exporter.model.image import OCI_CONFIG, Document, Manifest

PULL_LEASE_FILTER = 'labels."containerd.io/gc.expire"'
"""Leases of pulls have this label. The leases of pod sandboxes, one for each running pod, do not have it."""

SOURCE_LABEL = "containerd.io/distribution.source."
"""Prefix: the registry host without its port follows. The value is a comma-separated list of repositories."""
SNAPSHOT_LABEL = "containerd.io/gc.ref.snapshot."
"""Prefix on a config: the name of the snapshotter that holds the unpacked image follows."""
CHILD_LABEL = "containerd.io/gc.ref.content."
"""Prefix on an index or a manifest: one label for each blob that it names."""
MANAGED_LABEL = "io.cri-containerd.image"
"""On image records that CRI manages."""

SNAPSHOTS_RESOURCE = "snapshots/"
"""Prefix of a lease's resources: the snapshotter follows."""
EXTRACT_PREFIX = "extract-"
"""Prefix of the key of a snapshot that a layer is being unpacked into; the chain ID is the last word."""

USUAL_SNAPSHOTTER = "overlayfs"
LOCAL_SNAPSHOTTERS = frozenset(
    {
        "blockfile",
        "btrfs",
        "devmapper",
        "erofs",
        "fuse-overlayfs",
        "native",
        "overlayfs",
        "windows",
        "windows-lcow",
        "zfs",
    }
)
"""These make snapshots only from the content of layers: containerd's own, and fuse-overlayfs for rootless use."""

SNAPSHOTTER_PLUGINS = "type==io.containerd.snapshotter.v1"
LAZY_LABELS = frozenset({"containerd.io/snapshot/remote", "containerd.io/snapshot/nydus-blob"})
"""On snapshots that were made without their layers: the first by SOCI with an index and by stargz, the second by
nydus."""

FIRST_WITHOUT_REWRITING = {6: 29, 7: 14}
"""By minor version of containerd 1.x: the first patch whose CRI does not write records again that need no change."""

FIRST_THAT_SKIPS_ODD_LAYERS = (1, 7)
"""Clients before this one try to unpack a layer of any media type."""
FIRST_WITH_TRANSFER = (2, 0)
"""From here on the daemon's transfer service may pull. It writes the record last, and unpacks nothing but layers."""

FIRST_WITHOUT_SCHEMA_1 = (2, 0)
"""Earlier versions pull Docker's schema 1: the layers first. Then they make a manifest, which has no source label."""

_LAYER = re.compile(
    r"application/vnd\.(oci\.image\.layer\..+|docker\.image\.rootfs\.(foreign\.)?diff\.tar(\.gzip)?(\+.+)?)"
)
_DOCKER_LAYER = "application/vnd.docker.image.rootfs."
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


def refuses_to_unpack(version: str, media_types: Sequence[str], diff_ids: int) -> bool:
    """Whether a client of this containerd fails with `mismatched image rootfs and manifest layers` after a pull.

    It has written the image record by then. `media_types` are those of the manifest's layers, `diff_ids` is how many
    the config has.
    """
    numbers = _numbers(version)
    if numbers is None or numbers >= FIRST_WITH_TRANSFER:
        return False  # the transfer service accepts such an image, and nothing tells whether it or a client pulled
    unpacked = [media_type for media_type in media_types if _LAYER.fullmatch(media_type)]
    if numbers < FIRST_THAT_SKIPS_ODD_LAYERS and len(unpacked) < len(media_types):
        return True  # it tries to unpack all layers, and cannot unpack the odd ones
    return len(unpacked) != diff_ids


def converts_schema_1(version: str) -> bool:
    """Whether this containerd pulls images of Docker's schema 1."""
    numbers = _numbers(version)
    return numbers is not None and numbers < FIRST_WITHOUT_SCHEMA_1


def is_converted(document: Document) -> bool:
    """Whether containerd made this manifest from one of schema 1: only it gives Docker's layers an OCI config."""
    if not isinstance(document, Manifest) or document.config is None:
        return False
    docker = all(layer.media_type.startswith(_DOCKER_LAYER) for layer in document.layers)
    return docker and bool(document.layers) and document.config.media_type == OCI_CONFIG


def rewrites_records(version: str) -> bool:
    """Whether the CRI of this containerd writes all names of an image at each pull, changed or not."""
    numbers = _numbers(version)
    if numbers is None:
        return False
    major, minor, patch = numbers
    return (major, minor) < (1, 6) or (major == 1 and patch < FIRST_WITHOUT_REWRITING.get(minor, 0))


def _numbers(version: str) -> tuple[int, int, int] | None:
    found = _VERSION.match(version)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None
