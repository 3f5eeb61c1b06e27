"""What tests of serving need: a server for the time of a test, and a client that can misbehave."""

import base64
import contextlib
import http.client
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import bcrypt

from pulltrace.clock import Instant, Monotonic
from pulltrace.web import Handler, Limits, ListenAddress, Request, Response, Server, WebConfig, text_response

T = TypeVar("T")
PAGE = b"".join(b'pulltrace_test{series="%d"} 1\n' % number for number in range(4000))
PROBES = ("/-/healthy", "/-/ready")
TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
MUTUAL_TLS = TLS + "  client_ca_file: ca.crt\n  client_auth_type: RequireAndVerifyClientCert\n"


def page(_request: Request) -> Response:
    return Response(body=PAGE, content_type="text/plain; version=0.0.4")


def ok(_request: Request) -> Response:
    return text_response(200, "ok")


ROUTES: Mapping[str, Handler] = {"/metrics": page, "/-/healthy": ok, "/-/ready": ok}


class HurriedClock:
    """Each look at it is ten seconds after the one before, so that whatever is due now and then is always due."""

    def __init__(self) -> None:
        self._monotonic = 0.0

    def now(self) -> Instant:
        self._monotonic += 10
        return Instant(time.time() + self._monotonic, Monotonic(self._monotonic))


@contextlib.contextmanager
def serving(
    routes: Mapping[str, Handler] = ROUTES, config: Path | None = None, limits: Limits | None = None
) -> Iterator[Server]:
    """A server on a free port of 127.0.0.1 that looks at its configuration on every request."""
    server = Server(ListenAddress("127.0.0.1", 0), routes, WebConfig(config, HurriedClock()), limits)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def put(path: Path, text: str) -> Path:
    """Replace a file as a careful writer does: another file takes its name."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    return fresh.replace(path)


def hashed(password: str, cost: int = 4) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@dataclass(frozen=True, slots=True)
class Answer:
    """A response as read by `Client`; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """One connection, bytes in and bytes out. Whatever lasts longer than `timeout` seconds raises."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None, timeout: float = 10.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        try:
            if tls:
                self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        except BaseException:
            self.socket.close()
            raise
        self._lines = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def get(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join([*lines, "", ""]).encode())
        return self.answer(method)

    def answer(self, method: str = "GET") -> Answer:
        line = self._lines.readline()
        if not line:
            raise ConnectionResetError("the server closed the connection")
        status = int(line.split()[1])
        headers = {name.lower(): value for name, value in http.client.parse_headers(self._lines).items()}
        length = 0 if method == "HEAD" else int(headers.get("content-length", "0"))
        body = self._lines.read(length)
        assert len(body) == length, "the answer was cut off"
        return Answer(status, headers, body)

    def ended(self) -> bool:
        """Wait until the server has closed the connection, dropping what it still sends."""
        try:
            while self._lines.read(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True


def get(port: int, path: str, *, tls: ssl.SSLContext | None = None, **headers: str) -> Answer:
    with Client(port, tls=tls) as client:
        return client.get(path, **headers)


def wait_until(
    condition: Callable[[], T], seconds: float = 60.0, what: Callable[[], object] = lambda: "", interval: float = 0.01
) -> T:
    """The first true answer of the condition; fails with `what` is there instead."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what()}"
        time.sleep(interval)
    return answer
