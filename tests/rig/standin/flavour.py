"""What differs between versions and configurations of containerd, as far as a reader of its API can see."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flavour:
    """One version with its settings.

    `content_events`: a blob's commit is announced. `snapshotter_in_events`: snapshot events name the snapshotter.
    `opens_ingests_early`: all layers of a pull show an ingest at once, the download slots are taken only for reading
    and are those of the whole daemon; otherwise each pull has its own and an ingest begins with its slot.
    `leases_present_chains`: a pull's lease also holds the snapshots that it found. `removes_unfinished_snapshots`: a
    pull that fails tidies up after itself instead of leaving it to the garbage collector. `rewrites_records`: every
    image record is written at every pull, changed or not. `fetch_buffer`: bytes per request when a layer is fetched in
    several at once, 0 for one. `progress_timeout`: seconds without a byte after which CRI
    cancels a pull, None where there is no such thing.
    """

    name: str
    version: str
    content_events: bool = True
    snapshotter_in_events: bool = True
    opens_ingests_early: bool = False
    leases_present_chains: bool = True
    removes_unfinished_snapshots: bool = True
    rewrites_records: bool = False
    downloads: int = 3
    unpacks: int = 1
    discards_unpacked_layers: bool = False
    fetch_buffer: int = 0
    progress_timeout: float | None = 300.0


V1_6 = Flavour(
    "standin-1.6",
    "1.6.20",
    content_events=False,
    snapshotter_in_events=False,
    leases_present_chains=False,
    removes_unfinished_snapshots=False,
    rewrites_records=True,
    progress_timeout=None,
)
V1_7 = Flavour("standin-1.7", "1.7.24", content_events=False)
V2_1 = Flavour("standin", "2.1.9", opens_ingests_early=True)
