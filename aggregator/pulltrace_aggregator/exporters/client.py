"""Requests to exporters over HTTP: each gives a whole answer in time or fails; few connections stay open."""

import asyncio
import os
import socket
import ssl
from typing import Final

from pulltrace import __version__
from pulltrace.clock import Clock
from pulltrace_aggregator.exporters.answer import Answer
from pulltrace_aggregator.exporters.connection import Connection
from pulltrace_aggregator.exporters.discovery import Target
from pulltrace_aggregator.exporters.errors import AskError, Result
from pulltrace_aggregator.exporters.http_config import HttpAccess, HttpConfig

MOST_KEPT: Final = {"http": 512, "https": 128}
"""Most connections that stay open. Each takes 10 KB, with TLS 60 KB here and 100 KB at the exporter."""
LONGEST_IDLE_SECONDS: Final = 60.0
"""Shorter than the 75 s after which an exporter's server closes a connection."""


class ExporterClient:
    """For use within one event loop, with one request to a target at a time."""

    def __init__(self, access: HttpAccess, timeout: float, clock: Clock) -> None:
        self._access = access
        self._timeout = timeout
        self._clock = clock
        self._config = access.current()
        self._kept: dict[Target, Connection] = {}

    async def ask(self, target: Target, etag: str, *, layers: bool = False, keep: bool) -> Answer:
        """Ask one exporter for its report, with or without layers. With `keep` the connection is kept if there is room.

        Raises:
            AskError: There was no whole answer in time, or it has a bad status. The body is not parsed here.
            ConnectionStale: A kept connection ended before the answer began.
        """
        config = self._current_config()
        connection = self._kept.pop(target, None)
        try:
            async with asyncio.timeout(self._timeout):
                if connection is None or not connection.open:
                    connection = await self._connect(target, config)
                answer = await connection.ask(_headers(target, config, etag), layers=layers)
        except TimeoutError:
            _close(connection)
            raise AskError(Result.TIMEOUT, f"no complete answer within {self._timeout:g} s") from None
        except BaseException:
            _close(connection)
            raise
        if answer.not_modified and not etag:
            connection.close()
            raise AskError(Result.INVALID, "the exporter answered 304 to a request without a tag")
        self._put_back(target, connection, config, keep=keep)
        return answer

    def tidy(self) -> None:
        """Close connections that have been idle for too long."""
        before = self._clock.now().monotonic - LONGEST_IDLE_SECONDS
        for target, connection in list(self._kept.items()):
            if not connection.open or connection.idle_since < before:
                self.drop(target)

    def drop(self, target: Target) -> None:
        """Close the connection to an exporter if one was kept."""
        _close(self._kept.pop(target, None))

    def close(self) -> None:
        """Close all."""
        for target in list(self._kept):
            self.drop(target)

    def _current_config(self) -> HttpConfig:
        config = self._access.current()
        if config is not self._config:
            self._config = config
            self.close()  # they were made with older certificates
        return config

    def _put_back(self, target: Target, connection: Connection, config: HttpConfig, *, keep: bool) -> None:
        """Keep it if there is room. No other is closed for it: with all nodes read in turn, none would be reused."""
        fresh = config is self._config
        if keep and fresh and connection.reusable and len(self._kept) < MOST_KEPT[target.scheme]:
            connection.idle_since = self._clock.now().monotonic
            self._kept[target] = connection
        else:
            connection.close()

    async def _connect(self, target: Target, config: HttpConfig) -> Connection:
        loop = asyncio.get_running_loop()
        secure = target.scheme == "https"
        try:
            _, connection = await loop.create_connection(
                Connection,
                target.host,
                target.port,
                ssl=self._access.context() if secure else None,
                server_hostname=(config.server_name or target.host) if secure else None,
            )
        except TimeoutError:
            raise  # of `ask` or of the kernel
        except socket.gaierror as error:
            raise AskError(Result.DNS, f"{target.host}: {error.strerror}") from None
        except ssl.SSLError as error:
            raise AskError(Result.TLS, getattr(error, "verify_message", "") or error.reason or error) from None
        except OSError as error:
            raise AskError(Result.CONNECTION, os.strerror(error.errno) if error.errno else error) from None
        except UnicodeError:
            raise AskError(Result.DNS, f"{target.host!r} is not a host name") from None
        return connection


def _headers(target: Target, config: HttpConfig, etag: str) -> list[tuple[str, str]]:
    headers = [
        ("Host", target.authority),
        ("User-Agent", f"pulltrace-aggregator/{__version__}"),
        ("Accept", "application/json"),
        ("Accept-Encoding", "gzip"),
    ]
    if etag:
        headers.append(("If-None-Match", etag))
    if config.authorization:
        headers.append(("Authorization", config.authorization))
    return headers


def _close(connection: Connection | None) -> None:
    if connection:
        connection.close()
