"""The web configuration in force, read again when its files change."""

import ssl
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pulltrace.clock import Clock
from pulltrace.reread import Reread
from pulltrace.web.passwords import Passwords


@dataclass(frozen=True, slots=True)
class Security:
    """What the configuration demands of clients. Without `tls` they use plain HTTP."""

    tls: ssl.SSLContext | None
    passwords: Passwords


class WebConfig:
    """The file of --web.config.file; without a file nothing is demanded.

    The constructor raises ConfigError for a wrong file. Only `last_reload_successful` may be read from other threads.
    """

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self._open = Security(None, Passwords({}))
        self._file = Reread(path, _read, clock) if path else None

    @property
    def last_reload_successful(self) -> bool | None:
        """Whether the last reload succeeded, True before the first; None without a file."""
        return self._file.last_reload_successful if self._file else None

    def current(self) -> Security:
        """The configuration in force. Call it for every connection and request."""
        return self._file.current() if self._file else self._open


def _read(path: Path) -> tuple[Security, Collection[Path]]:
    # PyYAML takes 1 MB. It is loaded only where there is such a file.
    from pulltrace.web.config import build_context, read_settings

    settings = read_settings(path)
    context = build_context(path, settings.tls) if settings.tls else None
    return Security(context, Passwords(settings.users)), settings.files
