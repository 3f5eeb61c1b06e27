"""What one poll reads leases with."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pulltrace_exporter.containerd.client import Client
from pulltrace_exporter.containerd.inferred.cri_image_writes import ImageWrite
from pulltrace_exporter.model.observation import Ingest


@dataclass(slots=True)
class Reading:
    """One reading of containerd, whose leases were listed at `now` (Unix time).

    `version` is containerd's. `ingests` are all blobs that are being written, by digest. `snapshotter` is the one to
    ask where a lease names none: the last that a lease has named. `late` waits a moment for more writes of images.
    """

    client: Client
    version: str
    now: float
    ingests: dict[str, Ingest]
    snapshotter: str
    late: Callable[[], Iterable[ImageWrite]]
