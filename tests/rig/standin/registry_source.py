"""Blobs over the distribution protocol, with containerd's retries: what it does when cut, refused or put off."""

import http.client
import socket
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from rig.standin.control import Token
from rig.standin.descriptors import INDEXES, MANIFESTS, Descriptor
from rig.standin.reference import Reference
from rig.standin.sources import MIB, Chunk, SourceFailed

ACCEPTED = ", ".join((*MANIFESTS, *INDEXES, "*/*"))
LARGEST_MANIFEST = 8 * MIB
FAILED_OPEN = "failed to copy: httpReadSeeker: failed open"
ASKED_AGAIN = (408, 429, 500, 503, 504)
WITHOUT_PROGRESS = 5
READ_SIZE = 64 * 1024
CONNECT_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class RegistrySource:
    """`mirrors`: base URLs by registry host, asked in its place."""

    mirrors: Mapping[str, str] = field(default_factory=dict)

    def resolve(self, reference: Reference, token: Token) -> Descriptor:
        request = _Request(self, reference, "manifests", reference.wanted)
        with request.send("HEAD", {"Accept": ACCEPTED}, token) as answer:
            if answer.status == 404:
                raise SourceFailed(f"{reference.name}: not found")
            request.refuse(answer)
            digest = reference.digest or answer.getheader("Docker-Content-Digest", "")
            size = int(answer.getheader("Content-Length", ""))
            media_type = answer.getheader("Content-Type", "")
        if size > LARGEST_MANIFEST:
            raise SourceFailed(f"rejecting {size} byte manifest for {reference.name}: not found")
        return Descriptor(media_type, digest, size)

    def chunks(self, reference: Reference, blob: Descriptor, offset: int, token: Token) -> Generator[Chunk, None, None]:
        """Mebibytes; what is left of one comes at the end, also when that is a bad one."""
        kind = "manifests" if blob.is_index or blob.is_manifest else "blobs"
        request = _Request(self, reference, kind, blob.digest)
        buffer = bytearray()
        try:
            for part in _parts(request, blob, offset, token):
                buffer += part
                while len(buffer) >= MIB:
                    yield bytes(buffer[:MIB])
                    del buffer[:MIB]
        except Exception:
            yield bytes(buffer)
            raise
        yield bytes(buffer)


@dataclass(frozen=True, slots=True)
class _Request:
    source: RegistrySource
    reference: Reference
    kind: str
    wanted: str

    @property
    def base(self) -> str:
        return self.source.mirrors.get(self.reference.host, f"http://{self.reference.host}")

    @property
    def path(self) -> str:
        path = f"/v2/{self.reference.repository}/{self.kind}/{self.wanted}"
        return f"{path}?ns={self.reference.host}" if self.reference.host in self.source.mirrors else path

    @property
    def url(self) -> str:
        return self.base + self.path

    def refuse(self, answer: http.client.HTTPResponse) -> None:
        if answer.status == 401:
            raise SourceFailed(
                "pull access denied, repository does not exist or may require authorization: "
                "authorization failed: no basic auth credentials"
            )
        if answer.status > 299:
            raise SourceFailed(f"unexpected status code {self.url}: {answer.status} {answer.reason}")

    @contextmanager
    def send(self, method: str, headers: Mapping[str, str], token: Token) -> Iterator[http.client.HTTPResponse]:
        """One answer, after a second try where containerd makes one; ends with the reason of `token`."""
        for last in (False, True):
            connection = http.client.HTTPConnection(urlsplit(self.base).netloc, timeout=CONNECT_TIMEOUT)
            with closing(connection), _ended_with(connection, token):
                answer = self._ask(connection, method, headers, token)
                if last or answer.status not in ASKED_AGAIN:
                    yield answer
                    return

    def _ask(
        self, connection: http.client.HTTPConnection, method: str, headers: Mapping[str, str], token: Token
    ) -> http.client.HTTPResponse:
        try:
            connection.request(method, self.path, headers=dict(headers))
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            token.check()
            raise SourceFailed(f'failed to do request: {method.title()} "{self.url}": {error}') from error


@contextmanager
def _ended_with(connection: http.client.HTTPConnection, token: Token) -> Iterator[None]:
    """Wake whoever reads from the connection when the work ends."""
    try:
        connection.connect()
    except OSError as error:
        raise SourceFailed(f"failed to do request: dial tcp: {error}") from error
    sock: socket.socket = connection.sock
    sock.settimeout(None)  # a silent registry is waited for until somebody loses patience

    def shut() -> None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # closed already: nobody reads

    with token.closing(shut):
        yield


def _parts(request: _Request, blob: Descriptor, offset: int, token: Token) -> Iterator[bytes]:
    """A connection that breaks is taken up again where it broke, while that brings anything."""
    fruitless = 0
    while offset < blob.size and fruitless <= WITHOUT_PROGRESS:
        before, part = offset, b""
        for part in _stream(request, blob, offset, token):
            offset += len(part)
            yield part
        token.check()
        if not part:
            return
        fruitless = 0 if offset > before else fruitless + 1


def _stream(request: _Request, blob: Descriptor, offset: int, token: Token) -> Iterator[bytes]:
    headers = {"Accept": f"{blob.media_type}, */*", **({"Range": f"bytes={offset}-"} if offset else {})}
    with request.send("GET", headers, token) as answer:
        if answer.status == 404:
            what = f"content descriptor {blob.digest} ({blob.media_type})"
            raise SourceFailed(f"{FAILED_OPEN}: could not fetch {what} from remote: not found")
        request.refuse(answer)
        yield from _body(answer)


def _body(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """The body as it comes; an empty part at last says that it was not cut."""
    rest = int(answer.getheader("Content-Length", ""))
    while rest and (part := _read(answer, rest)):
        rest -= len(part)
        yield part
    if not rest:
        yield b""


def _read(answer: http.client.HTTPResponse, rest: int) -> bytes:
    try:
        return answer.read1(min(READ_SIZE, rest))
    except (OSError, http.client.HTTPException):
        return b""
