"""What containerd's versions and settings do in their own way: names, labels and tables, in one place."""

import re

PULL_LEASE_FILTER = 'labels."containerd.io/gc.expire"'
"""Pulls have this label. The leases of pod sandboxes, one for each running pod, do not have it."""

SOURCE_LABEL = "containerd.io/distribution.source."
"""Prefix: the registry host without its port follows. The value is a comma-separated list of repositories."""
SNAPSHOT_LABEL = "containerd.io/gc.ref.snapshot."
"""Prefix on a config: the snapshotter follows that holds the image unpacked."""
CHILD_LABEL = "containerd.io/gc.ref.content."
"""Prefix on an index or a manifest: one label for each blob that it names."""
MANAGED_LABEL = "io.cri-containerd.image"
"""On image records: CRI takes the image for its own."""

SNAPSHOTS_RESOURCE = "snapshots/"
"""Prefix of a lease's resources: the snapshotter follows."""
EXTRACT_PREFIX = "extract-"
"""Prefix of the key of a snapshot that a layer is being unpacked into; the chain ID is the last word."""

USUAL_SNAPSHOTTER = "overlayfs"
LOCAL_SNAPSHOTTERS = frozenset({"blockfile", "btrfs", "devmapper", "erofs", "native", "overlayfs", "zfs"})
"""Those of containerd itself. They make a snapshot out of a layer's content, and of nothing else."""

FIRST_WITHOUT_REWRITING = {6: 29, 7: 14}
"""The patch of containerd 1.x from which on CRI leaves records alone that need no change."""

_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


def rewrites_records(version: str) -> bool:
    """Whether the CRI of this containerd writes all names of an image at each pull, changed or not."""
    found = _VERSION.match(version)
    if not found:
        return False
    major, minor, patch = (int(part) for part in found.groups())
    return (major, minor) < (1, 6) or (major == 1 and patch < FIRST_WITHOUT_REWRITING.get(minor, 0))
