"""Garbage collection: what neither a lease nor an image record leads to is removed."""

from collections.abc import Iterator

from rig.standin.files import Files
from rig.standin.records import Namespace, Records

CONTENT, SNAPSHOT = "containerd.io/gc.ref.content", "containerd.io/gc.ref.snapshot."


def collect(records: Records, files: Files) -> None:
    """Remove what nothing holds, in every namespace."""
    with records.lock:
        for namespace in records.namespaces.values():
            _sweep(namespace, files)
        kept = {digest for each in records.namespaces.values() for digest in each.blobs}
        for digest in files.digests() - kept:
            files.drop_blob(digest)


def _sweep(namespace: Namespace, files: Files) -> None:
    content, snapshots = _reachable(namespace)
    leased = {ref for lease in namespace.leases.values() for ref in lease.ingests}
    for digest in namespace.blobs.keys() - content:
        del namespace.blobs[digest]
    for key in namespace.snapshots.keys() - snapshots:
        del namespace.snapshots[key]
    for ref in namespace.ingests.keys() - leased:
        files.drop_ingest(ref)
        del namespace.ingests[ref]


def _reachable(namespace: Namespace) -> tuple[set[str], set[tuple[str, str]]]:
    todo: list[str | tuple[str, str]] = [image.target.digest for image in namespace.images.values()]
    for lease in namespace.leases.values():
        todo += [*lease.content, *lease.snapshots]
    seen: set[str | tuple[str, str]] = set()
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            todo += _references(namespace, node)
    return {n for n in seen if isinstance(n, str)}, {n for n in seen if isinstance(n, tuple)}


def _references(namespace: Namespace, node: str | tuple[str, str]) -> Iterator[str | tuple[str, str]]:
    if isinstance(node, tuple):
        snapshot = namespace.snapshots.get(node)
        if snapshot and snapshot.parent:
            yield snapshot.snapshotter, snapshot.parent
        return
    blob = namespace.blobs.get(node)
    for key, value in blob.labels.items() if blob else ():
        if key.startswith(CONTENT):
            yield value
        elif key.startswith(SNAPSHOT):
            yield key.removeprefix(SNAPSHOT), value
