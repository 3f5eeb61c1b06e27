"""The web configuration in force, re-read when its files change."""

import ssl
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pulltrace.clock import Clock
from pulltrace.reread import Reread
from pulltrace.web.passwords import Passwords


@dataclass(frozen=True, slots=True)
class Security:
    """What one reading of the configuration asks of clients; without `tls` they speak plain HTTP."""

    tls: ssl.SSLContext | None
    passwords: Passwords


class WebConfig:
    """The file of --web.config.file, read again when it or a file that it names has changed; without one, no demands.

    Raises ConfigError when made from a wrong file. For use by one thread, but for `last_reload_successful`.
    """

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self._open = Security(None, Passwords({}))
        self._file = Reread(path, _read, clock) if path else None

    @property
    def last_reload_successful(self) -> bool:
        """Whether the last reading of a changed file, if there was one, could be put in force."""
        return self._file is None or self._file.last_reload_successful

    def current(self) -> Security:
        """Give the configuration in force; to be asked for on every connection and request."""
        return self._file.current() if self._file else self._open


def _read(path: Path) -> tuple[Security, Collection[Path]]:
    # PyYAML takes 1 MB, which only those with such a file pay for.
    from pulltrace.web.config import build_context, read_settings

    settings = read_settings(path)
    passwords = Passwords(settings.users)
    if settings.tls is None:
        return Security(None, passwords), [path]
    return Security(build_context(path, settings.tls), passwords), [path, *settings.tls.files()]
