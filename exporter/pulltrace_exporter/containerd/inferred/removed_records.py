"""Which image a record named that was removed before anybody read it, by what containerd announced of it."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator

from pulltrace.clock import NodeTime
from pulltrace.model.reference import Reference
from pulltrace_exporter.containerd.inferred.cri_image_writes import ImageWrite
from pulltrace_exporter.model.observation import ImageRecord

REMEMBERED = 1000

DIGEST_NAME_SECONDS = 1.0
"""So long after a pull's own name CRI may write the digest as a name of what it has pulled."""


class RemovedRecords:
    """Remembers the last writes, and which root each name had. Both are bounded to `REMEMBERED`."""

    def __init__(self) -> None:
        self._writes: deque[tuple[ImageWrite, Reference | None]] = deque(maxlen=REMEMBERED)
        self._roots: OrderedDict[str, str] = OrderedDict()

    def hear(self, writes: Iterable[ImageWrite]) -> None:
        """These records were written."""
        self._writes.extend((write, Reference.find(write.name)) for write in writes)

    def remember(self, record: ImageRecord) -> None:
        """A record was read or found: its name has this root until it is said to be created anew."""
        self._roots[record.name] = record.root
        self._roots.move_to_end(record.name)
        if len(self._roots) > REMEMBERED:
            self._roots.popitem(last=False)

    def of_root(self, root: str) -> Iterator[ImageRecord]:
        """All that was written, as records of this root, but for what is known to be another image's."""
        for write, _ in self._writes:
            known = None if write.created else self._roots.get(write.name)
            if known in (None, root):
                yield ImageRecord(write.name, NodeTime(write.at), root)

    def pulled_as(self, root: str, may_be: Callable[[ImageRecord], bool]) -> Reference | None:
        """The name that CRI created for this root, among those that it may be. CRI creates the names of what it pulls.

        It adds the digest as a name, too, perhaps also of what another client has imported into the repository.
        """
        foreign = {named.name for write, named in self._writes if named is not None and not write.managed}
        for write, named in self._writes:
            if named is None or not (write.created and write.managed) or (named.digest and named.name in foreign):
                continue
            if may_be(ImageRecord(write.name, NodeTime(write.at), root)):
                record = self.find(write)
                if record is not None and record.root == root:
                    return named
        return None

    def find(self, write: ImageWrite) -> ImageRecord | None:
        """The record that was written; None when nothing says which root it had.

        When the root is new to the repository, CRI writes its digest as a name, too. Else an update leaves the root
        that the name had.
        """
        reference = Reference.find(write.name)
        if reference is None:
            return None
        if reference.digest is not None:
            root = None if self._is_added(write, reference) else reference.digest
        else:
            root = self._root(write, reference)
        return None if root is None else ImageRecord(write.name, NodeTime(write.at), root)

    def _root(self, write: ImageWrite, reference: Reference) -> str | None:
        known = self._roots.get(write.name)
        around = list(self._around(write, reference))
        digests = {digest: after for after, _, digest in around if digest and 0 <= after < DIGEST_NAME_SECONDS}
        for digest, at in digests.items():
            tags = {name for after, name, other in around if not other and at - DIGEST_NAME_SECONDS < after <= at}
            if tags == {write.name}:  # no other pull of the repository can have added it
                return digest
        if known is not None and (known in digests or not write.created):
            return known
        # Other images of the repository may be pulled at the same time: what has a name already is likely theirs.
        others = set(self._roots.values())
        return next((digest for digest in digests if digest not in others), next(iter(digests), None))

    def _is_added(self, write: ImageWrite, reference: Reference) -> bool:
        """Whether CRI wrote this name by itself, after the one that was asked for."""
        around = self._around(write, reference)
        return any(digest is None and -DIGEST_NAME_SECONDS < after <= 0 for after, _, digest in around)

    def _around(self, write: ImageWrite, reference: Reference) -> Iterator[tuple[float, str, str | None]]:
        """Of each write of the same repository: seconds after this one, its name, and the digest in the name."""
        for other, named in self._writes:
            if named is not None and named.name == reference.name:
                yield other.at - write.at, other.name, named.digest
