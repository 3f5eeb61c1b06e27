"""A TCP proxy before a server: refuses, cuts and freezes connections, whoever the two ends are."""

import select
import socket
import threading
import time
from collections.abc import Callable
from functools import partial

from rig.closing import Closing

PAUSE = 0.05
Address = tuple[str, int]


def connected(target: Address) -> socket.socket:
    return socket.create_connection(target, timeout=5)


class Proxy(Closing):
    """Listens on a free port of 127.0.0.1 and passes everything on to `target`, byte by byte."""

    def __init__(self, target: Address, connected: Callable[[Address], socket.socket] = connected) -> None:
        self._connected = partial(connected, target)
        self._listener: socket.socket | None = None
        self._changed = threading.Condition()
        self._links: set[_Link] = set()
        self._frozen = False
        self._closing = False
        self._address = ("127.0.0.1", 0)
        self._listen()
        self._thread = threading.Thread(target=self._accept, name="proxy")
        self._thread.start()

    @property
    def port(self) -> int:
        return self._address[1]

    @property
    def connections(self) -> int:
        with self._changed:
            return len(self._links)

    def wait_connections(self, at_least: int, timeout: float = 30) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._links) >= at_least, timeout):
                raise TimeoutError(f"{len(self._links)} connections after {timeout} s, not {at_least}")

    def freeze(self) -> None:
        """Pass nothing on from now on, and take connections still: the other side looks alive and says nothing."""
        with self._changed:
            self._frozen = True
            for link in self._links:
                with link.passing:
                    pass  # what was under way is through

    def thaw(self) -> None:
        self._frozen = False

    def refuse(self) -> None:
        with self._changed:
            listener, self._listener = self._listener, None
            if listener:
                # Closed alone it would go on taking connections for as long as the other thread waits for one.
                listener.shutdown(socket.SHUT_RDWR)
                listener.close()
        self.cut()

    def allow(self) -> None:
        with self._changed:
            self._listen()
            self._changed.notify_all()

    def cut(self) -> None:
        """End every connection that is open, in the middle of whatever it says."""
        with self._changed:
            for link in self._links:
                link.cut()

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self.refuse()
        for link in tuple(self._links):
            link.join()

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(self._address)
        listener.listen(128)
        self._address = listener.getsockname()
        self._listener = listener

    def _accept(self) -> None:
        while not self._closing:
            with self._changed:
                listener = self._listener
                if listener is None:
                    self._changed.wait(PAUSE)
                    continue
            try:
                if select.select([listener], [], [], PAUSE)[0]:
                    self._link(listener, listener.accept()[0])
            except (OSError, ValueError):
                continue  # closed meanwhile

    def _link(self, listener: socket.socket, client: socket.socket) -> None:
        link = _Link(self, client)
        with self._changed:
            if self._listener is not listener:  # refused since it was taken
                client.close()
                return
            self._links.add(link)
            self._changed.notify_all()
        link.start()

    def _ended(self, link: "_Link") -> None:
        with self._changed:
            self._links.discard(link)
            self._changed.notify_all()


class _Link(threading.Thread):
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        super().__init__(name="proxy link")
        self._proxy = proxy
        self._client = client
        self._cut = False
        self.passing = threading.Lock()

    def cut(self) -> None:
        with self.passing:  # what is under way is through, and nothing follows it
            self._cut = True

    def run(self) -> None:
        try:
            with self._client, self._proxy._connected() as server:
                self._pass_on({self._client: server, server: self._client})
        except OSError:
            return  # one of the ends is gone
        finally:
            self._proxy._ended(self)

    def _pass_on(self, other: dict[socket.socket, socket.socket]) -> None:
        while not self._cut:
            if self._proxy._frozen:
                time.sleep(PAUSE)
                continue
            for end in select.select(list(other), [], [], PAUSE)[0]:
                with self.passing:
                    if self._cut or (not self._proxy._frozen and not self._pass(end, other[end])):
                        return

    def _pass(self, end: socket.socket, other: socket.socket) -> bool:
        data = end.recv(64 * 1024)
        other.sendall(data)
        return bool(data)
