"""Accounting of bytes: which blobs a pull needs, how much of each is there, and what came over the network."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from pulltrace.clock import Instant
from pulltrace.model.pull import Phase
from pulltrace_exporter.model.image import Descriptor, Manifest, chain_ids
from pulltrace_exporter.model.observation import BlobInfo, Ingest, Lease, Snapshots
from pulltrace_exporter.tracking.blob import Blob, LeftIngests
from pulltrace_exporter.tracking.counters import Ledger
from pulltrace_exporter.tracking.event_log import Chronicle
from pulltrace_exporter.tracking.poll import Look
from pulltrace_exporter.tracking.pull_state import Attempt, Slot, blobs_of
from pulltrace_exporter.tracking.rate import Rate


class Fetching:
    """All blobs of the node that any pull names. A blob is one object however many pulls need it."""

    def __init__(self, ledger: Ledger, chronicle: Chronicle) -> None:
        self._ledger = ledger
        self._chronicle = chronicle
        self._blobs: dict[str, Blob] = {}
        self._left = LeftIngests()
        self._counted = 0

    def take(self, attempt: Attempt, lease: Lease, look: Look) -> None:
        """Take in what a lease holds for the image that it is pulling."""
        documents = {digest: look.seen.documents[digest] for digest in lease.contents if digest in look.seen.documents}
        platforms = sum(isinstance(document, Manifest) for document in documents.values())
        for digest, document in documents.items():
            if digest in attempt.documents:
                continue
            content = lease.contents[digest]
            if content is not None:
                self._take_envelope(attempt, content, document.media_type, look.now)
            # A client may fetch the manifests of all platforms and the layers of one.
            if isinstance(document, Manifest) and platforms > 1 and not _is_fetched(document, lease):
                continue
            attempt.documents.add(digest)
            if isinstance(document, Manifest):
                self._take_manifest(attempt, document, lease, look)
        for config in list(attempt.configs):
            if config in look.seen.diff_ids:
                attempt.take_chains(config, chain_ids(look.seen.diff_ids[config]))
        if lease.found_snapshots:
            attempt.take_found_snapshots(lease.found_snapshots)

    def advance(self, running: Sequence[Attempt], live: Iterable[Lease], look: Look) -> None:
        """Bring running pulls up to what the node shows now."""
        held = {lease.id: lease for lease in (*look.seen.ended, *live)}
        node = _together(held.values(), look.seen.ended)
        moved = {digest for attempt in running for digest in self._advance_blobs(attempt, node, look)}
        for attempt in running:
            for lease_id in attempt.leases & held.keys():
                attempt.snapshotter = attempt.snapshotter or next(iter(held[lease_id].snapshots), "")
            self._advance_attempt(attempt, node, look.now, moved=not moved.isdisjoint(attempt.blobs))

    def finish(self, attempt: Attempt, result: Phase, look: Look, beside: Iterable[Attempt]) -> None:
        """The last request of a pull is gone: complete what its success says is there, remember what is left.

        What is left begins anew with the next pull of it, unless one of those `beside` goes on with it.
        """
        shared = blobs_of(beside)
        for blob in attempt.blobs.values():
            if blob.complete or blob.digest in attempt.cached:
                continue
            if result is Phase.SUCCEEDED:
                self._supply(attempt, blob, look.now)
                continue
            if blob.digest in look.seen.ingests:
                self._left.leave(look.seen.ingests[blob.digest], blob.have)
            if blob.digest not in shared:
                blob.begun = None
        if result is Phase.SUCCEEDED and attempt.downloaded_at in (None, look.now.monotonic):
            attempt.downloaded_at = _last_arrival(attempt, look)

    def forget(self, attempts: Iterable[Attempt]) -> None:
        """Drop the blobs that no pull names any more."""
        named = blobs_of(attempts)
        self._blobs = {digest: blob for digest, blob in self._blobs.items() if digest in named}

    # Taking a manifest in

    def _take_envelope(self, attempt: Attempt, content: BlobInfo, media_type: str, now: Instant) -> None:
        """Count an index or a manifest: it is fetched like any blob, but no part of the image's size."""
        blob = self._blobs.get(content.digest)
        if blob is None or blob.is_older_than(content, now):
            blob = Blob(content.digest, content.size, media_type, attempt.key.registry)
            self._blobs[content.digest] = blob
            self._found(attempt, blob, content, now)
        attempt.envelope[content.digest] = blob

    def _take_manifest(self, attempt: Attempt, manifest: Manifest, lease: Lease, look: Look) -> None:
        counted = self._counted
        came = []
        for descriptor in manifest.references:
            if descriptor.digest not in attempt.blobs:
                before = self._counted
                blob = self._take_blob(attempt, descriptor, lease, look)
                came += [blob] if self._counted > before else []
                attempt.blobs[descriptor.digest] = blob
                if blob.digest in attempt.cached:
                    self._ledger.cached(attempt.key.registry, blob.size)
        slots = [
            Slot(len(attempt.slots) + position, attempt.blobs[layer.digest], layer.media_type, lowest=not position)
            for position, layer in enumerate(manifest.layers)
        ]
        attempt.slots.extend(slots)
        for slot in slots:
            attempt.positions.setdefault(slot.blob.digest, slot.index)
        if manifest.config is not None:
            attempt.configs.setdefault(manifest.config.digest, []).append(slots)
        if attempt.rate is None:
            attempt.rate = Rate(_unseen_since(attempt, look), attempt.downloaded - (self._counted - counted))
            self._chronicle.resolved(attempt, look.now)
        attempt.progressed = look.now
        for blob in came:
            self._begin(attempt, blob, 0, look.now)
            self._tell_complete(attempt, blob, look.now)

    def _take_blob(self, attempt: Attempt, descriptor: Descriptor, lease: Lease, look: Look) -> Blob:
        digest = descriptor.digest
        content = lease.found_blobs.get(digest)
        blob = self._blobs.get(digest)
        absent = content is None and digest not in lease.contents
        # What came while this pull ran, for another one, may be unpacked and discarded by now: it served both.
        gone = absent and blob is not None and blob.complete and blob.completed < attempt.started.monotonic
        if blob is None or gone or (content is not None and blob.is_older_than(content, look.now)):
            # New, or known but deleted from the node since: then it is fetched again.
            blob = self._blobs[digest] = Blob(digest, descriptor.size, descriptor.media_type, attempt.key.registry)
            if digest in look.seen.ingests:
                blob.have = min(self._already(look.seen.ingests[digest], attempt, look.now), blob.size)
            elif content is not None:
                blob.have = min(self._left.accounted(digest), blob.size)
        if content is not None:
            if not attempt.since.covers(content.created_at, look.now):
                attempt.cached.add(digest)
            self._found(attempt, blob, content, look.now)
        return blob

    def _already(self, ingest: Ingest, attempt: Attempt, now: Instant) -> int:
        """How many bytes of an ingest had come before this pull began, or before anybody looked."""
        left = self._left.resume(ingest)
        if left is None:
            return 0 if attempt.counted.covers(ingest.started_at, now) else ingest.offset
        return left

    def _found(self, attempt: Attempt, blob: Blob, content: BlobInfo, now: Instant) -> None:
        """Take in a blob that was in the store when it was first looked for."""
        if not blob.complete:
            grown = blob.complete_at(now.monotonic)
            self._left.forget(blob.digest)
            if attempt.counted.covers(content.created_at, now):
                self._count(blob, grown)

    # Following

    def _advance_blobs(self, attempt: Attempt, node: "_Together", look: Look) -> Iterator[str]:
        """Bring an attempt's unfinished blobs up to date; yields those that moved."""
        at = look.now.monotonic
        for digest, blob in attempt.blobs.items():
            if blob.complete or digest in attempt.cached:
                continue
            ingest = look.seen.ingests.get(digest)
            if digest in node.contents:
                self._complete(attempt, blob, look.now)
                yield digest
            elif ingest is not None:
                self._begin(attempt, blob, blob.have, look.now)
                blob.watch(_unseen_since(attempt, look) if ingest.offset > blob.have else at, blob.have)
                grown = blob.reach(ingest.offset, at)
                self._count(blob, grown)
                if grown or ingest.updated_at != blob.moved:
                    blob.moved = ingest.updated_at
                    yield digest

    def _advance_attempt(self, attempt: Attempt, node: "_Together", now: Instant, *, moved: bool) -> None:
        # A layer that another pull unpacks is unpacked for this one too, which holds no snapshot of it.
        moved |= attempt.take_snapshots(node.snapshots)
        attempt.fetching = {digest for digest in attempt.blobs if digest in node.ingests}
        self._take_unfetched(attempt, now)
        moved |= attempt.settle()
        if attempt.rate is not None:
            attempt.rate.advance(now.monotonic, attempt.downloaded)
        if attempt.phase is Phase.UNPACKING and attempt.downloaded_at is None:
            attempt.downloaded_at = now.monotonic
        if moved:
            attempt.progressed = now

    def _take_unfetched(self, attempt: Attempt, now: Instant) -> None:
        """A remote snapshotter commits a layer that was never fetched: for the pull it was there."""
        for slot in attempt.slots:
            blob = slot.blob
            untouched = not blob.have and not blob.complete and blob.digest not in attempt.fetching
            if slot.chain not in attempt.committed or not untouched or blob.digest in attempt.cached:
                continue
            if not attempt.since.covers(_unpacked_at(attempt, blob), now):
                self._spare(attempt, blob)

    def _supply(self, attempt: Attempt, blob: Blob, now: Instant) -> None:
        """The pull has succeeded: this blob was fetched since the last look, or was never needed, or never came.

        What is neither in the store nor unpacked, and was not seen coming, is not on the node: containerd leaves
        alone what it does not know to be a layer.
        """
        came = bool(blob.have) or blob.digest in attempt.fetching
        if not came and not attempt.is_committed(blob.digest):
            return
        unpacked_at = _unpacked_at(attempt, blob)
        if came or attempt.counted.covers(unpacked_at, now):
            self._complete(attempt, blob, now)
        elif attempt.since.covers(unpacked_at, now):
            blob.complete_at(now.monotonic)  # before our eyes were opened
        else:
            self._spare(attempt, blob)

    def _spare(self, attempt: Attempt, blob: Blob) -> None:
        attempt.cached.add(blob.digest)
        self._ledger.cached(attempt.key.registry, blob.size)

    def _begin(self, attempt: Attempt, blob: Blob, had: int, now: Instant) -> None:
        if blob.begun is None:
            blob.begun = now
            if blob.digest in attempt.positions and not (attempt.inherited and had):
                self._chronicle.layer_started(attempt, blob, now)

    def _complete(self, attempt: Attempt, blob: Blob, now: Instant) -> None:
        self._begin(attempt, blob, blob.have, now)
        self._left.forget(blob.digest)
        self._count(blob, blob.complete_at(now.monotonic))
        self._tell_complete(attempt, blob, now)

    def _tell_complete(self, attempt: Attempt, blob: Blob, now: Instant) -> None:
        if blob.digest in attempt.positions:
            self._chronicle.layer_completed(attempt, blob, now)

    def _count(self, blob: Blob, size: int) -> None:
        if size:
            self._counted += size
            self._ledger.downloaded(blob.registry, blob.media_type, size)


@dataclass(frozen=True, slots=True)
class _Together:
    """What all leases of the node hold, whoever's they are."""

    contents: frozenset[str]
    ingests: frozenset[str]
    snapshots: Snapshots


def _together(leases: Collection[Lease], ended: Iterable[Lease]) -> _Together:
    snapshots = [held for lease in leases for held in lease.snapshots.values()]
    # A lease whose manifest was read when it had gone was not asked for the rest any more.
    found_blobs = {digest for lease in ended for digest, content in lease.found_blobs.items() if content is not None}
    return _Together(
        frozenset(found_blobs).union(*(lease.contents.keys() for lease in leases)),
        frozenset().union(*(lease.ingests for lease in leases)),
        Snapshots(
            frozenset().union(*(held.committed for held in snapshots)),
            frozenset().union(*(held.extracting for held in snapshots)),
        ),
    )


def _unpacked_at(attempt: Attempt, blob: Blob) -> float:
    """When a layer's snapshot was made out of it, 0 if nobody knows: it may have been discarded after that."""
    position = attempt.positions.get(blob.digest)
    chain = None if position is None else attempt.found_snapshots.get(attempt.slots[position].chain or "")
    return chain.created_at or 0.0 if chain is not None and chain.local else 0.0


def _unseen_since(attempt: Attempt, look: Look) -> float:
    """The monotonic time since which what is new in this look may have come."""
    watched = attempt.watched.monotonic
    return watched if look.previous is None else max(look.previous.monotonic, watched)


def _is_fetched(manifest: Manifest, lease: Lease) -> bool:
    """Whether any layer of a manifest is on the node or on its way there."""
    layers = (layer.digest for layer in manifest.layers)
    return any(
        digest in lease.contents or digest in lease.ingests or lease.found_blobs.get(digest) is not None
        for digest in layers
    )


def _last_arrival(attempt: Attempt, look: Look) -> float:
    """The monotonic time at which the last blob came: what was not seen coming was described after the end."""
    found = (kept for lease in look.seen.ended for kept in (*lease.contents.values(), *lease.found_blobs.values()))
    arrivals = [content.created_at for content in found if content and content.digest in attempt.blobs]
    return look.now.monotonic - max(look.now.wall - max(arrivals, default=look.now.wall), 0.0)
