"""Which snapshots of a lease's images are committed: asked once, and once more when the lease is gone."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pulltrace_exporter.containerd.client import Client
from pulltrace_exporter.containerd.quirks import LOCAL_SNAPSHOTTERS
from pulltrace_exporter.model.observation import Snapshots, SnapshotStat


class UnpackedImage(NamedTuple):
    """An image as a snapshotter holds it: the digest of its config, and the chain IDs from the lowest layer up."""

    config: str
    snapshotter: str
    chain: tuple[str, ...]


class FoundSnapshots:
    """What the snapshotters said of each chain ID."""

    def __init__(self) -> None:
        self.by_chain_id: dict[str, SnapshotStat] = {}
        self._asked: set[tuple[str, str]] = set()

    def stat(self, client: Client, images: Iterable[UnpackedImage], *, again: bool = False) -> bool:
        """Ask which of the images' snapshots are committed: the top one, else each from the lowest up to a gap.

        Each image is asked for only once, unless `again`. Returns whether a further snapshot was found.
        """
        before = len(self.by_chain_id)
        if again:
            self._asked.clear()
        for image in images:
            if (image.config, image.snapshotter) not in self._asked:
                self._stat_chain(client, image)
                self._asked.add((image.config, image.snapshotter))
        return len(self.by_chain_id) > before

    def stat_remote(self, client: Client, held: Mapping[str, Snapshots]) -> None:
        """Ask once for each snapshot that the lease holds in a remote snapshotter whether its layer was fetched."""
        for name, snapshots in held.items():
            if name not in LOCAL_SNAPSHOTTERS:
                new = sorted(snapshots.committed - self.by_chain_id.keys())
                found = ((chain_id, client.snapshot(name, chain_id)) for chain_id in new)
                self.by_chain_id |= {chain_id: stat for chain_id, stat in found if stat.created_at is not None}

    def date(self, client: Client, discarded: Iterable[str]) -> None:
        """Ask when each known snapshot was made whose layer was discarded: for a new one the layer was fetched."""
        for chain_id in discarded:
            known = self.by_chain_id.get(chain_id)
            if known is not None and known.local:
                self.by_chain_id[chain_id] = client.snapshot(known.snapshotter, chain_id)

    def _stat_chain(self, client: Client, image: UnpackedImage) -> None:
        top = client.snapshot(image.snapshotter, image.chain[-1])
        if top.created_at is not None and top.local:
            self.by_chain_id.update(dict.fromkeys(image.chain, top))
            return
        for chain_id in image.chain[:-1] if top.created_at is None else image.chain:
            found = self.by_chain_id.get(chain_id) or client.snapshot(image.snapshotter, chain_id)
            if found.created_at is None:
                break
            self.by_chain_id[chain_id] = found
