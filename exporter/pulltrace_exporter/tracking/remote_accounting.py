"""Accounting of layers that a remote snapshotter handles: their bytes are not seen, only their snapshots."""

from collections.abc import Collection, Iterable

from pulltrace.clock import Instant
from pulltrace_exporter.model.observation import BlobInfo, FetchedLayer, Lease
from pulltrace_exporter.tracking.counters import Counters
from pulltrace_exporter.tracking.poll import NodeContents, Poll
from pulltrace_exporter.tracking.pull_state import ManifestLayer, PullState


class RemoteAccounting:
    """Decides for each pull which layers a remote snapshotter handles, and counts each once."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def name(self, pull: PullState, lease: Lease, poll: Poll) -> None:
        """Record what the lease tells of the pull's snapshotter."""
        loaded = poll.seen.remote_snapshotters
        if snapshotter := next(iter(lease.snapshots), ""):
            pull.snapshotter = snapshotter
            pull.remote.name(snapshotter, loaded)
            return
        for stat in lease.found_snapshots.values():
            if not stat.local and stat.created_at is not None:
                pull.remote.name(stat.snapshotter, loaded | {stat.snapshotter})
                return

    def decide(self, pull: PullState, leases: Collection[Lease], node: NodeContents, poll: Poll) -> None:
        """Decide which layers the remote snapshotter of a pull handles unseen."""
        remote = pull.remote
        if visible := node.fetched.keys() & pull.positions.keys():
            remote.see(visible, poll.seen.remote_snapshotters)
            remote.digests = set(remote.committed)
            return
        chained = [layer for layer in pull.layers if layer.chain_id is not None]
        if not chained or not (poll.seen.remote_snapshotters or remote.active):
            return
        shown = not node.ingests.isdisjoint(pull.positions) or any(
            layer.chain_id in node.snapshots.extracting for layer in chained
        )
        remote.listen(poll.seen.remote_snapshotters, poll.now.monotonic, shown=shown)
        if not remote.active:
            remote.digests = set(remote.committed)
            return
        fetched = _fetched(pull, leases, poll.now)
        for layer in chained:
            if layer.blob.digest in fetched or layer.chain_id in node.snapshots.extracting:
                remote.fetched_from(layer.index)
                break
        unseen = {layer.blob.digest for layer in chained if _is_unseen(pull, layer)}
        remote.digests = unseen | remote.committed

    def commit(self, pull: PullState, now: Instant) -> list[ManifestLayer]:
        """Record which of these layers are committed; returns those that were on the node before the pull."""
        before = []
        for layer in pull.layers if pull.remote.active else ():
            digest = layer.blob.digest
            if layer.chain_id not in pull.committed or not _is_unseen(pull, layer):
                continue
            if digest in pull.remote.seen - pull.remote.digests:
                continue
            pull.remote.digests.add(digest)
            stat = pull.found_snapshots.get(layer.chain_id or "")
            if stat is not None and stat.lazy:
                pull.remote.lazy.add(digest)
            elif stat is not None and stat.created_at is not None and not pull.since.covers(stat.created_at, now):
                pull.remote.digests.discard(digest)
                pull.remote.committed.discard(digest)
                before.append(layer)
                continue
            self._count(pull, digest)
        return before

    def finish(self, pull: PullState) -> None:
        """The pull has succeeded, so that all its layers are committed."""
        for digest in pull.remote.pending:
            self._count(pull, digest)

    def _count(self, pull: PullState, digest: str) -> None:
        if digest not in pull.remote.committed:
            pull.remote.committed.add(digest)
            self._counters.add_remote(pull.key.registry, pull.blobs[digest].size)


def fetched_layers(running: Collection[PullState], poll: Poll) -> dict[str, FetchedLayer]:
    """What a remote snapshotter's folder shows of the layers of these pulls.

    A download that began before the pull is left over from an earlier one, and is ignored. Of several downloads of a
    layer, the one that is furthest counts.
    """
    found: dict[str, FetchedLayer] = {}
    for pull in running:
        for digest in pull.positions.keys() & poll.seen.fetched.keys():
            own = [each for each in poll.seen.fetched[digest] if pull.since.covers(each.started_at, poll.now)]
            found |= {digest: max((*own, *([found[digest]] if digest in found else ())), key=_progress)} if own else {}
    return found


def _progress(layer: FetchedLayer) -> tuple[bool, int]:
    return layer.complete, layer.downloaded


def is_brought(pull: PullState, lease: Lease, info: BlobInfo, poll: Poll) -> bool:
    """Whether a layer's blob was put into the store by the pull's remote snapshotter, not fetched by containerd.

    A blob that containerd has fetched has a source label and is the lease's, one that a remote snapshotter has stored
    has none and is not. The snapshotter stores small layers before anything has named it.
    """
    possible = pull.remote.active or (poll.seen.remote_snapshotters and not pull.remote.named)
    if not possible or info.sources or info.digest in lease.contents:
        return False
    return pull.since.covers(info.created_at, poll.now)


def _fetched(pull: PullState, leases: Iterable[Lease], now: Instant) -> set[str]:
    """What containerd itself fetches or has fetched for these leases of the pull."""
    fetched: set[str] = set()
    for lease in leases:
        fetched |= lease.ingests
        fetched |= {digest for digest, info in lease.contents.items() if info is None or info.sources}
        for digest, info in lease.found_blobs.items():
            if info is not None and info.sources and pull.since.covers(info.created_at, now):
                fetched.add(digest)
    return fetched


def _is_unseen(pull: PullState, layer: ManifestLayer) -> bool:
    """Whether no byte of a layer was seen, and containerd fetches neither it nor a layer below it."""
    blob, first = layer.blob, pull.remote.first_fetched
    if blob.complete or blob.downloaded or blob.digest in pull.cached:
        return False
    return first is None or layer.index < first
