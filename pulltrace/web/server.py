"""The HTTP server of both programs: one thread with an event loop, and a few threads for handlers."""

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Mapping
from typing import Final

from pulltrace.logs import fields
from pulltrace.web.address import ListenAddress
from pulltrace.web.connection import Connection, Limits
from pulltrace.web.dispatch import Dispatcher
from pulltrace.web.http import Handler, Request, Response
from pulltrace.web.live import WebConfig

logger = logging.getLogger(__name__)

_GRACE_SECONDS: Final = 0.5
_ACCEPT_RETRY_SECONDS: Final = 1.0


class Server:
    """Serves `routes`, exact paths, to GET and HEAD.

    `port` is there once it is started: the system chooses one for port 0.
    """

    def __init__(
        self, listen: ListenAddress, routes: Mapping[str, Handler], config: WebConfig, limits: Limits | None = None
    ) -> None:
        self._listen = listen
        self._routes = routes
        self.config = config
        self._limits = limits or Limits()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen and serve; raises ListenError. Clients are answered once this returns."""
        listener = self._listen.bind()
        self.port: int = listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, args=(listener,), name="web")
        self._thread.start()

    def stop(self) -> None:
        """Close all connections, those with an answer under way within half a second. Does nothing when not serving."""
        if self._thread is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self, listener: socket.socket) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner, listener:
            runner.run(self._main(listener))

    async def _main(self, listener: socket.socket) -> None:
        clients = _Clients(self.config, Dispatcher(self._routes, self._limits.page_threads), self._limits)
        acceptor = _Acceptor(listener, clients)
        acceptor.start()
        await self._stopping.wait()
        acceptor.stop()
        listener.close()
        await clients.close()


class _Clients:
    """The open connections, the one longest in its present state first. It is the `Host` of each."""

    def __init__(self, config: WebConfig, dispatcher: Dispatcher, limits: Limits) -> None:
        self._config = config
        self._dispatcher = dispatcher
        self._limits = limits
        self._open: dict[Connection, asyncio.Task[None]] = {}
        self._security = config.current()
        self._closing = False

    def add(self, sock: socket.socket) -> None:
        """Serve a client. When there are too many, close the connection that is longest in its present state."""
        if len(self._open) >= self._limits.connections:
            self._drop(next(iter(self._open)))
        connection = Connection(sock, self, self._limits)
        task = asyncio.create_task(connection.run())
        self._open[connection] = task
        task.add_done_callback(lambda task: self._ended(connection, sock, task))

    def tls(self) -> ssl.SSLContext | None:
        """The context for new connections."""
        security = self._config.current()
        if security is not self._security:
            self._security = security
            self._drop_idle()
        return security.tls

    async def answer(self, request: Request) -> Response:
        """Answer a request."""
        return await self._dispatcher.answer(request, self._security.passwords)

    def changed(self, connection: Connection) -> None:
        """The connection has changed its state."""
        if connection in self._open:  # otherwise it was just dropped
            self._open[connection] = self._open.pop(connection)
        if self._closing:
            self._drop_idle()
        while sum(other.unsent for other in self._open) > self._limits.unsent_bytes:
            oldest = next(other for other in self._open if other.unsent)
            if oldest is connection:  # the only one left may send an answer of any size
                break
            self._drop(oldest)

    async def close(self) -> None:
        """Wait a moment for answers under way, then close all connections."""
        self._closing = True
        self._drop_idle()
        if self._open:
            await asyncio.wait(self._open.values(), timeout=_GRACE_SECONDS)
        for connection in list(self._open):
            self._drop(connection)
        self._dispatcher.close()

    def _drop_idle(self) -> None:
        for connection in [connection for connection in self._open if connection.idle]:
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        self._open.pop(connection).cancel()

    def _ended(self, connection: Connection, sock: socket.socket, task: asyncio.Task[None]) -> None:
        self._open.pop(connection, None)
        sock.close()
        if not task.cancelled() and (error := task.exception()):
            logger.error("internal error: a connection ended", exc_info=error)


class _Acceptor:
    """Accepts connections. A task that waits for one would lose it when it is cancelled in the same moment."""

    def __init__(self, listener: socket.socket, clients: _Clients) -> None:
        self._listener = listener
        self._clients = clients
        self._loop = asyncio.get_running_loop()
        self._retry: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Accept what comes from now on."""
        self._loop.add_reader(self._listener, self._accept)

    def stop(self) -> None:
        """Accept nothing more."""
        self._loop.remove_reader(self._listener)
        if self._retry is not None:
            self._retry.cancel()

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # the client has gone
        except OSError as error:  # for example, no file descriptors are left
            logger.warning("cannot accept connections", extra=fields(error=error))
            self._loop.remove_reader(self._listener)
            self._retry = self._loop.call_later(_ACCEPT_RETRY_SECONDS, self.start)
        else:
            sock.setblocking(False)
            self._clients.add(sock)
