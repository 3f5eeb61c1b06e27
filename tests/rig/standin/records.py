"""What the stand-in remembers. Times are Unix time in nanoseconds, sizes in bytes."""

import threading
from dataclasses import dataclass, field

from rig.standin.descriptors import Descriptor


@dataclass(slots=True)
class Blob:
    """A committed content in one namespace."""

    digest: str
    size: int
    created_at: int
    updated_at: int
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Ingest:
    """A content on its way. `writing`: somebody holds its lock."""

    ref: str
    total: int
    started_at: int
    updated_at: int
    offset: int = 0
    writing: bool = False


@dataclass(slots=True)
class Lease:
    """What keeps the resources named in it from being collected."""

    id: str
    created_at: int
    labels: dict[str, str] = field(default_factory=dict)
    content: set[str] = field(default_factory=set)
    ingests: set[str] = field(default_factory=set)
    snapshots: set[tuple[str, str]] = field(default_factory=set)


@dataclass(slots=True)
class Snapshot:
    """`committed` snapshots are named after their chain ID, active ones are being filled."""

    snapshotter: str
    name: str
    parent: str
    committed: bool
    created_at: int
    updated_at: int
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Image:
    """A name and what it stands for."""

    name: str
    target: Descriptor
    created_at: int
    updated_at: int
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Namespace:
    """All of one containerd namespace."""

    name: str
    blobs: dict[str, Blob] = field(default_factory=dict)
    ingests: dict[str, Ingest] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    snapshots: dict[tuple[str, str], Snapshot] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)


@dataclass(slots=True)
class Records:
    """Every namespace, under one lock; `alive` is false while the daemon is dead and nothing may change."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    namespaces: dict[str, Namespace] = field(default_factory=dict)
    alive: bool = True

    def namespace(self, name: str) -> Namespace:
        with self.lock:
            return self.namespaces.setdefault(name, Namespace(name))
