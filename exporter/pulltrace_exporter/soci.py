"""Adapter to the folder into which SOCI fetches layers: how many bytes of each are there.

In parallel mode SOCI has a folder for each layer that it fetches, with a file that is named by the layer's digest. The
file is as long as the layer at once, and sparse: its allocated blocks are what has come. Beside it is `fs`, into which
the layer is unpacked, and which is not read. A folder stays up to 10 s after its layer was unpacked or given up.
"""

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
"""More folders than a node can fetch at once. The rest is left for when these are gone."""
PREFIX = "sha256:"
BLOCK_BYTES = 512
"""The unit of a file's allocated blocks, whatever the file system's own blocks are."""
FULL_POLLS = 3
"""A file that is allocated in full and still written at so many polls was allocated ahead of its bytes."""


class UnpackFolder:
    """Reads the folder anew each time. What vanishes meanwhile is passed over."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._files: dict[str, _LayerFile] = {}
        self._complaint = ""

    def layers(self) -> Mapping[str, tuple[FetchedLayer, ...]]:
        """What is being fetched, or was a moment ago, by digest; nothing where the folder is off or absent."""
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
    """The folder that is mounted was deleted, and what has its name now cannot be seen from here."""


@dataclass(slots=True)
class _LayerFile:
    """The file of one layer. `shown` are the bytes that were told last, `full_polls` how often it was full since."""

    path: Path
    started_at: NodeTime
    shown: int = 0
    full_polls: int = 0
    changed_at: int = -1
    complete: bool = False

    def read(self) -> FetchedLayer | None:
        """How far it is; None when it is gone."""
        try:
            status = self.path.lstat()
        except OSError:
            return None
        if not self.complete:
            self._update(status)
        ahead = not self.complete and self.full_polls > FULL_POLLS
        return FetchedLayer(None if ahead else self.shown, self.started_at, self.complete)

    def _update(self, status: os.stat_result) -> None:
        allocated = status.st_blocks * BLOCK_BYTES
        if allocated < status.st_size:
            self.shown, self.full_polls = max(self.shown, allocated), 0
        elif status.st_mtime_ns == self.changed_at:
            self.shown, self.complete = status.st_size, True
        else:
            self.full_polls += 1
        self.changed_at = status.st_mtime_ns


def _find(folder: Path) -> _LayerFile | None:
    """The layer's file in its folder; None while there is none."""
    try:
        with os.scandir(folder) as entries:
            names = [each.name for each in islice(entries, 3) if each.name.startswith(PREFIX)]
        path = folder / names[0]
        started_at = NodeTime(folder.stat().st_mtime)
        return _LayerFile(path, started_at) if stat.S_ISREG(path.lstat().st_mode) else None
    except (OSError, IndexError):
        return None
