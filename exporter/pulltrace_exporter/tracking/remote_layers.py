"""Which layers of a pull a remote snapshotter handles: containerd shows nothing of them before they are committed."""

from collections.abc import Set
from dataclasses import dataclass, field

from pulltrace.clock import Monotonic

SILENT_SECONDS = 2.0
"""When containerd has shown nothing for so long of a pull whose config is there, a remote snapshotter is assumed."""


@dataclass(slots=True)
class RemoteLayers:
    """What is known of the layers of one pull that a remote snapshotter handles, by digest.

    `digests` are all of them, `committed` those whose snapshots are, `lazy` those of them that were left unfetched.
    `active` says that a remote snapshotter works for the pull: the lease has `named` it, or it is assumed, because
    containerd shows nothing. `snapshotter` is the name of an assumed one, empty where there are several.
    `silent_since` is when containerd began to show nothing, `first_fetched` the position from which on containerd
    fetches the layers itself. `seen` are the layers that the snapshotter's folder shows or has shown.
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
        """The pull's lease names its snapshotter."""
        self.named, self.active = True, snapshotter in loaded

    def listen(self, loaded: frozenset[str], at: Monotonic, *, shown: bool) -> None:
        """Take in whether containerd shows the pull at work, while nothing has named its snapshotter.

        A remote one blocks the pull while it fetches.
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
        """Its folder shows layers of the pull."""
        self.seen |= digests
        self.active, self.silent_since = True, None
        self.snapshotter = next(iter(loaded)) if len(loaded) == 1 else self.snapshotter

    def fetched_from(self, position: int) -> None:
        """Take in that containerd fetches the layer at a position itself, and with it all above."""
        self.first_fetched = position if self.first_fetched is None else min(self.first_fetched, position)
