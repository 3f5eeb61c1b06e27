"""Configuration that is read again when its file, or a file that it names, has changed."""

import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

from pulltrace.clock import Clock, Instant
from pulltrace.errors import ConfigError
from pulltrace.logs import fields

logger = logging.getLogger(__name__)

_CHECK_SECONDS: Final = 1.0
_UNCHANGED_SECONDS: Final = 0.5
"""A file that changed more recently may be half written: an empty one would demand no password."""

Value = TypeVar("Value")
Read = Callable[[Path], tuple[Value, Collection[Path]]]
"""Returns the content of a file and all files that were read, itself included; raises ConfigError."""


class Reread(Generic[Value]):
    """The configuration that `read` last returned for the file at `path`.

    There is no timer: callers ask for `current()` each time, and the files are checked at most twice a second. Raises
    ConfigError when made from a wrong file. Later a wrong file is logged, and the previous configuration stays
    in force. Only `last_reload_successful` may be read from other threads.
    """

    def __init__(self, path: Path, read: Read[Value], clock: Clock) -> None:
        self.last_reload_successful = True
        self._path = path
        self._read = read
        self._clock = clock
        self._next_check = clock.now().monotonic + _CHECK_SECONDS
        self._problems: tuple[str, ...] = ()
        self._value, self._stamps = self._read_stamped({})

    def current(self) -> Value:
        """What is in force."""
        now = self._clock.now()
        if now.monotonic >= self._next_check:
            self._next_check = now.monotonic + _CHECK_SECONDS
            self._check(now)
        return self._value

    def _check(self, now: Instant) -> None:
        stamps = _stamps(self._stamps)
        # A failed reading may not have reached the file that is corrected now. So it is always tried again.
        if self.last_reload_successful and self._stamps == stamps:
            return
        if any(stamp and 0 <= now.wall - stamp.changed_at < _UNCHANGED_SECONDS for stamp in stamps.values()):
            self._next_check = now.monotonic + _UNCHANGED_SECONDS
            return
        try:
            self._value, self._stamps = self._read_stamped(self._stamps)
        except ConfigError as error:
            self._failed(error.problems)
        else:
            self.last_reload_successful, self._problems = True, ()
            logger.info("configuration read again", extra=fields(file=self._path))

    def _failed(self, problems: tuple[str, ...]) -> None:
        if problems != self._problems:
            logger.error(
                "configuration is wrong, the previous one stays in force",
                extra=fields(file=self._path, problems="; ".join(problems)),
            )
        self.last_reload_successful, self._problems = False, problems

    def _read_stamped(self, known: Iterable[Path]) -> tuple[Value, "_Stamps"]:
        # The stamps are taken first, so that a file that changes while it is read is read once more.
        stamps = _stamps([self._path, *known])
        value, files = self._read(self._path)
        while not stamps.keys() >= set(files):
            stamps = _stamps(files)
            value, files = self._read(self._path)
        return value, {file: stamps[file] for file in files}


class _Stamp(NamedTuple):
    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @property
    def changed_at(self) -> float:
        return self.changed_ns / 1e9


_Stamps = Mapping[Path, _Stamp | None]


def _stamps(paths: Iterable[Path]) -> dict[Path, _Stamp | None]:
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> _Stamp | None:
    """Identifies one state of a file. Symbolic links are followed: Kubernetes swaps those of a mounted Secret."""
    try:
        status = os.stat(path)  # noqa: PTH116 - called often
    except OSError:
        return None
    return _Stamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
