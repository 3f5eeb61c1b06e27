"""An exporter's polls of a simulated node: each gives the tracker what the adapter would have read."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Self

from pulltrace.clock import NodeTime
from pulltrace.model.pull import Layer, Pull
from pulltrace_exporter.model.image import Manifest, chain_ids
from pulltrace_exporter.model.observation import (
    BlobInfo,
    ImageRecord,
    Intent,
    Lease,
    Observation,
    Snapshots,
    SnapshotStat,
)
from pulltrace_exporter.model.view import View
from pulltrace_exporter.tracking.tracker import Tracked, Tracker
from rig.simulated_node import OVERLAY, Held, Node


class _Reader:
    """What the adapter keeps of a lease."""

    def __init__(self, lease: str, held: Held) -> None:
        self._id = lease
        self._held = held
        self._contents: dict[str, BlobInfo | None] = {}
        self._found_blobs: dict[str, BlobInfo | None] = {}
        self._found_snapshots: dict[str, SnapshotStat] = {}
        self._ingests: frozenset[str] = frozenset()
        self._snapshots: dict[str, Snapshots] = {}

    @property
    def empty(self) -> bool:
        return not self._contents

    def adopt(self, node: Node, root: str) -> None:
        """The record that it wrote tells what it was for."""
        self._contents = {root: node.contents[root]}

    def read(self, node: Node) -> Lease:
        """What the lease holds now."""
        self._ingests = frozenset(self._held.ingests)
        self._snapshots = self._held.snapshots
        held = {key: content for key in sorted(self._held.contents) if (content := node.contents.get(key))}
        self._stat_blobs(node, held)
        self._contents = {key: None if key in self._found_blobs else content for key, content in held.items()}
        self._stat_snapshots(node, held)
        self._found_snapshots |= {key: node.snapshots[key] for key in self._held.committed if key in node.snapshots}
        return self._lease()

    def close(self, node: Node) -> Lease:
        """The lease is gone: what was not seen coming is looked for, down from what was seen."""
        found = {key: node.contents.get(key, content) for key, content in self._contents.items() if content}
        for content in list(found.values()):
            for child in content.children:
                for key in (child, *(node.contents[child].children if child in node.contents else ())):
                    if key in node.documents and key in node.contents:
                        found[key] = node.contents[key]
        self._stat_blobs(node, found)
        late = {key for key, content in self._found_blobs.items() if content is None and key not in self._contents}
        found |= {key: node.contents[key] for key in late if key in node.contents}
        self._contents |= found
        self._found_snapshots = {}
        self._stat_snapshots(node, self._contents.keys() | self._found_blobs.keys())
        return self._lease()

    def recall(self, node: Node, root: str, before: float) -> Lease:
        """A pull that nobody saw; what is older than `before` did not come with it."""
        self.adopt(node, root)
        lease = self.close(node)
        found = [content for content in (*lease.contents.values(), *lease.found_blobs.values()) if content]
        came = [content.created_at for content in found if content.created_at > before]
        return replace(lease, created_at=NodeTime(min(came, default=max(node.records[root].values()))))

    def _stat_blobs(self, node: Node, contents: Iterable[str]) -> None:
        """Look once for all that a manifest names, and again at what has no source yet."""
        for manifest in (node.documents.get(key) for key in contents):
            if isinstance(manifest, Manifest):
                for part in manifest.references:
                    found = None if part.digest in node.ingests else node.contents.get(part.digest)
                    self._found_blobs.setdefault(part.digest, found)
        unlabelled = [digest for digest, blob in self._found_blobs.items() if blob and not blob.sources]
        self._found_blobs |= {digest: node.contents[digest] for digest in unlabelled if digest in node.contents}

    def _stat_snapshots(self, node: Node, contents: Iterable[str]) -> None:
        """Look once which snapshots are there."""
        for config in contents if not self._found_snapshots else ():
            if config in node.contents:
                chain = chain_ids(node.diff_ids.get(config, ()))
                stats = (node.snapshots.get(key, SnapshotStat(OVERLAY, node.chains.get(key))) for key in chain)
                self._found_snapshots |= dict(zip(chain, stats, strict=True))

    def _lease(self) -> Lease:
        return Lease(
            self._id,
            NodeTime(self._held.created_at),
            dict(self._contents),
            self._ingests,
            self._snapshots,
            dict(self._found_blobs),
            dict(self._found_snapshots),
            self._held.unpacked,
        )


class Exporter:
    """A tracker that looks at a node; each look shows what the adapter would have read."""

    def __init__(self, node: Node, *, linger: float = 120.0, abandoned: float = 900.0, label_values: int = 100) -> None:
        self.node = node
        self.tracker = Tracker(node.now, linger=linger, abandoned=abandoned, label_values=label_values)
        self.tracked: Tracked = self.tracker.elapse(node.now)
        self._readers: dict[str, _Reader] = {}
        self._looked_at = node.now.wall
        self._connected_to: float | None = None

    def look(self, after: float = 1.0, *intents: str) -> Self:
        """Look once, so many seconds after the last look; the kubelet says that it wants the intents."""
        self.node.sleep(after)
        wanted = [Intent(reference, NodeTime(self.node.now.wall)) for reference in intents]
        self.tracked = self.tracker.observe(self._observe(), self.node.now, wanted)
        return self

    def miss(self, after: float = 1.0) -> Self:
        self.node.sleep(after)
        self._connected_to = None
        self.tracked = self.tracker.elapse(self.node.now)
        return self

    def watch(self, seconds: float, every: float = 1.0) -> Self:
        """Look again and again, though nothing happens."""
        for _ in range(round(seconds / every)):
            self.look(every)
        return self

    def _observe(self) -> Observation:
        node = self.node
        gone = {name: reader for name, reader in self._readers.items() if name not in node.leases}
        written = {pull.id: pull for pull in node.succeeded}
        node.succeeded.clear()
        for name, reader in gone.items():
            if reader.empty and name in written:
                reader.adopt(node, written[name].image.root)
        ended = [reader.close(node) for reader in gone.values()]
        inferred = [
            _Reader(name, pull.held).recall(node, pull.image.root, self._looked_at)
            for name, pull in written.items()
            if name not in gone
        ]
        leases = self._read(node)
        roots = {key for lease in (*ended, *inferred) for key in lease.contents}
        reconnected, self._connected_to = self._connected_to != node.daemon.started_at, node.daemon.started_at
        self._looked_at = node.now.wall
        return Observation(
            node.daemon,
            leases=leases,
            ended=tuple(ended),
            inferred=tuple(inferred),
            ingests=dict(node.ingests),
            documents=dict(node.documents),
            diff_ids={config: ids for config, ids in node.diff_ids.items() if config in node.contents},
            images={root: _records(node.records[root]) for root in roots if root in node.records},
            remote_snapshotters=node.remote_snapshotters,
            fetched=dict(node.fetched),
            reconnected=reconnected,
        )

    def _read(self, node: Node) -> tuple[Lease, ...]:
        ignored = self.tracker.ignored
        self._readers = {
            name: self._readers.get(name) or _Reader(name, held)
            for name, held in node.leases.items()
            if name not in ignored
        }
        bare = (Lease(name, NodeTime(held.created_at)) for name, held in node.leases.items() if name in ignored)
        return (*(reader.read(node) for reader in self._readers.values()), *bare)

    # What the last look shows

    @property
    def shown(self) -> View:
        return self.tracked.view

    @property
    def pull(self) -> Pull:
        """The only pull there is."""
        (pull,) = self.shown.pulls
        return pull

    @property
    def pulls(self) -> dict[str, Pull]:
        return {pull.key.repository: pull for pull in self.shown.pulls}

    @property
    def layers(self) -> Sequence[Layer]:
        return self.pull.layers

    @property
    def states(self) -> list[str]:
        """The states of the only pull's layers."""
        return [layer.state.value for layer in self.layers]

    @property
    def counted(self) -> int:
        """All bytes that were counted as downloaded."""
        return sum(self.shown.totals.downloaded_bytes.values())

    @property
    def found(self) -> int:
        """All bytes that were counted as cached."""
        return sum(self.shown.totals.cached_bytes.values())

    @property
    def remote(self) -> int:
        """All bytes that were counted as a remote snapshotter's."""
        return sum(self.shown.totals.remote_bytes.values())

    @property
    def results(self) -> dict[str, int]:
        """How many pulls ended how, over all registries, without zeros."""
        results: dict[str, int] = {}
        for key, number in self.shown.totals.pulls.items():
            if number:
                results[key.result] = results.get(key.result, 0) + number
        return results


def _records(names: dict[str, float]) -> tuple[ImageRecord, ...]:
    return tuple(ImageRecord(name, NodeTime(updated_at)) for name, updated_at in names.items())
