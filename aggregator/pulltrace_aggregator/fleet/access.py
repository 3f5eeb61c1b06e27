"""How exporters are asked: TLS and credentials from --exporter.http-config.file, re-read when its files change."""

import logging
import os
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pulltrace.clock import Clock
from pulltrace.errors import ConfigError
from pulltrace.logs import fields
from pulltrace_aggregator.http_config import HttpConfig, default_context, load

log = logging.getLogger(__name__)

_CHECK_SECONDS: Final = 1.0
_Stamps = Mapping[Path, tuple[int, ...] | None]


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
    """Hands out the session in force. Without a file there are no credentials. For use by one thread.

    There is no timer: who asks exporters asks for `current()`, and the files are looked at once a second at most.
    """

    def __init__(self, path: Path | None, clock: Clock) -> None:
        """Read the file; raises ConfigError with all that is wrong. Later a wrong one is logged and not used."""
        self.last_reload_successful = True
        self._path = path
        self._clock = clock
        self._next_check = clock.now().monotonic + _CHECK_SECONDS
        self._stamps: _Stamps = {}
        self._problems: tuple[str, ...] = ()
        self._context: ssl.SSLContext | None = None
        self._session = Session(0, https=False)
        if path:
            self._read(path)

    def current(self) -> Session:
        """The session in force."""
        now = self._clock.now().monotonic
        if self._path and now >= self._next_check:
            self._next_check = now + _CHECK_SECONDS
            self._check(self._path)
        return self._session

    def context(self) -> ssl.SSLContext:
        """The context of the session in force; without `tls_config` it knows the system's authorities."""
        if self._context is None:
            self._context = default_context()  # only now: the system's authorities take megabytes
        return self._context

    def _check(self, path: Path) -> None:
        # What was wrong may have been mended in a file that was not got as far as, so a failure is tried again.
        if self.last_reload_successful and self._stamps == _stamps(self._stamps):
            return
        try:
            self._read(path)
        except ConfigError as error:
            self._failed(error.problems)
        else:
            self.last_reload_successful, self._problems = True, ()
            log.info("configuration of requests to exporters read again", extra=fields(file=path))

    def _failed(self, problems: tuple[str, ...]) -> None:
        if problems != self._problems:
            log.error(
                "configuration of requests to exporters is wrong, the one before stays in force",
                extra=fields(problems="; ".join(problems)),
            )
        self.last_reload_successful, self._problems = False, problems

    def _read(self, path: Path) -> None:
        # Stamps come first: what changes while being read is then read once more.
        stamps, config = _stamps([path, *self._stamps]), load(path)
        while not stamps.keys() >= set(config.files):
            stamps, config = _stamps(config.files), load(path)
        self._stamps = {file: stamps[file] for file in config.files}
        self._context = config.context
        self._session = _session(self._session.generation + 1, config)


def _session(generation: int, config: HttpConfig) -> Session:
    name = config.tls.server_name if config.tls else ""
    return Session(generation, config.tls is not None, name, config.authorization)


def _stamps(paths: Iterable[Path]) -> dict[Path, tuple[int, ...] | None]:
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Tell one state of a file from another, symbolic links followed: Kubernetes swaps those of a mounted Secret."""
    try:
        status = os.stat(path)  # noqa: PTH116 - called often
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
