"""The web configuration in force, re-read when its files change."""

import logging
import os
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pulltrace.clock import Clock
from pulltrace.errors import ConfigError
from pulltrace.logs import fields
from pulltrace.web.passwords import Passwords

logger = logging.getLogger(__name__)

_CHECK_SECONDS: Final = 1.0
_Stamps = Mapping[Path, tuple[int, ...] | None]


@dataclass(frozen=True, slots=True)
class Security:
    """What one reading of the configuration asks of clients; without `tls` they speak plain HTTP."""

    tls: ssl.SSLContext | None
    passwords: Passwords


class WebConfig:
    """Reads the file of --web.config.file, and again when it or a file it names has changed.

    There is no timer: whoever serves asks for `current()` on every connection and request, and the files are
    looked at once a second at most. Raises ConfigError when made from a wrong file; later a wrong file is
    logged, and what was read before stays in force. Not safe for use by several threads but for
    `last_reload_successful`.
    """

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self.last_reload_successful = True
        self._path = path
        self._clock = clock
        self._next_check = clock.now().monotonic + _CHECK_SECONDS
        self._stamps: _Stamps = {}
        self._problems: tuple[str, ...] = ()
        self._security = self._read(path) if path else Security(None, Passwords({}))

    def current(self) -> Security:
        """Give the configuration in force."""
        now = self._clock.now().monotonic
        if self._path and now >= self._next_check:
            self._next_check = now + _CHECK_SECONDS
            self._check(self._path)
        return self._security

    def _check(self, path: Path) -> None:
        # What was wrong may have been mended in a file that was not got as far as, so a failure is tried again.
        if self.last_reload_successful and self._stamps == _stamps(self._stamps):
            return
        try:
            self._security = self._read(path)
        except ConfigError as error:
            self._failed(error.problems)
        else:
            self.last_reload_successful, self._problems = True, ()
            logger.info("web configuration read again", extra=fields(file=path))

    def _failed(self, problems: tuple[str, ...]) -> None:
        if problems != self._problems:
            logger.error(
                "web configuration is wrong, the one before stays in force",
                extra=fields(problems="; ".join(problems)),
            )
        self.last_reload_successful, self._problems = False, problems

    def _read(self, path: Path) -> Security:
        # PyYAML takes 1 MB, which only those with such a file pay for.
        from pulltrace.web.config import build_context, read_settings

        # Stamps come first: what changes while being read is then read once more.
        stamps = _stamps([path])
        settings = read_settings(path)
        if settings.tls is None:
            security = Security(None, Passwords(settings.users))
        else:
            stamps |= _stamps(settings.tls.files())
            security = Security(build_context(path, settings.tls), Passwords(settings.users))
        self._stamps = stamps
        return security


def _stamps(paths: Iterable[Path]) -> dict[Path, tuple[int, ...] | None]:
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Tell one state of a file from another, symbolic links followed: Kubernetes swaps those of a mounted Secret."""
    try:
        status = os.stat(path)  # noqa: PTH116 - called often
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
