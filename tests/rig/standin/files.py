"""The bytes of contents and downloads, on disk. Synthetic contents have a size and no bytes."""

import hashlib
from pathlib import Path


class ContentRefused(Exception):
    """What was written is not what was promised."""


class Files:
    """Blobs by digest, shared by all namespaces, and half-finished ones by ref."""

    def __init__(self, folder: Path) -> None:
        self._blobs = folder / "blobs"
        self._ingests = folder / "ingest"
        self._without_bytes: dict[str, int] = {}
        for each in (self._blobs, self._ingests):
            each.mkdir(parents=True, exist_ok=True)

    def has(self, digest: str) -> bool:
        return digest in self._without_bytes or self._blob(digest).exists()

    def read(self, digest: str, offset: int = 0, size: int = -1) -> bytes:
        """Those bytes of a blob; of a synthetic one zeros."""
        if digest in self._without_bytes:
            rest = self._without_bytes[digest] - offset
            return bytes(rest if size < 0 else min(size, rest))
        with self._blob(digest).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def append(self, ref: str, chunk: bytes) -> None:
        with self._ingest(ref).open("ab") as file:
            file.write(chunk)

    def verify(self, ref: str, digest: str) -> str:
        """The digest of what is written under `ref`; raises ContentRefused when it is not `digest`, if one is given."""
        written = self._ingest(ref)
        if not written.exists():
            return digest
        with written.open("rb") as file:
            actual = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        if digest and actual != digest:
            raise ContentRefused(f"unexpected commit digest {actual}, expected {digest}: failed precondition")
        return actual

    def commit(self, ref: str, size: int, digest: str) -> None:
        """Make the blob of the ingest."""
        written = self._ingest(ref)
        if written.exists():
            written.rename(self._blob(digest))
        elif not self.has(digest):
            self._without_bytes[digest] = size

    def digests(self) -> set[str]:
        """All blobs."""
        return {*self._without_bytes, *(path.name.replace("-", ":", 1) for path in self._blobs.iterdir())}

    def drop_ingest(self, ref: str) -> None:
        self._ingest(ref).unlink(missing_ok=True)

    def drop_blob(self, digest: str) -> None:
        self._without_bytes.pop(digest, None)
        self._blob(digest).unlink(missing_ok=True)

    def _blob(self, digest: str) -> Path:
        return self._blobs / digest.replace(":", "-")

    def _ingest(self, ref: str) -> Path:
        # Refs of imports hold slashes.
        return self._ingests / hashlib.sha256(ref.encode()).hexdigest()
