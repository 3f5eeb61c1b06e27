"""What a lease is pulling: its root, which of the root's repositories was asked for, and which manifests."""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping

from pulltrace.model.pull import ImageKey
from pulltrace.model.reference import Reference
from pulltrace_exporter.model.image import Descriptor, Document, Manifest
from pulltrace_exporter.model.observation import BlobInfo, ImageRecord, Lease

REMEMBERED_ROOTS = 1024

Source = tuple[str, str]
"""Registry host and repository."""


def root_of(lease: Lease, documents: Mapping[str, Document]) -> BlobInfo | None:
    """The index or manifest that nothing else in the lease refers to; of several, the oldest with a source, if any.

    None while there is none. A layer has no children, so it is never taken for a root, even when its manifest no
    longer has a label for it (`discard_unpacked_layers`).
    """
    named = _named(lease, documents)
    roots = [info for info in lease.contents.values() if info and info.children and info.digest not in named]
    return min(roots, key=lambda info: (not info.sources, info.created_at, info.digest), default=None)


def is_below(digest: str, lease: Lease, documents: Mapping[str, Document]) -> bool:
    """Whether other content of the lease refers to `digest`: an import may bring a pulled manifest before its index."""
    return digest in _named(lease, documents)


class Repositories:
    """Remembers the sources of the last `REMEMBERED_ROOTS` roots, to find the source that a pull adds."""

    def __init__(self) -> None:
        self._sources: OrderedDict[str, tuple[Source, ...]] = OrderedDict()

    def sources_before(self, root: BlobInfo) -> tuple[Source, ...]:
        """The root's sources when it was last remembered, else those that it has now."""
        return self._sources.get(root.digest, root.sources)

    def remember(self, digest: str, sources: Iterable[Source]) -> None:
        """Remember these sources of a root for later pulls."""
        self._sources[digest] = tuple(sources)
        self._sources.move_to_end(digest)
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
    taken: Collection[Source] = (),
) -> ImageKey | None:
    """The image that a pull of `root` is for, None while that can still change.

    `before` are the sources that the root had before this lease. `fresh`: the root came to the node with this lease.
    `final`: no source will be added any more. The first of these decides: the only source that was added since the
    lease began, the image record that the pull's success wrote, the kubelet's intent, the first source. A root
    without a source belongs to a pull only if its lease `fetched` blobs; then its record names the image. Of several
    sources that came together, those are `taken` that other running pulls of the root are for.
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
    candidates = [source for source in candidates if source not in taken] or candidates
    written = (Reference.find(record.name) for record in records)
    wanted = [reference.source for reference in (*written, *intents) if reference]
    return ImageKey(*next((source for source in wanted if source in candidates), candidates[0]), root.digest)


def matching_references(key: ImageKey, records: Iterable[ImageRecord]) -> tuple[str, ...]:
    """The names among `records` that are references to the image's own repository, those with a tag first."""
    found = []
    for record in records:
        reference = Reference.find(record.name)
        if reference and reference.source == key[:2]:
            found.append((reference.tag is None, record.name))
    return tuple(name for _, name in sorted(found))


def image_of(record: ImageRecord, root: str) -> ImageKey | None:
    """The image that a record of `root` is named after; None if the name is the digest of its config, no reference."""
    reference = Reference.find(record.name)
    return None if reference is None else ImageKey(*reference.source, root)


def other_platforms(manifests: Mapping[str, Manifest], lease: Lease) -> set[str]:
    """Which of several manifests are not pulled: those whose config is not on the node.

    If several are left, those of which no layer is on the node are not pulled either. SOCI stores a manifest of its
    own beside the image's. Its layers come, its config does not.
    """

    def is_here(part: Descriptor) -> bool:
        held = part.digest in lease.contents or part.digest in lease.ingests
        return held or lease.found_blobs.get(part.digest) is not None

    if len(manifests) < 2:
        return set()
    pulled = {digest for digest, one in manifests.items() if one.config is None or is_here(one.config)}
    if len(pulled) > 1:
        pulled = {digest for digest in pulled if any(map(is_here, manifests[digest].layers))}
    return manifests.keys() - pulled


def _named(lease: Lease, documents: Mapping[str, Document]) -> set[str]:
    """What the contents of a lease refer to, by label or in their text."""
    named: set[str] = set()
    for info in lease.contents.values():
        if info is not None:
            named |= info.children
            document = documents.get(info.digest)
            named.update(reference.digest for reference in (document.references if document else ()))
    return named
