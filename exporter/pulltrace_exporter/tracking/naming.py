"""Which image a lease is pulling: its root, and which of the root's repositories was asked for."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from pulltrace.model.pull import ImageKey
from pulltrace.model.reference import InvalidReference, Reference
from pulltrace_exporter.model.image import Document
from pulltrace_exporter.model.observation import BlobInfo, ImageRecord, Lease

REMEMBERED_ROOTS = 1024

Source = tuple[str, str]
"""Registry host and repository."""


def root_of(lease: Lease, documents: Mapping[str, Document]) -> BlobInfo | None:
    """The content of a lease that nothing else in it refers to; None while it is not there.

    Only an index or a manifest has children, so a layer is never taken for a root, not even one that its
    manifest no longer refers to by label (`discard_unpacked_layers`).
    """
    named = _named(lease, documents)
    roots = [info for info in lease.contents.values() if info and info.children and info.digest not in named]
    return min(roots, key=lambda info: (not info.sources, info.created_at, info.digest), default=None)


def is_below(digest: str, lease: Lease, documents: Mapping[str, Document]) -> bool:
    """Whether something in the lease refers to `digest`: an import may bring a pulled manifest before its index."""
    return digest in _named(lease, documents)


class Repositories:
    """Remembers which sources roots had, to know the one that a pull adds; bounded to `REMEMBERED_ROOTS`."""

    def __init__(self) -> None:
        self._sources: OrderedDict[str, tuple[Source, ...]] = OrderedDict()

    def sources_before(self, root: BlobInfo) -> tuple[Source, ...]:
        """The root's sources when it was last remembered, else those that it has now."""
        return self._sources.get(root.digest, root.sources)

    def remember(self, root: BlobInfo) -> None:
        """Keep the root's sources for the pulls to come."""
        self._sources[root.digest] = root.sources
        self._sources.move_to_end(root.digest)
        if len(self._sources) > REMEMBERED_ROOTS:
            self._sources.popitem(last=False)


def choose_image(
    root: BlobInfo,
    before: tuple[Source, ...],
    *,
    fresh: bool,
    final: bool,
    intents: Iterable[Reference],
    records: Iterable[ImageRecord] = (),
    fetched: bool = False,
) -> ImageKey | None:
    """The image that a pull of `root` is for, None while that can still change.

    `before` is what sources the root had before this lease; `fresh` that the root came to the node with this lease;
    `final` that no source will be added any more. In order: the source added since the lease began, the name
    that its success wrote, the kubelet's intent, the only source, the first. A root without a source is a pull's
    only if its lease `fetched` blobs; then its record names it.
    """
    sources = root.sources
    if not sources and fetched:
        return next((key for record in records if (key := image_of(record, root.digest)) is not None), None)
    added = [source for source in sources if source not in before]
    if fresh and len(sources) == 1:
        added = list(sources)
    if len(added) == 1:
        return ImageKey(*added[0], root.digest)
    if not sources or not final:
        return None
    candidates = added or list(sources)
    written = (_reference(record.name) for record in records)
    wanted = [(reference.host, reference.repository) for reference in (*written, *intents) if reference]
    return ImageKey(*next((source for source in wanted if source in candidates), candidates[0]), root.digest)


def matching_references(key: ImageKey, records: Iterable[ImageRecord]) -> tuple[str, ...]:
    """The names among `records` that are references to the image's own repository, those with a tag first."""
    found = []
    for record in records:
        reference = _reference(record.name)
        if reference and (reference.host, reference.repository) == (key.registry, key.repository):
            found.append((reference.tag is None, record.name))
    return tuple(name for _, name in sorted(found))


def image_of(record: ImageRecord, root: str) -> ImageKey | None:
    """The image that a record of `root` is named after; None for a name that is no reference."""
    reference = _reference(record.name)
    return None if reference is None else ImageKey(reference.host, reference.repository, root)


def _named(lease: Lease, documents: Mapping[str, Document]) -> set[str]:
    """What the contents of a lease refer to, by label or in their text."""
    named: set[str] = set()
    for info in lease.contents.values():
        if info is not None:
            named |= info.children
            document = documents.get(info.digest)
            named.update(reference.digest for reference in (document.references if document else ()))
    return named


def _reference(name: str) -> Reference | None:
    try:
        return Reference.parse(name)
    except InvalidReference:
        return None  # containerd also names images by the digest of their config
