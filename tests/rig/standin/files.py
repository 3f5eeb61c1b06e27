"""The bytes of contents and downloads, on disk. Synthetic contents have a size and no bytes."""

import hashlib
from pathlib import Path


class Files:
    """Blobs by digest, shared by all namespaces, and half-finished ones by ref."""

    def __init__(self, folder: Path) -> None:
        self._blobs = folder / "blobs"
        self._ingests = folder / "ingest"
        self._without_bytes: set[str] = set()
        for each in (self._blobs, self._ingests):
            each.mkdir(parents=True, exist_ok=True)

    def read(self, digest: str, offset: int = 0, size: int = -1) -> bytes:
        with self._blob(digest).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def append(self, ref: str, chunk: bytes) -> None:
        with self._ingest(ref).open("ab") as file:
            file.write(chunk)

    def digest(self, ref: str) -> str:
        with self._ingest(ref).open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"

    def commit(self, ref: str, digest: str) -> None:
        written = self._ingest(ref)
        if written.exists():
            written.rename(self._blob(digest))
        else:
            self._without_bytes.add(digest)

    def digests(self) -> set[str]:
        return {*self._without_bytes, *(path.name.replace("-", ":", 1) for path in self._blobs.iterdir())}

    def drop_ingest(self, ref: str) -> None:
        self._ingest(ref).unlink(missing_ok=True)

    def drop_blob(self, digest: str) -> None:
        self._without_bytes.discard(digest)
        self._blob(digest).unlink(missing_ok=True)

    def _blob(self, digest: str) -> Path:
        return self._blobs / digest.replace(":", "-")

    def _ingest(self, ref: str) -> Path:
        # Refs of imports hold slashes.
        return self._ingests / hashlib.sha256(ref.encode()).hexdigest()
