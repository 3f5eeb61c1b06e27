"""Decides from the list of all ingests whether a lease may have changed since it was read."""

from collections.abc import Iterable
from typing import Final, NamedTuple

MAX_SKIPPED: Final = 4
"""So many polls in a row need not ask what a lease holds when nothing tells of a change."""


class HeldLayer(NamedTuple):
    """A layer of an image, from the lowest: whether its blob is there, and what the snapshotter has of it."""

    complete: bool
    committed: bool
    extracting: bool


class LeaseChanges:
    """Remembers what a lease wrote when it was read."""

    def __init__(self) -> None:
        self._writing: frozenset[str] = frozenset()
        self._skipped = 0

    def was_read(self, writing: frozenset[str]) -> None:
        """The lease was read while these blobs of its image were being written."""
        self._writing = writing
        self._skipped = 0

    def expect(self) -> None:
        """Something may have changed that the list of ingests does not tell."""
        self._skipped = MAX_SKIPPED

    def are_possible(self, writing: frozenset[str], layers: Iterable[HeldLayer]) -> bool:
        """Whether to read it again, now that these blobs are being written.

        While it writes any, it changes when one of them begins or ends, and when a layer is unpacked.
        """
        self._skipped += 1
        other = not writing or writing != self._writing
        return other or self._skipped > MAX_SKIPPED or _can_unpack(layers)


def _can_unpack(layers: Iterable[HeldLayer]) -> bool:
    """Whether a layer is there that can be applied now: on top of one that is, or beside it (containerd 2.2)."""
    below = True
    for layer in layers:
        if layer.complete and not layer.committed and (below or layer.extracting):
            return True
        below = layer.committed
    return False
