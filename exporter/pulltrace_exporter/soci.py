"""Adapter to the folder into which SOCI fetches layers: how many bytes of each are there.

In parallel mode SOCI has a folder for each layer that it fetches, with a file that is named by the layer's digest. The
file has the layer's length from the start and is sparse: its allocated blocks are what has come. Beside it is the
folder `fs`, into which the layer is unpacked. It is not read here, and SOCI moves it away in the end. A layer's folder
stays up to 10 s after the layer was unpacked or given up.
"""

import errno
import logging
import os
import stat
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pulltrace.clock import NodeTime
from pulltrace.logs import fields
from pulltrace_exporter.model.observation import FetchedLayer

log = logging.getLogger(__name__)

MAX_LAYERS = 4096
"""More layers than a node can fetch at once. Folders beyond this number are read when others are gone."""
PREFIX = "sha256:"
BLOCK_BYTES = 512
"""The unit of `st_blocks`, however large the file system's own blocks are."""
UNPACKED = "fs"
MAX_PIECES = 4096
"""SOCI fetches a layer in pieces of some megabytes, several at once."""


class UnpackFolder:
    """Reads the folder anew each time. Layers that vanish meanwhile are left out."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._files: dict[str, _LayerFile] = {}
        self._complaint = ""

    def layers(self) -> Mapping[str, tuple[FetchedLayer, ...]]:
        """The layers that are being fetched, or were a moment ago, by digest; empty if the folder is off or absent."""
        if self._folder is None:
            return {}
        try:
            names = self._names(self._folder)
        except OSError as error:
            self._complain(error)
            return {}
        files = {name: self._files.get(name) or _find(self._folder / name) for name in names}
        self._files = {name: file for name, file in files.items() if file is not None}
        found: defaultdict[str, tuple[FetchedLayer, ...]] = defaultdict(tuple)
        for file in self._files.values():
            if (layer := file.read()) is not None:
                found[file.path.name] += (layer,)
        return found

    def _names(self, folder: Path) -> list[str]:
        if folder.stat().st_nlink == 0:
            raise FolderReplacedError(f"{folder}: SOCI was restarted and has another one now; restart this exporter")
        with os.scandir(folder) as entries:
            names = list(islice((each.name for each in entries if each.is_dir(follow_symlinks=False)), MAX_LAYERS))
        self._complaint = ""
        return names

    def _complain(self, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError) and str(error) != self._complaint:  # not each node has SOCI
            self._complaint = str(error)
            log.warning("SOCI's downloads cannot be read; its pulls are shown without bytes", extra=fields(error=error))


class FolderReplacedError(OSError):
    """The folder that is mounted was deleted. A new one of the same name cannot be seen from here."""


@dataclass(slots=True)
class _LayerFile:
    """The file of one layer."""

    path: Path
    started_at: NodeTime
    complete: bool = False

    def read(self) -> FetchedLayer | None:
        """How far it is; None when it is gone."""
        try:
            status = self.path.lstat()
            downloaded = min(status.st_blocks * BLOCK_BYTES, status.st_size)
            if downloaded == status.st_size and not self.complete:
                # A file system may allocate ahead of the bytes.
                downloaded = _written(self.path, status.st_size)
                self.complete = downloaded == status.st_size
        except OSError:
            return None
        return FetchedLayer(downloaded, self.started_at, self.complete)


def _written(path: Path, size: int) -> int:
    """How many bytes of a file are written: blocks that are only allocated count as holes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    written = offset = pieces = 0
    try:
        while offset < size and pieces < MAX_PIECES:
            start = os.lseek(descriptor, offset, os.SEEK_DATA)
            offset = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
            written, pieces = written + offset - start, pieces + 1
    except OSError as error:
        if error.errno != errno.ENXIO:  # nothing more is written
            raise
    finally:
        os.close(descriptor)
    return written


def _find(folder: Path) -> _LayerFile | None:
    """The layer's file in its folder; None while there is none, and when `fs` is gone because the layer is unpacked."""
    try:
        with os.scandir(folder) as entries:
            found = [each.name for each in islice(entries, 3)]
        path = folder / next(name for name in found if name.startswith(PREFIX) and UNPACKED in found)
        started_at = NodeTime(folder.stat().st_mtime)
        return _LayerFile(path, started_at) if stat.S_ISREG(path.lstat().st_mode) else None
    except (OSError, StopIteration):
        return None
