"""A container registry on loopback: the pulling half of the OCI distribution specification, under a test's control."""

import base64
import threading
from dataclasses import dataclass, field
from http import HTTPStatus

from rig.closing import Closing
from rig.images import Blob, Image
from rig.pacing import PAUSE, Pacer, Stall
from rig.registry_http import Refusal, RegistryServer, Request

__all__ = ["Hang", "Refusal", "Registry", "Request"]


class Hang:
    """Requests are taken and not answered until this is released."""

    def __init__(self) -> None:
        self._released = threading.Event()

    def release(self) -> None:
        """Answer what waits. May be called twice."""
        self._released.set()

    @property
    def released(self) -> bool:
        return self._released.is_set()


@dataclass(slots=True)
class _Repository:
    blobs: dict[str, Blob] = field(default_factory=dict)
    tags: dict[str, Blob] = field(default_factory=dict)


class Registry(Closing):
    """Serves what was pushed, on a free port of 127.0.0.1, until it is closed.

    Every control works at any moment, also on transfers that are under way. Positions (`after`) are in bytes of the
    blob, so a resumed transfer meets a mark where a first one would.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.pacer = Pacer()
        self._lock = threading.Lock()
        self._repositories: dict[str, _Repository] = {}
        self._refusals: dict[str, Refusal] = {}
        self._passwords: dict[str, str] = {}
        self._hangs: list[tuple[str | None, Hang]] = []
        self._closed = False
        self._runs = False
        self._port = 0
        self.start()

    @property
    def port(self) -> int:
        return self._port

    @property
    def host(self) -> str:
        """Where it is, as the first part of a reference."""
        return f"127.0.0.1:{self.port}"

    @property
    def local_name(self) -> str:
        """The registry under another host name, as the first part of a reference."""
        return f"localhost:{self.port}"

    def push(self, image: Image) -> Image:
        """Serve the image, and move its tag if it is taken; the image comes back."""
        with self._lock:
            repository = self._repositories.setdefault(image.repository, _Repository())
            repository.blobs.update({blob.digest: blob for blob in image.blobs})
            repository.tags[image.tag] = image.root
        return image

    def throttle(self, bytes_per_second: float | None, digest: str | None = None) -> None:
        """Limit all transfers together, or those of one blob; None lifts the limit."""
        self.pacer.throttle(bytes_per_second, digest)

    def stall(self, digest: str, after: int = 0) -> Stall:
        """Stop sending the blob at a position, connection open, until the answer is released."""
        return self.pacer.stall(digest, after)

    def cut(self, digest: str, after: int = 0) -> None:
        """Close the connection once, when a transfer of the blob has reached a position."""
        self.pacer.cut(digest, after)

    def deny(self, where: str, status: int, **headers: str) -> None:
        """Refuse a repository, or a blob or manifest by digest, with this status until `allow`."""
        if status == HTTPStatus.UNAUTHORIZED:
            headers.setdefault("WWW-Authenticate", 'Basic realm="registry"')
        with self._lock:
            self._refusals[where] = Refusal(status, headers)

    def require(self, repository: str, user: str, password: str) -> None:
        """Refuse a repository with status 401 to whoever does not show this password, until `allow`."""
        shown = base64.b64encode(f"{user}:{password}".encode()).decode()
        with self._lock:
            self._passwords[repository] = f"Basic {shown}"
        self.deny(repository, HTTPStatus.UNAUTHORIZED)

    def allow(self, where: str) -> None:
        """Take a refusal back."""
        with self._lock:
            self._refusals.pop(where, None)
            self._passwords.pop(where, None)

    def hang(self, repository: str | None = None) -> Hang:
        """Leave requests (of one repository) unanswered until the answer is released or the registry closed."""
        hang = Hang()
        with self._lock:
            self._hangs.append((repository, hang))
        return hang

    def sent(self, digest: str) -> int:
        """Bytes of the blob or manifest that sockets have taken, over all transfers."""
        return self.pacer.sent(digest)

    def wait_sent(self, digest: str, at_least: int = 1, timeout: float = 30) -> None:
        """Return when so many bytes have been sent; raises TimeoutError."""
        self.pacer.wait_sent(digest, at_least, timeout)

    def wait_requested(self, text: str, timeout: float = 30) -> None:
        """Return when the path of some request has contained `text`; raises TimeoutError."""
        with self.pacer.changed:
            if not self.pacer.changed.wait_for(lambda: any(text in each.path for each in self.requests), timeout):
                raise TimeoutError(f"no request for {text} in {timeout} s")

    def crash(self) -> None:
        """End as a process that is killed, until `start`: what was sent arrives, then each connection ends."""
        if not self._runs:
            return
        self._runs = False
        self._server.shutdown()
        self._thread.join()
        self._server.end_connections()
        self._server.server_close()

    def start(self) -> None:
        """Serve again where it did, as after a restart: what was pushed is there, as are marks and counts."""
        self._server = RegistryServer(self, self._port)
        self._port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(PAUSE,), name="registry")
        self._thread.start()
        self._runs = True

    def close(self) -> None:
        """End every transfer and connection, and join the threads. May be called twice."""
        self._closed = True
        self.pacer.close()
        self.crash()

    def note_request(self, request: Request) -> None:
        with self.pacer.changed:
            self.requests.append(request)
            self.pacer.changed.notify_all()

    def hung(self, repository: str) -> bool:
        """Whether a request for this repository has to wait."""
        with self._lock:
            return any(not hang.released and where in (None, repository) for where, hang in self._hangs)

    def refusal(self, request: Request) -> Refusal | None:
        with self._lock:
            password = self._passwords.get(request.repository)
            if password and request.authorization == password:
                return self._refusals.get(request.target)
            return self._refusals.get(request.repository) or self._refusals.get(request.target)

    def find(self, request: Request) -> Blob | None:
        with self._lock:
            repository = self._repositories.get(request.repository, _Repository())
            return repository.blobs.get(request.target) or repository.tags.get(request.target)

    @property
    def closed(self) -> bool:
        return self._closed
