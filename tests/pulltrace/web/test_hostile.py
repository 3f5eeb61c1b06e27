"""Clients that want to keep the server from its work, or from ending."""

import contextlib
import gc
import select
import socket
import ssl
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pulltrace.web import Limits, Request, Response, Server
from pulltrace.web.connection import Connection
from rig.pki import Authority
from rig.web import PAGE, PROBES, ROUTES, TLS, Client, get, put, serving, wait_until

pytestmark = pytest.mark.contract

CA = Authority()
QUICK = Limits(receive_seconds=3, answer_seconds=3, idle_seconds=3)
"""Short for those who are slow on purpose, and long enough for those who share a busy machine."""
ROOM = 20
"""Seconds that the end of a connection may take beyond its limit on a busy machine."""
HELLO_BEGUN = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    CA.write(tmp_path)
    CA.issue().write(tmp_path, "server")
    return put(tmp_path / "web.yml", TLS)


@pytest.fixture
def tls(config: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=config.parent / "ca.crt")


@contextlib.contextmanager
def clients(server: Server, count: int, tls: ssl.SSLContext | None = None) -> Iterator[list[Client]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Client(server.port, tls=tls)) for _ in range(count)]


def gone(client: Client) -> bool:
    """Tell, without waiting, whether the server has closed the connection."""
    client.socket.setblocking(False)
    try:
        while client.socket.recv(65536):
            pass
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        pass
    return True


def drip(client: Client) -> None:
    with contextlib.suppress(OSError):
        client.socket.send(b"a")


def serves(server: Server, tls: ssl.SSLContext | None = None) -> None:
    assert get(server.port, "/metrics", tls=tls).body == PAGE
    for path in PROBES:
        assert get(server.port, path, tls=tls).status == 200


def time_until_gone(server: Server, silent: list[Client], dripping: list[Client], tls: ssl.SSLContext | None) -> float:
    """Seconds until all are gone; meanwhile the dripping ones drip and good clients are served."""
    started = time.monotonic()
    left = [*silent, *dripping]
    while left and time.monotonic() - started < 60:
        serves(server, tls)
        for client in dripping:
            drip(client)
        left = [client for client in left if not gone(client)]
        select.select([], [], [], 0.1)
    assert not left, f"{len(left)} are still there"
    return time.monotonic() - started


@pytest.mark.parametrize("connections", [64, 256])
def test_unfinished_handshakes_and_dripped_headers_harm_nobody(
    config: Path, tls: ssl.SSLContext, connections: int, caplog: pytest.LogCaptureFixture
) -> None:
    limits = replace(QUICK, connections=connections)
    with (
        serving(config=config, limits=limits) as server,
        clients(server, 50) as silent,
        clients(server, 50, tls) as dripping,
    ):
        for number, client in enumerate(silent):
            client.send(HELLO_BEGUN[: number % len(HELLO_BEGUN)])  # none to a good part of a ClientHello
        for client in dripping:
            with contextlib.suppress(OSError):
                client.send(b"GET /metrics HTTP/1.1\r\nX: ")
        assert time_until_gone(server, silent, dripping, tls) < limits.receive_seconds + ROOM
    assert not [record for record in caplog.records if record.levelname != "DEBUG"]


def test_dripped_headers_over_plain_http_harm_nobody() -> None:
    with serving(limits=QUICK) as server, clients(server, 20) as silent, clients(server, 20) as dripping:
        assert time_until_gone(server, silent, dripping, None) < QUICK.receive_seconds + ROOM


def test_a_second_request_has_no_more_time_than_the_first() -> None:
    limits = replace(QUICK, idle_seconds=60)
    with serving(limits=limits) as server, clients(server, 5) as dripping:
        for client in dripping:
            assert client.get("/metrics").status == 200
            client.send(b"G")
        assert time_until_gone(server, [], dripping, None) < QUICK.receive_seconds + ROOM


def test_idle_connections_end() -> None:
    with serving(limits=QUICK) as server, Client(server.port) as client:
        assert client.get("/metrics").status == 200
        started = time.monotonic()
        assert client.ended()
        assert QUICK.idle_seconds - 0.5 < time.monotonic() - started < QUICK.idle_seconds + ROOM


def big(_request: Request) -> Response:
    return Response(body=b"x" * 8_000_000)


def greedy(server: Server, tls: ssl.SSLContext | None = None) -> Client:
    """A client that asks for much and reads nothing."""
    client = Client(server.port, tls=tls)
    client.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
    return client


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_client_that_does_not_read_is_cut_off(config: Path, tls: ssl.SSLContext, encrypted: bool) -> None:
    used = tls if encrypted else None
    with serving({**ROUTES, "/big": big}, config if encrypted else None, QUICK) as server:
        with greedy(server, used) as client:
            serves(server, used)
            started = time.monotonic()
            wait_for_resets([client], 1)
            assert time.monotonic() - started < QUICK.answer_seconds + ROOM
        serves(server, used)


def test_unread_answers_take_bounded_memory() -> None:
    limits = replace(QUICK, unsent_bytes=20_000_000, answer_seconds=60, receive_seconds=60)
    with serving({**ROUTES, "/big": big}, limits=limits) as server, contextlib.ExitStack() as stack:
        readers = [stack.enter_context(greedy(server)) for _ in range(6)]
        serves(server)
        # Two answers of 8 MB fit: four of the six are cut off to make room, though nobody's time is up.
        wait_for_resets(readers, 4)
        assert get(server.port, "/big").body == b"x" * 8_000_000


def test_an_answer_larger_than_all_that_may_be_unsent_goes_out_alone() -> None:
    with serving({"/big": big}, limits=replace(QUICK, unsent_bytes=1000)) as server:
        assert len(get(server.port, "/big").body) == 8_000_000


def wait_for_resets(readers: list[Client], count: int) -> None:
    """Wait for the end of so many connections, without reading from them."""
    poll = select.poll()
    for client in readers:
        poll.register(client.socket, select.POLLHUP)
    deadline = time.monotonic() + 60
    while len(poll.poll(100)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_there_is_always_room_for_one_more() -> None:
    limits = Limits(connections=10)
    with serving(limits=limits) as server, contextlib.ExitStack() as stack:
        for _ in range(5):
            for _ in range(30):
                stack.enter_context(Client(server.port))
            serves(server)


def test_the_connection_longest_in_its_state_makes_room() -> None:
    with serving(limits=Limits(connections=3)) as server, clients(server, 3) as (first, second, third):
        for client in (first, second, third, first):
            assert client.get("/-/ready").status == 200
        with Client(server.port) as fourth:
            assert fourth.get("/-/ready").status == 200
            assert second.ended()
            assert third.get("/-/ready").status == 200
            assert first.get("/-/ready").status == 200


def test_stopping_does_not_wait_for_clients_that_do_not_read(config: Path, tls: ssl.SSLContext) -> None:
    with serving({**ROUTES, "/big": big}, config) as server, greedy(server, tls), clients(server, 3):
        serves(server, tls)
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 2


def test_a_tls_connection_is_cheap(config: Path) -> None:
    """asyncio's own buffers are 256 KiB each: 64 connections would take a third of the exporter's memory."""
    with serving(config=config) as server, clients(server, 1), contextlib.ExitStack() as stack:
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        silent = stack.enter_context(clients(server, 30))
        for client in silent:
            client.send(HELLO_BEGUN)
        wait_until(lambda: in_memory(ssl.SSLObject) >= 30)
        assert tracemalloc.get_traced_memory()[0] / 30 < 64 * 1024


def in_memory(kind: type) -> int:
    """How many there are, of whomever."""
    return sum(isinstance(thing, kind) for thing in gc.get_objects())


@pytest.mark.parametrize("encrypted", [False, True])
def test_the_memory_of_an_ended_connection_does_not_wait_for_the_garbage_collector(
    config: Path, tls: ssl.SSLContext, encrypted: bool
) -> None:
    """A full collection comes rarely in a program with much long-lived data, and does not see OpenSSL's memory."""
    used = tls if encrypted else None
    limits = replace(QUICK, receive_seconds=0.3, connections=3)
    with serving(config=config if encrypted else None, limits=limits) as server, without_collector():
        serves(server, used)
        for sent in (
            b"G",
            b"\0\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
            b"GET /-/ready HTTP/1.0\r\n\r\n",
        ):
            with Client(server.port, tls=used) as client:
                client.send(sent)
                assert client.ended()
            with Client(server.port, tls=used) as client:
                client.send(sent)
        for sent in (HELLO_BEGUN, b"GET / HTTP/1.1\r\n\r\n"):
            with Client(server.port) as client:
                client.send(sent)
                assert client.ended()
        for kind in (None, used):
            with clients(server, 10, kind):  # more than there is room for
                pass
        wait_until(lambda: in_memory(Connection) == 0)


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_running_out_of_file_descriptors_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    failures = iter([OSError(24, "Too many open files")])
    accept = socket.socket.accept

    def failing(self: socket.socket) -> tuple[socket.socket, object]:
        for error in failures:
            raise error
        return accept(self)

    monkeypatch.setattr("pulltrace.web.server._ACCEPT_RETRY_SECONDS", 0.05)
    with serving() as server:
        monkeypatch.setattr(socket.socket, "accept", failing)
        serves(server)
    assert next(failures, None) is None
