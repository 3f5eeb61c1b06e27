"""Tells the record that ends a pull from the other records that CRI writes for it, so that each pull counts once."""

from collections import defaultdict
from dataclasses import dataclass

from pulltrace.model.reference import Reference

LASTING_SECONDS = 30.0
"""How long to wait for what CRI writes after a pull: with a big manifest it takes seconds. If a write does
not come in that time, the next write of the same name by another pull is taken for it."""


@dataclass(frozen=True, slots=True)
class ImageWrite:
    """A record that was created or updated, as containerd announced it at `at` (Unix time).

    `managed`: it bears CRI's mark, which CRI adds to what other clients write.
    """

    name: str
    at: float
    created: bool
    managed: bool


class CriImageWrites:
    """The writes that CRI still has to make after a pull's own write, by name.

    A pull writes the name that it was asked for, under its lease. CRI then adds a name with the image's digest, once.
    Old versions of CRI write the requested name again, and the digest at each pull. When another client has written a
    name, CRI writes it again to mark it as its own.
    """

    def __init__(self) -> None:
        self._again: defaultdict[str, list[ImageWrite]] = defaultdict(list)
        """By the name that is to be written again: what it repeats."""
        self._creations: dict[str, float] = {}

    def expect(self, write: ImageWrite, root: str, *, rewriting: bool) -> None:
        """Wait for the writes that CRI adds after a pull's own write."""
        self._tidy(write.at)
        if rewriting or not write.managed:
            self._again[write.name].append(write)
        added = _digest_name(write.name, root)
        if rewriting and write.managed and added != write.name:
            self._again[added].append(write)
        elif write.managed:
            self.expect_digest(write.name, root, write.at)

    def expect_digest(self, name: str, root: str, at: float) -> None:
        """Wait for the name that CRI makes of the digest of what was pulled as `name` at that time."""
        added = _digest_name(name, root)
        if added != name:
            self._creations[added] = at

    def cancel(self, name: str, root: str) -> None:
        """CRI's pull that wrote this name has failed after that, so CRI writes nothing more for it."""
        for each in (name, _digest_name(name, root)):
            pending = self._again.get(each, [])
            last = next((write for write in reversed(pending) if write.managed), None)
            if last is not None:
                pending.remove(last)
            self._creations.pop(each, None)

    def hear(self, write: ImageWrite) -> bool:
        """Whether this write was waited for. It is not waited for any longer then."""
        self._tidy(write.at)
        if not write.managed:
            return False
        if self._again.get(write.name):
            self._again[write.name].pop(0)
            return True
        return write.created and self._creations.pop(write.name, None) is not None

    def due(self, name: str) -> bool:
        """Whether a write of this name is waited for."""
        return bool(self._again.get(name)) or name in self._creations

    def _tidy(self, now: float) -> None:
        """Forget writes that did not come, and those that a step of the clock has put into the future."""
        for name, writes in list(self._again.items()):
            self._again[name] = [write for write in writes if abs(now - write.at) < LASTING_SECONDS]
            if not self._again[name]:
                del self._again[name]
        self._creations = {name: at for name, at in self._creations.items() if abs(now - at) < LASTING_SECONDS}


def _digest_name(name: str, root: str) -> str:
    return f"{Reference.parse(name).name}@{root}"
