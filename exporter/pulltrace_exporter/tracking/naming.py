"""Which image a lease is pulling: its root, and which of the root's repositories was asked for."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from pulltrace.model.pull import ImageKey
from pulltrace.model.reference import InvalidReference, Reference
from pulltrace_exporter.model.image import Document
from pulltrace_exporter.model.observation import BlobInfo, ImageRecord, Lease

SETTLE_SECONDS = 2.0
"""How long a root's labels may still change: containerd appends the source label last."""

REMEMBERED_ROOTS = 1024

Source = tuple[str, str]


def root_of(lease: Lease, documents: Mapping[str, Document]) -> BlobInfo | None:
    """The content of a lease that nothing else in it refers to; None while it is not there.

    Only an index or a manifest has children, so a layer is never taken for a root, not even one that its
    manifest no longer refers to by label (`discard_unpacked_layers`).
    """
    described = [content for content in lease.contents.values() if content is not None]
    named = _named(described, documents)
    roots = [content for content in described if content.children and content.digest not in named]
    if not roots:
        return None
    return min(roots, key=lambda content: (not content.sources, content.created_at, content.digest))


def is_below(digest: str, lease: Lease, documents: Mapping[str, Document]) -> bool:
    """Whether something in the lease refers to `digest`: an import may bring a pulled manifest before its index."""
    return digest in _named((content for content in lease.contents.values() if content is not None), documents)


class Repositories:
    """Chooses the repository of a root that several repositories share; remembers what roots bore before."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, frozenset[Source]] = OrderedDict()

    def known(self, root: BlobInfo) -> frozenset[Source]:
        """What the root bore when it was last remembered, else what it bears now."""
        return self._known.get(root.digest, frozenset(root.sources))

    def remember(self, root: BlobInfo) -> None:
        """Keep what the root bears for the pulls to come."""
        self._known[root.digest] = frozenset(root.sources)
        self._known.move_to_end(root.digest)
        if len(self._known) > REMEMBERED_ROOTS:
            self._known.popitem(last=False)


def choose(
    root: BlobInfo,
    before: frozenset[Source],
    *,
    fresh: bool,
    final: bool,
    intents: Iterable[Reference],
    records: Iterable[ImageRecord] = (),
) -> ImageKey | None:
    """The image that a pull of `root` is for, None while that can still change.

    `before` is what the root bore before this lease; `fresh` that the root came to the node with this lease;
    `final` that nothing will be appended any more. In order: the source added since the lease began, the name
    that its success wrote, the kubelet's intent, the only source, the first.
    """
    sources = root.sources
    if not sources:
        return None
    added = [source for source in sources if source not in before]
    if fresh and len(sources) == 1:
        added = list(sources)
    if len(added) == 1:
        return _key(added[0], root)
    if not final:
        return None
    candidates = added or list(sources)
    for reference in [*_references(records), *intents]:
        wanted = (reference.host, reference.repository)
        if wanted in candidates:
            return _key(wanted, root)
    return _key(candidates[0], root)


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


def _named(described: Iterable[BlobInfo], documents: Mapping[str, Document]) -> set[str]:
    named: set[str] = set()
    for content in described:
        named |= content.children
        document = documents.get(content.digest)
        if document is not None:
            named.update(reference.digest for reference in document.references)
    return named


def _key(source: Source, root: BlobInfo) -> ImageKey:
    return ImageKey(source[0], source[1], root.digest)


def _references(records: Iterable[ImageRecord]) -> list[Reference]:
    parsed = (_reference(record.name) for record in records)
    return [reference for reference in parsed if reference is not None]


def _reference(name: str) -> Reference | None:
    try:
        return Reference.parse(name)
    except InvalidReference:
        return None  # containerd also names images by the digest of their config
