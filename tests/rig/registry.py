"""A container registry on loopback: the pulling half of the OCI distribution specification, under a test's control."""

import base64
import threading
from dataclasses import dataclass, field
from http import HTTPStatus

from rig.closing import Closing
from rig.images import Blob, Image
from rig.pacing import Pacer
from rig.registry_http import Refusal, RegistryServer, Request

__all__ = ["Hang", "Refusal", "Registry", "Request"]


class Hang(threading.Event):
    """Requests are taken and not answered until this is released."""

    release = threading.Event.set


@dataclass(slots=True)
class _Repository:
    blobs: dict[str, Blob] = field(default_factory=dict)
    tags: dict[str, Blob] = field(default_factory=dict)


class Registry(Closing, Pacer):
    """Serves what was pushed, on a free port of 127.0.0.1, until it is closed.

    Every control works at any moment, also on transfers that are under way. Positions (`after`) are in bytes of the
    blob, so a resumed transfer meets a mark where a first one would.
    """

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self._repositories: dict[str, _Repository] = {}
        self._refusals: dict[str, Refusal] = {}
        self._passwords: dict[str, str] = {}
        self._hangs: list[tuple[str | None, Hang]] = []
        self._runs = False
        self.port = 0
        self.start()

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
        with self._lock:
            self._refusals.pop(where, None)
            self._passwords.pop(where, None)

    def hang(self, repository: str | None = None) -> Hang:
        """Leave requests (of one repository) unanswered until the answer is released or the registry closed."""
        hang = Hang()
        with self._lock:
            self._hangs.append((repository, hang))
        return hang

    def crash(self) -> None:
        """End as a process that is killed, until `start`: what was sent arrives, then each connection ends."""
        if not self._runs:
            return
        self._runs = False
        self._server.close()

    def start(self) -> None:
        """Serve again where it did, as after a restart: what was pushed is there, as are marks and counts."""
        self._server = RegistryServer(self, self.port)
        self.port = self._server.port
        self._runs = True

    def close(self) -> None:
        """End every transfer and connection, and join the threads. May be called twice."""
        self.end_transfers()
        self.crash()

    def hung(self, repository: str) -> bool:
        with self._lock:
            return any(not hang.is_set() and where in (None, repository) for where, hang in self._hangs)

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
