"""Images from an archive, as `ctr images import` loads them: content without a source, then an unpacking."""

import tarfile
from pathlib import Path

from rig.standin.control import Token
from rig.standin.descriptors import INDEXES, PLATFORM, Descriptor, children, gc_labels
from rig.standin.fetching import Fetcher
from rig.standin.pulling import put_unmarked
from rig.standin.reference import Reference
from rig.standin.runtime import Job, PullError, Runtime
from rig.standin.unpacking import Unpacker

NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


def import_archive(runtime: Runtime, archive: Path, token: Token) -> None:
    """Raises PullError for what is no OCI archive."""
    store = runtime.store
    lease = store.create_lease()
    try:
        index = _ingest_all(runtime, lease, archive)
        named = _label_tree(runtime, index)
        for each in named:
            put_unmarked(store, _name(each), each)
    finally:
        if not token.killed:
            store.delete_lease(lease)
    for each in named:
        _unpack_present(runtime, each, token)


def _unpack_present(runtime: Runtime, root: Descriptor, token: Token) -> None:
    """Unpack an image that is here already, under a lease that holds snapshots and no content."""
    store = runtime.store
    manifest = root
    while manifest.is_index:
        named = children(manifest, store.read(manifest.digest))
        manifest = next(child for child in named if child.platform in ("", PLATFORM))
    parts = children(manifest, store.read(manifest.digest))
    lease = store.create_lease()
    job = Job.of_client(runtime, Reference.parse("unpack"), lease, token)
    try:
        Unpacker(job, _NoFetcher(job)).unpack(parts[0], [part for part in parts if part.is_layer])
    finally:
        if not token.killed:
            store.delete_lease(lease)


class _NoFetcher(Fetcher):
    """All layers are here."""

    def take(self, blob: Descriptor) -> None:
        return None

    def fetch(self, blob: Descriptor) -> None:
        return None


def _ingest_all(runtime: Runtime, lease: str, archive: Path) -> Descriptor:
    index = None
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            if file is None or member.name in ("oci-layout", "manifest.json"):
                continue
            content = file.read()
            digest = _ingest(runtime, lease, f"tar-{member.name}", content)
            if member.name == "index.json":
                index = Descriptor(INDEXES[0], digest, len(content))
    if index is None:
        raise PullError("missing index.json in OCI layout")
    return index


def _ingest(runtime: Runtime, lease: str, ref: str, content: bytes) -> str:
    writer = runtime.store.open_writer(lease, ref, len(content))
    try:
        writer.write(content[writer.offset :])
        return writer.commit()
    finally:
        writer.close()


def _label_tree(runtime: Runtime, index: Descriptor) -> list[Descriptor]:
    """Bind everything to its parent; answers the images."""
    todo, named = [index], []
    while todo:
        blob = todo.pop()
        if runtime.store.blob(blob.digest) is None:
            continue
        parts = children(blob, runtime.store.read(blob.digest))
        runtime.store.label(blob.digest, gc_labels(parts))
        named += [part for part in parts if blob is index and _name(part)]
        todo += [part for part in parts if part.is_index or part.is_manifest]
    return named


def _name(image: Descriptor) -> str:
    return next((image.annotations[key] for key in NAMES if key in image.annotations), "")
