"""One pull as the tracker holds it: what its manifest asks for and how far each part of that is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pulltrace.clock import Instant, NodeTime
from pulltrace.model.pull import ImageKey, Layer, LayerState, Phase, Pull
from pulltrace_exporter.model.observation import Snapshots, SnapshotStat
from pulltrace_exporter.tracking.blob import Blob
from pulltrace_exporter.tracking.rate import Rate
from pulltrace_exporter.tracking.stamps import Since


@dataclass(slots=True)
class Slot:
    """A position in the manifest. Several positions may name one blob; each has a chain ID of its own.

    `media_type` is what this manifest says: another one may call the same blob otherwise. `lowest` has no layer below.
    """

    index: int
    blob: Blob
    media_type: str
    lowest: bool
    chain: str | None = None
    state: LayerState = LayerState.WAITING
    shown: Layer | None = None


@dataclass(eq=False)
class Attempt:
    """One or more concurrent requests for one image, from the first lease to the last.

    `inherited` says that it began before the exporter did; `watched` is when it began before our eyes, `since` what
    came with it has to be compared with.

    `started` is the oldest lease's start, `resolved_at` the seconds from there to the registry's answer,
    `downloaded_at` the monotonic time at which all bytes were there. `cached` holds the digests of what was on the
    node before, `documents` those of index and manifests that were taken in, `positions` the first position of each
    layer, `found_snapshots` the snapshots that were there when they were asked for, `configs` the slots
    that wait for each config's chain IDs.
    """

    key: ImageKey
    started: Instant
    progressed: Instant
    since: Since
    watched: Instant
    inherited: bool = False
    repositories: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    media_type: str = ""
    snapshotter: str = ""
    phase: Phase = Phase.DOWNLOADING
    ended: Instant | None = None
    resolved_at: float | None = None
    downloaded_at: float | None = None
    leases: set[str] = field(default_factory=set)
    documents: set[str] = field(default_factory=set)
    positions: dict[str, int] = field(default_factory=dict)
    configs: dict[str, list[list[Slot]]] = field(default_factory=dict)
    slots: list[Slot] = field(default_factory=list)
    blobs: dict[str, Blob] = field(default_factory=dict)
    envelope: dict[str, Blob] = field(default_factory=dict)
    cached: set[str] = field(default_factory=set)
    committed: set[str] = field(default_factory=set)
    found_snapshots: dict[str, SnapshotStat] = field(default_factory=dict)
    extracting: set[str] = field(default_factory=set)
    fetching: set[str] = field(default_factory=set)
    rate: Rate | None = None
    shown: Pull | None = None

    @property
    def counted(self) -> Since:
        """From when on what comes is fetched before our eyes."""
        return Since(self.watched.wall, self.watched.wall) if self.inherited else self.since

    @property
    def described(self) -> bool:
        """Whether a manifest was read, so that sizes are known."""
        return bool(self.blobs)

    def take_chains(self, config: str, chains: tuple[str, ...]) -> None:
        """Give each slot of a config its chain ID; a config with too few leaves the rest without."""
        for slots in self.configs.pop(config, ()):
            for slot, chain in zip(slots, chains, strict=False):
                slot.chain = chain

    def take_snapshots(self, node: Snapshots) -> bool:
        """Take in what the node's leases hold of snapshotters; returns whether a layer of this image was committed."""
        chains = {slot.chain for slot in self.slots if slot.chain is not None}
        self.extracting = chains & node.extracting
        new = (chains & node.committed) - self.committed
        self.committed |= new
        return bool(new)

    def take_found_snapshots(self, chains: Mapping[str, SnapshotStat]) -> None:
        """Take in which snapshots were there when the image was looked up; each is there from then on."""
        for slot in self.slots:
            chain = chains.get(slot.chain) if slot.chain else None
            if slot.chain is not None and chain is not None and chain.created_at is not None:
                self.snapshotter = self.snapshotter or chain.snapshotter
                self.committed.add(slot.chain)
                self.found_snapshots[slot.chain] = chain

    def is_committed(self, digest: str) -> bool:
        """Whether a layer is unpacked, wherever in the manifest it stands."""
        return any(slot.blob.digest == digest and slot.chain in self.committed for slot in self.slots)

    def end(self, result: Phase, now: Instant) -> None:
        """Nothing more will come. A success of a pull that unpacks means that every layer is unpacked."""
        if result is Phase.SUCCEEDED and self.snapshotter:
            self.committed.update(slot.chain for slot in self.slots if slot.chain)
        self.phase, self.ended, self.shown = result, now, None
        self.settle()

    def active_between(self, since: Instant, now: Instant) -> list[tuple[str, float]]:
        """How long of an interval it was in the stages `download` and `unpack`, in seconds."""
        begin = max(since.monotonic, self.started.monotonic + (self.resolved_at or 0.0))
        end = now.monotonic if self.ended is None else min(now.monotonic, self.ended.monotonic)
        if end <= begin:
            return []
        turn = end if self.downloaded_at is None else min(max(self.downloaded_at, begin), end)
        return [("download", turn - begin), ("unpack", end - turn)]

    def settle(self) -> bool:
        """Bring the layers' states and the phase up to date; returns whether any of them changed."""
        changed = False
        below_committed = False
        for slot in self.slots:
            state = self._state(slot, below_committed or slot.lowest)
            below_committed = slot.chain in self.committed
            if state is not slot.state:
                slot.state, slot.shown, changed = state, None, True
        if not self.phase.ended:
            phase = Phase.UNPACKING if self.described and self.complete else Phase.DOWNLOADING
            changed |= phase is not self.phase
            self.phase = phase
        return changed

    @property
    def complete(self) -> bool:
        """Whether everything that the manifest names is on the node."""
        return all(blob.complete or blob.digest in self.cached for blob in self.blobs.values())

    @property
    def size(self) -> int:
        """Compressed bytes of config and layers, each blob once."""
        return sum(blob.size for blob in self.blobs.values())

    @property
    def downloaded(self) -> int:
        """Bytes on the node of what was not there before."""
        return sum(blob.have for blob in self.blobs.values() if blob.digest not in self.cached)

    def show(self, at: float) -> Pull:
        """The pull as others see it at the monotonic time `at`."""
        if self.ended is not None and self.shown is not None:
            return self.shown
        described = self.described
        running = self.ended is None
        self.shown = Pull(
            key=self.key,
            repositories=self.repositories,
            references=self.references,
            media_type=self.media_type,
            snapshotter=self.snapshotter,
            phase=self.phase,
            requests=len(self.leases) if running else 0,
            size=self.size if described else None,
            cached=sum(self.blobs[digest].size for digest in self.cached) if described else None,
            downloaded=self.downloaded if described else None,
            unpacked=self._unpacked_bytes() if described else None,
            bytes_per_second=self.rate.per_second(at) if running and self.rate else None,
            started_at=NodeTime(self.started.wall),
            ended_at=NodeTime(self.ended.wall) if self.ended else None,
            last_progress_at=NodeTime(self.progressed.wall),
            layers=tuple(self._layer(slot, at, running=running) for slot in self.slots),
        )
        return self.shown

    def shift(self, seconds: float) -> None:
        """Move all wall-clock times, because the wall clock was stepped."""
        self.started = _shifted(self.started, seconds)
        self.watched = _shifted(self.watched, seconds)
        self.since = self.since.shifted(seconds)
        self.progressed = _shifted(self.progressed, seconds)
        self.ended = _shifted(self.ended, seconds) if self.ended else None
        self.shown = None

    def _state(self, slot: Slot, below_committed: bool) -> LayerState:
        blob = slot.blob
        cached = blob.digest in self.cached
        # Leases are read one after the other: another's may show a layer unpacked whose bytes are still on their way.
        if slot.chain is not None and slot.chain in self.committed and (cached or blob.complete):
            return LayerState.CACHED if cached else LayerState.UNPACKED
        if cached or blob.complete:
            if self._unpacking(slot, below_committed):
                return LayerState.UNPACKING
            return LayerState.CACHED if cached else LayerState.DOWNLOADED
        return LayerState.DOWNLOADING if blob.digest in self.fetching else LayerState.WAITING

    def _unpacking(self, slot: Slot, below_committed: bool) -> bool:
        # Its extract snapshot says so, also where several layers are applied at once (containerd 2.2). In order,
        # the next one above what is committed is at work once snapshots of this pull exist at all.
        if slot.chain is None or self.ended is not None:
            return slot.state is LayerState.UNPACKING
        if slot.chain in self.extracting:
            return True
        return below_committed and bool(self.extracting or self.committed)

    def _unpacked_bytes(self) -> int:
        pending = {slot.blob.digest for slot in self.slots if not self._unpacked(slot)}
        sizes = {slot.blob.digest: slot.blob.size for slot in self.slots}
        return sum(size for digest, size in sizes.items() if digest not in pending)

    def _unpacked(self, slot: Slot) -> bool:
        return slot.state is LayerState.UNPACKED or (
            slot.state is LayerState.CACHED and slot.chain is not None and slot.chain in self.committed
        )

    def _layer(self, slot: Slot, at: float, *, running: bool) -> Layer:
        blob = slot.blob
        cached = blob.digest in self.cached
        downloaded = 0 if cached else blob.have
        rate = blob.bytes_per_second(at) if running and not cached else None
        shown = slot.shown
        if shown is None or shown.downloaded != downloaded or shown.bytes_per_second != rate:
            shown = slot.shown = Layer(
                slot.index, blob.digest, slot.media_type, blob.size, downloaded, rate, slot.state
            )
        return shown


def blobs_of(attempts: Iterable[Attempt]) -> set[str]:
    """The digests of all blobs that any of the attempts names."""
    digests: set[str] = set()
    for attempt in attempts:
        digests |= attempt.blobs.keys()
        digests |= attempt.envelope.keys()
    return digests


def _shifted(instant: Instant, seconds: float) -> Instant:
    return Instant(instant.wall + seconds, instant.monotonic)
