"""The layers of a pull that a remote snapshotter handles. containerd shows nothing of them until they are committed."""

from collections.abc import Set
from dataclasses import dataclass, field

from pulltrace.clock import Monotonic

SILENT_SECONDS = 2.0
"""If containerd shows no progress of a pull for so long though its config is there, a remote snapshotter is assumed."""


@dataclass(slots=True)
class RemoteLayers:
    """What is known of the layers of one pull that a remote snapshotter handles, by digest.

    `digests` are all of them, `committed` those whose snapshots are committed, `lazy` those of these that were left
    unfetched. `active`: a remote snapshotter works for the pull. The lease names it, its folder shows layers of the
    pull, or it is assumed because containerd shows nothing. `named`: the lease has named its snapshotter, remote or
    not. `snapshotter` is the name of one that no lease named, empty where several are loaded. `silent_since` is when
    containerd began to show nothing. From the position `first_fetched` on containerd itself fetches the layers.
    `seen` are the layers that the snapshotter's folder shows or has shown.
    """

    digests: set[str] = field(default_factory=set)
    committed: set[str] = field(default_factory=set)
    lazy: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    active: bool = False
    named: bool = False
    snapshotter: str = ""
    silent_since: Monotonic | None = None
    first_fetched: int | None = None

    @property
    def pending(self) -> set[str]:
        """The layers that it is fetching."""
        return self.digests - self.committed

    @property
    def may_fetch_unseen(self) -> bool:
        """Whether it fetches layers, or may already do so while containerd shows nothing."""
        return bool(self.pending) or (not self.named and self.silent_since is not None)

    def name(self, snapshotter: str, loaded: frozenset[str]) -> None:
        """Record that the pull's lease names its snapshotter, and whether that is a remote one."""
        self.named, self.active = True, snapshotter in loaded

    def listen(self, loaded: frozenset[str], at: Monotonic, *, shown: bool) -> None:
        """Record whether containerd shows progress of the pull, as long as nothing has named its snapshotter.

        A remote snapshotter blocks the pull while it fetches, so containerd shows nothing meanwhile.
        """
        if self.named or self.seen or not loaded:
            return
        if shown:
            self.silent_since, self.active = None, False
            return
        self.silent_since = at if self.silent_since is None else self.silent_since
        self.active = at - self.silent_since >= SILENT_SECONDS
        self.snapshotter = next(iter(loaded)) if self.active and len(loaded) == 1 else ""

    def see(self, digests: Set[str], loaded: frozenset[str]) -> None:
        """Record layers of the pull that the snapshotter's folder shows."""
        self.seen |= digests
        self.active, self.silent_since = True, None
        self.snapshotter = next(iter(loaded)) if len(loaded) == 1 else self.snapshotter

    def fetched_from(self, position: int) -> None:
        """Record that containerd itself fetches the layer at a position, and so all layers above it."""
        self.first_fetched = position if self.first_fetched is None else min(self.first_fetched, position)
