"""One pull as the tracker holds it: the blobs and layers that its manifest names, and how far each of them is."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pulltrace.clock import Instant, Monotonic, NodeTime
from pulltrace.model.pull import ImageKey, Layer, LayerState, Phase, Pull
from pulltrace_exporter.model.observation import Snapshots, SnapshotStat
from pulltrace_exporter.tracking.blob import Blob, Rate
from pulltrace_exporter.tracking.poll import Since, shifted
from pulltrace_exporter.tracking.remote_layers import RemoteLayers

# Each poll looks at each layer. Python 3.11 takes ten times as long to find an enum's member as a module's name.
_WAITING, _DOWNLOADING, _DOWNLOADED = LayerState.WAITING, LayerState.DOWNLOADING, LayerState.DOWNLOADED
_UNPACKING, _UNPACKED = LayerState.UNPACKING, LayerState.UNPACKED
_CACHED, _REMOTE = LayerState.CACHED, LayerState.REMOTE


@dataclass(slots=True)
class ManifestLayer:
    """A position in the manifest. Several positions may name one blob; each has a chain ID of its own.

    `media_type` is this manifest's; another one may give the same blob a different type. `lowest`: no layer is below.
    """

    index: int
    blob: Blob
    media_type: str
    lowest: bool
    chain_id: str | None = None
    state: LayerState = _WAITING
    published: Layer | None = None


@dataclass(eq=False)
class PullState:
    """One or more concurrent requests for one image, from the first lease to the last.

    `started` is the start of its first lease, `since` the same for comparison with containerd's timestamps.
    `resolved_at` is the seconds from there to the registry's answer, `downloaded_at` when all bytes were there.
    `inherited`: the pull began before the exporter, which has observed it since `observed_from`.

    `cached` are the digests of what was on the node before the pull. `undecided` are blobs that came for another pull
    and may serve this one. `documents` are the digests of the index and manifests that were added, `document_blobs`
    the blobs of all indexes and manifests of its leases. `positions` has the first position of each layer,
    `found_snapshots` the snapshots that were found committed, `without_chain_ids` the layers that wait for the chain
    IDs of each config, and `remote` what is known of the layers that a remote snapshotter handles.
    """

    key: ImageKey
    started: Instant
    progressed: Instant
    since: Since
    observed_from: Instant
    inherited: bool = False
    repositories: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    media_type: str = ""
    snapshotter: str = ""
    phase: Phase = Phase.DOWNLOADING
    ended: Instant | None = None
    resolved_at: float | None = None
    downloaded_at: Monotonic | None = None
    leases: set[str] = field(default_factory=set)
    documents: set[str] = field(default_factory=set)
    document_blobs: dict[str, Blob] = field(default_factory=dict)
    blobs: dict[str, Blob] = field(default_factory=dict)
    layers: list[ManifestLayer] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)
    without_chain_ids: dict[str, list[list[ManifestLayer]]] = field(default_factory=dict)
    cached: set[str] = field(default_factory=set)
    undecided: dict[str, Blob] = field(default_factory=dict)
    downloading: set[str] = field(default_factory=set)
    extracting: set[str] = field(default_factory=set)
    committed: set[str] = field(default_factory=set)
    found_snapshots: dict[str, SnapshotStat] = field(default_factory=dict)
    remote: RemoteLayers = field(default_factory=RemoteLayers)
    rate: Rate | None = None
    published: Pull | None = None

    @property
    def counted_since(self) -> Since:
        """Content that has come since then counts as downloaded."""
        began = NodeTime(self.observed_from.wall)
        return Since(began, began) if self.inherited else self.since

    @property
    def has_manifest(self) -> bool:
        """Whether a manifest was read, so that sizes are known."""
        return bool(self.blobs)

    @property
    def complete(self) -> bool:
        """Whether everything that the manifest names is on the node."""
        return all(
            blob.complete or blob.digest in self.cached or blob.digest in self.remote.committed
            for blob in self.blobs.values()
        )

    @property
    def size(self) -> int:
        """Compressed bytes of config and layers, each blob once."""
        return sum(blob.size for blob in self.blobs.values())

    @property
    def downloaded(self) -> int:
        """Bytes on the node of the blobs that were not there before the pull."""
        return sum(blob.downloaded for blob in self.blobs.values() if blob.digest not in self.cached)

    def set_chain_ids(self, config: str, chain_ids: tuple[str, ...]) -> None:
        """Give each layer of a config its chain ID; if the config has too few, the rest get none."""
        for layers in self.without_chain_ids.pop(config, ()):
            for layer, chain_id in zip(layers, chain_ids, strict=False):
                layer.chain_id = chain_id

    def is_committed(self, digest: str) -> bool:
        """Whether the layer with this digest is unpacked at any of its positions."""
        return any(layer.blob.digest == digest and layer.chain_id in self.committed for layer in self.layers)

    def unpacked_at(self, blob: Blob) -> NodeTime:
        """When a layer's snapshot was made (Unix time), 0 if unknown. The blob may have been discarded after that."""
        position = self.positions.get(blob.digest)
        stat = None if position is None else self.found_snapshots.get(self.layers[position].chain_id or "")
        return NodeTime(0.0) if stat is None or not stat.local else stat.created_at or NodeTime(0.0)

    def update_snapshots(self, node: Snapshots) -> bool:
        """Record which snapshots the node's leases hold; returns whether a further layer of this image is committed."""
        chain_ids = {layer.chain_id for layer in self.layers if layer.chain_id is not None}
        self.extracting = chain_ids & node.extracting
        new = (chain_ids & node.committed) - self.committed
        self.committed |= new
        return bool(new)

    def add_found_snapshots(self, found: Mapping[str, SnapshotStat]) -> None:
        """Record which snapshots of the image were found committed; each counts as committed from then on."""
        for layer in self.layers:
            stat = found.get(layer.chain_id) if layer.chain_id else None
            if layer.chain_id is not None and stat is not None and stat.created_at is not None:
                self.snapshotter = self.snapshotter or stat.snapshotter
                self.committed.add(layer.chain_id)
                self.found_snapshots[layer.chain_id] = stat

    def update_states(self) -> bool:
        """Bring the layers' states and the phase up to date; returns whether any of them changed."""
        changed = False
        below_committed = False
        for layer in self.layers:
            state = self._state(layer, below_committed or layer.lowest)
            below_committed = layer.chain_id in self.committed
            if state is not layer.state:
                layer.state, layer.published, changed = state, None, True
        if not self.phase.ended:
            phase = Phase.UNPACKING if self.has_manifest and self.complete else Phase.DOWNLOADING
            changed |= phase is not self.phase
            self.phase = phase
        return changed

    def end(self, result: Phase, now: Instant) -> None:
        """End the pull. When a pull that unpacks has succeeded, every layer is unpacked."""
        if result is Phase.SUCCEEDED and self.snapshotter:
            self.committed.update(layer.chain_id for layer in self.layers if layer.chain_id)
        self.phase, self.ended, self.published = result, now, None
        self.update_states()

    def stage_seconds(self, now: Instant) -> dict[str, float]:
        """How many seconds an ended pull spent in each stage; they add up to its whole time."""
        whole = now.monotonic - self.started.monotonic
        resolve = min(self.resolved_at or 0.0, whole)
        downloaded = whole if self.downloaded_at is None else self.downloaded_at - self.started.monotonic
        download = min(max(downloaded - resolve, 0.0), whole - resolve)
        return {"resolve": resolve, "download": download, "unpack": whole - resolve - download}

    def active_between(self, since: Instant, now: Instant) -> list[tuple[str, float]]:
        """How many seconds of an interval it spent in the stages `download` and `unpack`."""
        if self._only_unseen:
            return []  # its bytes are not seen, so its time would make the registry look slow
        begin = max(since.monotonic, self.started.monotonic + (self.resolved_at or 0.0))
        end = now.monotonic if self.ended is None else min(now.monotonic, self.ended.monotonic)
        if end <= begin:
            return []
        turn = end if self.downloaded_at is None else min(max(self.downloaded_at, begin), end)
        return [("download", turn - begin), ("unpack", end - turn)]

    def publish(self, at: Monotonic) -> Pull:
        """The pull as the view shows it."""
        if self.ended is not None and self.published is not None:
            return self.published
        known = self.has_manifest
        running = self.ended is None
        self.published = Pull(
            key=self.key,
            repositories=self.repositories,
            references=self.references,
            media_type=self.media_type,
            snapshotter=self.snapshotter or self.remote.snapshotter,
            phase=self.phase,
            requests=len(self.leases) if running else 0,
            size=self.size if known else None,
            cached=sum(self.blobs[digest].size for digest in self.cached) if known else None,
            downloaded=self.downloaded if known else None,
            unpacked=self._unpacked_bytes() if known else None,
            bytes_per_second=self._bytes_per_second(at) if running else None,
            started_at=NodeTime(self.started.wall),
            ended_at=NodeTime(self.ended.wall) if self.ended else None,
            last_progress_at=NodeTime(self.progressed.wall),
            layers=tuple(self._publish_layers(at, running=running)),
            remote=sum(self.blobs[digest].size for digest in self.remote.digests),
            remote_pending=sum(self.blobs[digest].size for digest in self.remote.pending),
        )
        return self.published

    def shift(self, seconds: float) -> None:
        """Move all wall-clock times, because the wall clock was stepped."""
        self.started = shifted(self.started, seconds)
        self.observed_from = shifted(self.observed_from, seconds)
        self.since = self.since.shifted(seconds)
        self.progressed = shifted(self.progressed, seconds)
        self.ended = shifted(self.ended, seconds) if self.ended else None
        self.published = None

    @property
    def _only_unseen(self) -> bool:
        """Whether only a remote snapshotter fetches now, unseen; the config's bytes alone tell no rate."""
        return bool(self.remote.digests) and not self.downloading

    def _bytes_per_second(self, at: Monotonic) -> float | None:
        """The download rate; None where layers come unseen or may do so, because then only a part is seen."""
        unseen = self._only_unseen or self.remote.may_fetch_unseen
        return None if self.rate is None or unseen else self.rate.per_second(at)

    def _state(self, layer: ManifestLayer, below_committed: bool) -> LayerState:
        cached = layer.blob.digest in self.cached
        if layer.blob.digest in self.remote.digests:
            unpacked = layer.blob.digest in self.remote.committed - self.remote.lazy
            return _UNPACKED if unpacked else _REMOTE
        if not cached and not layer.blob.complete:
            return _DOWNLOADING if layer.blob.digest in self.downloading else _WAITING
        # Asked only after the bytes: leases are read one after the other, so another lease may show that a layer is
        # unpacked before this poll has seen all its bytes.
        if layer.chain_id is not None and layer.chain_id in self.committed:
            return _CACHED if cached else _UNPACKED
        if self._is_unpacking(layer, below_committed):
            return _UNPACKING
        return _CACHED if cached else _DOWNLOADED

    def _is_unpacking(self, layer: ManifestLayer, below_committed: bool) -> bool:
        # An extract snapshot shows it, also where several layers are applied at once (containerd 2.2). Where they are
        # applied in order, it is the layer above the last committed one, as soon as the pull has any snapshot.
        if layer.chain_id is None or self.ended is not None:
            return layer.state is _UNPACKING
        return layer.chain_id in self.extracting or (below_committed and bool(self.extracting or self.committed))

    def _unpacked_bytes(self) -> int:
        """Compressed bytes of unpacked layers. A blob counts when it is unpacked at every position that names it."""
        sizes: dict[str, int] = {}
        pending = []
        for layer in self.layers:
            state = layer.state
            if state is _UNPACKED or (state is _CACHED and layer.chain_id in self.committed):
                sizes[layer.blob.digest] = layer.blob.size
            else:
                pending.append(layer.blob.digest)
        if sizes:
            for digest in pending:
                sizes.pop(digest, None)
        return sum(sizes.values())

    def _publish_layers(self, at: Monotonic, *, running: bool) -> Iterator[Layer]:
        cached, remote = self.cached, self.remote.digests
        for layer in self.layers:
            blob, known = layer.blob, layer.published
            downloaded: int | None
            if blob.digest in remote:
                downloaded = rate = None
            elif blob.digest in cached:
                downloaded, rate = 0, None
            else:
                downloaded, rate = blob.downloaded, blob.bytes_per_second(at) if running else None
            same = known is not None and known.size == blob.size and known.downloaded == downloaded
            if known is None or not same or known.bytes_per_second != rate:
                known = layer.published = Layer(
                    layer.index, blob.digest, layer.media_type, blob.size, downloaded, rate, layer.state
                )
            yield known


def blobs_of(pulls: Iterable[PullState]) -> set[str]:
    """The digests of all blobs that any of the pulls names."""
    digests: set[str] = set()
    for pull in pulls:
        digests |= pull.blobs.keys() | pull.document_blobs.keys()
    return digests
