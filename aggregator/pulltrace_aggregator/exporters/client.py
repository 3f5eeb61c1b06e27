"""Asking exporters over HTTP: one request, whole or not at all, within its time; few connections stay open."""

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
from pulltrace_aggregator.exporters.http_config import HttpAccess, HttpSession

MOST_KEPT: Final = {"http": 512, "https": 128}
"""Connections that stay open. Each takes 10 KB, with TLS 60 KB here and 100 KB at the exporter."""
LONGEST_IDLE_SECONDS: Final = 60.0
"""The exporters' servers close at 75 s."""


class ExporterClient:
    """For use within one event loop, and by one request per node at a time."""

    def __init__(self, access: HttpAccess, timeout: float, clock: Clock) -> None:
        self._access = access
        self._timeout = timeout
        self._clock = clock
        self._generation = access.current().generation
        self._kept: dict[Target, Connection] = {}

    async def ask(self, target: Target, etag: str, *, layers: bool = False, keep: bool) -> Answer:
        """Ask one exporter, for the layers too or not. With `keep` its connection stays open if there is room.

        Raises:
            AskError: There was no whole answer in time, or a bad status; the body is not read yet.
            ConnectionStale: The connection had been kept too long.
        """
        session = self._session()
        connection = self._kept.pop(target, None)
        try:
            async with asyncio.timeout(self._timeout):
                if connection is None or not connection.open:
                    connection = await self._connect(target, session)
                answer = await connection.ask(_headers(target, session, etag), layers=layers)
        except TimeoutError:
            _close(connection)
            raise AskError(Result.TIMEOUT, f"no complete answer within {self._timeout:g} s") from None
        except BaseException:
            _close(connection)
            raise
        if answer.not_modified and not etag:
            connection.close()
            raise AskError(Result.INVALID, "the exporter answered 304 to a request without a tag")
        self._put_back(target, connection, session, keep=keep)
        return answer

    def tidy(self) -> None:
        """Close connections that have not been used for long."""
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

    def _session(self) -> HttpSession:
        session = self._access.current()
        if session.generation != self._generation:
            self._generation = session.generation
            self.close()  # they were made with older certificates
        return session

    def _put_back(self, target: Target, connection: Connection, session: HttpSession, *, keep: bool) -> None:
        """Keep it if there is room. No other is closed for it: with all nodes polled in turn, none would be reused."""
        fresh = session.generation == self._generation
        if keep and fresh and connection.reusable and len(self._kept) < MOST_KEPT[target.scheme]:
            connection.idle_since = self._clock.now().monotonic
            self._kept[target] = connection
        else:
            connection.close()

    async def _connect(self, target: Target, session: HttpSession) -> Connection:
        loop = asyncio.get_running_loop()
        secure = target.scheme == "https"
        try:
            _, connection = await loop.create_connection(
                Connection,
                target.host,
                target.port,
                ssl=self._access.context() if secure else None,
                server_hostname=(session.server_name or target.host) if secure else None,
            )
        except TimeoutError:
            raise  # ours or the kernel's
        except socket.gaierror as error:
            raise AskError(Result.DNS, f"{target.host}: {error.strerror}") from None
        except ssl.SSLError as error:
            raise AskError(Result.TLS, getattr(error, "verify_message", "") or error.reason or error) from None
        except OSError as error:
            raise AskError(Result.CONNECTION, os.strerror(error.errno) if error.errno else error) from None
        except UnicodeError:
            raise AskError(Result.DNS, f"{target.host!r} is not a host name") from None
        return connection


def _headers(target: Target, session: HttpSession, etag: str) -> list[tuple[str, str]]:
    headers = [
        ("Host", target.authority),
        ("User-Agent", f"pulltrace-aggregator/{__version__}"),
        ("Accept", "application/json"),
        ("Accept-Encoding", "gzip"),
    ]
    if etag:
        headers.append(("If-None-Match", etag))
    if session.authorization:
        headers.append(("Authorization", session.authorization))
    return headers


def _close(connection: Connection | None) -> None:
    if connection:
        connection.close()
