"""How exporters are asked: TLS and credentials from --exporter.http-config.file, re-read when its files change."""

import ssl
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from pulltrace.clock import Clock
from pulltrace.reread import Reread
from pulltrace_aggregator.exporters.http_config import HttpConfig, default_context, load


@dataclass(frozen=True, slots=True)
class Session:
    """What requests are sent with; `generation` tells one reading of the files from the next.

    `https` says how exporters that Kubernetes names are asked: over TLS exactly when it is configured.
    """

    generation: int
    https: bool
    server_name: str = ""
    authorization: str = field(default="", repr=False)


class Access:
    """Hands out the session in force. Without a file there are no credentials. For use by one thread."""

    def __init__(self, path: Path | None, clock: Clock) -> None:
        """Read the file; raises ConfigError with all that is wrong. Later a wrong one is logged and not used."""
        self._file = Reread(path, _read, clock) if path else None
        self._context: ssl.SSLContext | None = None
        self._session = Session(0, https=False)
        self._config: HttpConfig | None = None

    @property
    def last_reload_successful(self) -> bool:
        """Whether the last reading of a changed file, if there was one, could be put in force."""
        return self._file is None or self._file.last_reload_successful

    def current(self) -> Session:
        """The session in force; to be asked for with each request."""
        if self._file and (config := self._file.current()) is not self._config:
            self._config, self._context = config, config.context
            self._session = _session(self._session.generation + 1, config)
        return self._session

    def context(self) -> ssl.SSLContext:
        """The context of the session in force; without `tls_config` it knows the system's authorities."""
        if self._context is None:
            self._context = default_context()  # only now: the system's authorities take megabytes
        return self._context


def _read(path: Path) -> tuple[HttpConfig, Collection[Path]]:
    config = load(path)
    return config, config.files


def _session(generation: int, config: HttpConfig) -> Session:
    name = config.tls.server_name if config.tls else ""
    return Session(generation, config.tls is not None, name, config.authorization)
