"""Blobs over the distribution protocol, with containerd's retries: what it does when cut, refused or put off."""

import http.client
import socket
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from rig.standin.control import Token
from rig.standin.descriptors import INDEXES, MANIFESTS, Descriptor, sha256
from rig.standin.reference import Reference
from rig.standin.sources import MIB, Chunk, SourceFailed

ACCEPTED = ", ".join((*MANIFESTS, *INDEXES, "*/*"))
LARGEST_MANIFEST = 8 * MIB
FAILED_OPEN = "failed to copy: httpReadSeeker: failed open"
MAX_TRIES = 6
WITHOUT_PROGRESS = 5
READ_SIZE = 64 * 1024
CONNECT_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class RegistrySource:
    """`mirrors`: base URLs by registry host, asked in its place."""

    mirrors: Mapping[str, str] = field(default_factory=dict)
    user_agent: str = "containerd/2.1.9"

    def resolve(self, reference: Reference, token: Token) -> Descriptor:
        """Ask for the manifest's head, and for its body where the head says too little."""
        request = _Request(self, reference, "manifests", reference.wanted)
        with request.send("HEAD", {"Accept": ACCEPTED}, token) as answer:
            if answer.status == 404:
                raise SourceFailed(f"{reference.name}: not found")
            request.refuse(answer)
            digest = reference.digest or answer.getheader("Docker-Content-Digest", "")
            size = answer.getheader("Content-Length")
            media_type = answer.getheader("Content-Type", "")
        if not digest or size is None:
            return self._resolve_by_content(request, digest, token)
        return _checked(reference, Descriptor(media_type, digest, int(size)))

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

    def _resolve_by_content(self, request: "_Request", digest: str, token: Token) -> Descriptor:
        with request.send("GET", {"Accept": ACCEPTED}, token) as answer:
            request.refuse(answer)
            content = answer.read()
            media_type = answer.getheader("Content-Type", "")
        return _checked(request.reference, Descriptor(media_type, digest or sha256(content), len(content)))


@dataclass(frozen=True, slots=True)
class _Request:
    source: RegistrySource
    reference: Reference
    kind: str
    wanted: str

    @property
    def base(self) -> str:
        host = self.reference.host
        scheme = "http" if self.reference.source_host in ("localhost", "127.0.0.1", "::1") else "https"
        return self.source.mirrors.get(host, f"{scheme}://{host}")

    @property
    def path(self) -> str:
        path = f"/v2/{self.reference.repository}/{self.kind}/{self.wanted}"
        return f"{path}?ns={self.reference.host}" if self.reference.host in self.source.mirrors else path

    @property
    def url(self) -> str:
        return self.base + self.path

    def refuse(self, answer: http.client.HTTPResponse) -> None:
        """Raise SourceFailed for a status that is an error."""
        if answer.status == 401:
            raise SourceFailed(
                "pull access denied, repository does not exist or may require authorization: "
                "authorization failed: no basic auth credentials"
            )
        if answer.status > 299:
            raise SourceFailed(f"unexpected status code {self.url}: {answer.status} {answer.reason}")

    @contextmanager
    def send(self, method: str, headers: Mapping[str, str], token: Token) -> Iterator[http.client.HTTPResponse]:
        """One answer, after as many tries as containerd makes; ends with the reason of `token`."""
        seen: list[int] = []
        while True:
            connection = self._connection()
            with closing(connection), _ended_with(connection, token):
                answer = self._ask(connection, method, headers, token)
                seen.append(answer.status)
                if not _worth_another(seen):
                    yield answer
                    return

    def _connection(self) -> http.client.HTTPConnection:
        url = urlsplit(self.base)
        make = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        return make(url.hostname or "", url.port, timeout=CONNECT_TIMEOUT)

    def _ask(
        self, connection: http.client.HTTPConnection, method: str, headers: Mapping[str, str], token: Token
    ) -> http.client.HTTPResponse:
        try:
            connection.request(method, self.path, headers={**headers, "User-Agent": self.source.user_agent})
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            token.check()
            raise SourceFailed(f'failed to do request: {method.title()} "{self.url}": {error}') from error


def _worth_another(seen: list[int]) -> bool:
    """408 and 429 are asked again, without a pause; a server error once."""
    if len(seen) >= MAX_TRIES:
        return False
    if seen[-1] in (408, 429):
        return True
    return seen[-1] in (500, 503, 504) and seen[-2:-1] != seen[-1:]


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
    """What one connection brings from `offset` on."""
    headers = {"Accept": f"{blob.media_type}, */*", **({"Range": f"bytes={offset}-"} if offset else {})}
    with request.send("GET", headers, token) as answer:
        if answer.status == 404:
            what = f"content descriptor {blob.digest} ({blob.media_type})"
            raise SourceFailed(f"{FAILED_OPEN}: could not fetch {what} from remote: not found")
        request.refuse(answer)
        skip = offset if offset and answer.status != 206 else 0
        for part in _body(answer):
            rest = part[skip:]
            skip -= len(part) - len(rest)
            if rest or not part:
                yield rest


def _body(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """The body as it comes; an empty part at last says that it was not cut."""
    length = answer.getheader("Content-Length")
    rest = int(length) if length else None
    while rest != 0 and (part := _read(answer, rest)):
        rest = rest - len(part) if rest is not None else None
        yield part
    if not rest:
        yield b""


def _read(answer: http.client.HTTPResponse, rest: int | None) -> bytes:
    try:
        return answer.read1(READ_SIZE if rest is None else min(READ_SIZE, rest))
    except (OSError, http.client.HTTPException):
        return b""


def _checked(reference: Reference, root: Descriptor) -> Descriptor:
    if root.size > LARGEST_MANIFEST:
        raise SourceFailed(f"rejecting {root.size} byte manifest for {reference.name}: not found")
    return Descriptor(root.media_type.partition(";")[0], root.digest, root.size)
