"""A cache of index, manifest and config documents by digest, so that each is read once while it is in use."""

from collections import OrderedDict

from pulltrace_exporter.containerd.client import Client
from pulltrace_exporter.model.image import MAX_DOCUMENT_BYTES, Document, Unreadable, parse_diff_ids, parse_document

MAX_REFERENCES = 5_000
"""The cached documents and the blobs that they name are at most so many, about two hundred ordinary images. Two stay,
however large."""


class ManifestCache:
    """Content with a digest never changes, so a cached document is never out of date."""

    def __init__(self) -> None:
        self._documents: OrderedDict[str, Document] = OrderedDict()
        self._diff_ids: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._weight = 0

    def document(self, client: Client, digest: str, size: int) -> Document | None:
        """The index or manifest with a digest; None when it is gone. `size` is in bytes."""
        known = self._documents.get(digest)
        if known is not None:
            self._documents.move_to_end(digest)
            return known
        if size > MAX_DOCUMENT_BYTES:
            document: Document = Unreadable(f"{size} bytes are more than {MAX_DOCUMENT_BYTES}")
        else:
            data = client.read(digest, MAX_DOCUMENT_BYTES)
            if data is None:
                return None
            document = parse_document(data)
        self._documents[digest] = document
        self._weight += 1 + len(document.references)
        self._shrink()
        return document

    def diff_ids(self, client: Client, digest: str) -> tuple[str, ...] | None:
        """The diff IDs in the config with a digest; None when it is gone, empty when it has none or is too large.

        Its size is not asked for, as a manifest may give any, 0 too: with that containerd sends all there is.
        """
        known = self._diff_ids.get(digest)
        if known is not None:
            self._diff_ids.move_to_end(digest)
            return known
        data = client.read(digest, MAX_DOCUMENT_BYTES)
        if data is None:
            return None
        diff_ids = parse_diff_ids(data)
        self._diff_ids[digest] = diff_ids
        self._weight += 1 + len(diff_ids)
        self._shrink()
        return diff_ids

    def _shrink(self) -> None:
        while self._weight > MAX_REFERENCES and len(self._documents) + len(self._diff_ids) > 2:
            if len(self._documents) > 1:
                _, document = self._documents.popitem(last=False)
                self._weight -= 1 + len(document.references)
            if len(self._diff_ids) > 1:
                _, diff_ids = self._diff_ids.popitem(last=False)
                self._weight -= 1 + len(diff_ids)
