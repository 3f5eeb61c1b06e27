"""Adapter to the kubelet's pull intents: which images this node is pulling or is about to pull, with their tags.

From Kubernetes 1.35 on the kubelet keeps one small JSON file for each. It writes the file before it queues the pull,
and removes it after the pull: `{"kind": "ImagePullIntent", "image": "<reference as in the pod>", …}`. On older nodes
there is no such folder.
"""

import json
import logging
import os
import stat
from itertools import islice
from pathlib import Path

from pulltrace.clock import NodeTime
from pulltrace.logs import fields
from pulltrace_exporter.model.observation import Intent

log = logging.getLogger(__name__)

KIND = "ImagePullIntent"
PREFIX = "sha256-"
UNFINISHED = ".tmp"
"""The kubelet writes such a file and renames it. It ignores one that a crash left behind, and never removes it."""
MAX_FILES = 1000
"""A node pulls some dozens of images at once. Files beyond this number are read when others are gone."""
MAX_FILE_BYTES = 64 * 1024

_Version = tuple[int, int, int]


class IntentFolder:
    """Reads the folder anew each time, but each file only once while it does not change.

    A file that vanishes, is half written, unreadable, of another kind or too large is ignored, and looked at again
    when it has changed.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._read: dict[str, tuple[_Version, Intent | None]] = {}
        self._complaint = ""

    def intents(self) -> tuple[Intent, ...]:
        """The present intents, the oldest first; empty when reading them is off or the folder is absent."""
        if self._folder is None:
            return ()
        try:
            with os.scandir(self._folder) as entries:
                names = list(islice((entry.name for entry in entries if _is_intent(entry.name)), MAX_FILES))
        except OSError as error:
            self._complain(error)
            return ()
        self._complaint = ""
        read = {name: self._intent(self._folder / name) for name in names}
        self._read = {name: found for name, found in read.items() if found is not None}
        intents = (intent for _, intent in self._read.values() if intent is not None)
        return tuple(sorted(intents, key=lambda intent: (intent.since, intent.reference)))

    def _intent(self, path: Path) -> tuple[_Version, Intent | None] | None:
        try:
            # O_NONBLOCK, because it may be a pipe; O_NOFOLLOW, because a link is no intent.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            status = os.fstat(descriptor)
            version = (status.st_ino, status.st_mtime_ns, status.st_size)
            known = self._read.get(path.name)
            if known is not None and known[0] == version:
                return known
            if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
                return version, None
            reference = image_of(os.read(descriptor, MAX_FILE_BYTES))
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return version, Intent(reference, NodeTime(status.st_mtime)) if reference else None

    def _complain(self, error: OSError) -> None:
        if isinstance(error, FileNotFoundError):
            return  # a kubelet before 1.35, or one that has not pulled yet
        if str(error) != self._complaint:
            self._complaint = str(error)
            log.warning("the kubelet's pull intents cannot be read", extra=fields(error=error))


def _is_intent(name: str) -> bool:
    return name.startswith(PREFIX) and not name.endswith(UNFINISHED)


def image_of(data: bytes) -> str:
    """The image reference in an intent's file; empty when it is no intent, or not whole."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(document, dict) or document.get("kind") != KIND:
        return ""
    image = document.get("image")
    return image if isinstance(image, str) else ""
