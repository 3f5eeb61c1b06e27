"""Serving plain HTTP, as clients see it."""

import contextlib
import gzip
import logging
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulltrace.web import (
    Handler,
    Limits,
    ListenAddress,
    ListenError,
    Request,
    Response,
    Server,
    matches_etag,
    text_response,
)
from rig.web import PAGE, PROBES, ROUTES, Client, basic, get, hashed, ok, page, put, serving, wait_until

pytestmark = pytest.mark.contract


@pytest.fixture
def client() -> Iterator[Client]:
    """A client of a server with the usual routes."""
    with serving() as server, Client(server.port) as connected:
        yield connected


def test_a_page_is_served(client: Client) -> None:
    answer = client.get("/metrics?ignored=1")
    assert (answer.status, answer.body) == (200, PAGE)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert "content-encoding" not in answer.headers


def test_a_connection_is_kept_for_further_requests(client: Client) -> None:
    assert [client.get(path).status for path in ("/metrics", "/nothing", "/-/ready")] == [200, 404, 200]


def test_an_answer_is_not_held_back_by_the_network_stack(client: Client) -> None:
    """Nagle's algorithm and delayed acknowledgements together cost 40 ms an answer."""
    took = []
    for _ in range(10):
        started = time.monotonic()
        assert client.get("/-/ready").status == 200
        took.append(time.monotonic() - started)
    assert min(took[2:]) < 0.03


def test_requests_may_come_before_the_answers(client: Client) -> None:
    request = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"
    client.send(b"".join(request % path for path in (b"/-/ready", b"/metrics", b"/nothing")))
    assert [client.answer().status for _ in range(3)] == [200, 200, 404]
    client.send((request % b"/metrics")[:20])
    client.send((request % b"/metrics")[20:] + (request % b"/-/ready")[:10])
    assert client.answer().body == PAGE
    client.send((request % b"/-/ready")[10:])
    assert client.answer().status == 200


def test_head_is_get_without_the_body(client: Client) -> None:
    for headers in ({}, {"Accept-Encoding": "gzip"}):
        with_body = client.get("/metrics", **headers)
        without = client.get("/metrics", method="HEAD", **headers)
        assert {**without.headers, "date": ""} == {**with_body.headers, "date": ""}
        assert without.body == b""


def test_gzip_is_sent_to_those_who_take_it(client: Client) -> None:
    packed = client.get("/metrics", Accept_Encoding="deflate, gzip;q=0.8")
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "Accept-Encoding"
    assert len(packed.body) < len(PAGE) / 5
    assert gzip.decompress(packed.body) == PAGE
    assert client.get("/metrics", Accept_Encoding="gzip;q=0").body == PAGE


def test_a_handler_sees_the_request_and_shapes_the_answer() -> None:
    seen: list[Request] = []

    def handler(request: Request) -> Response:
        seen.append(request)
        return Response(203, b"x" * 1000, "a/b", {"Vary": "Accept", "ETag": '"1"'})

    with serving({"/": handler}) as server:
        answer = get(server.port, "http://other/?a=1&a=2", Accept="text/html")
    assert (seen[0].method, seen[0].path, seen[0].query) == ("GET", "/", {"a": ("1", "2")})
    assert seen[0].headers["accept"] == "text/html"
    assert answer.status == 203
    assert answer.headers["content-type"] == "a/b"
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["vary"] == "Accept, Accept-Encoding"


def test_a_state_that_the_client_has_is_not_sent_again() -> None:
    def handler(request: Request) -> Response:
        headers = {"ETag": 'W/"1"'}
        if matches_etag(request, 'W/"1"'):
            return Response(304, headers=headers)
        return Response(200, PAGE, headers=headers)

    with serving({"/v1/pulls": handler}) as server, Client(server.port) as client:
        etag = client.get("/v1/pulls", Accept_Encoding="gzip").headers["etag"]
        again = client.get("/v1/pulls", Accept_Encoding="gzip", If_None_Match=etag)
        assert (again.status, again.headers["etag"], again.body) == (304, etag, b"")
        assert "content-length" not in again.headers
        assert client.get("/v1/pulls").body == PAGE


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"])
def test_other_methods_are_refused(client: Client, method: str) -> None:
    answer = client.get("/metrics", method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert client.get("/metrics").status == 200


@pytest.mark.parametrize("path", ["/", "/metrics/", "//metrics", "/v1/../metrics", "/METRICS", "/metrics%00", "/%"])
def test_only_exact_paths_are_served(client: Client, path: str) -> None:
    assert client.get(path).status == 404


def test_a_handler_that_raises_gives_500_and_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_request: Request) -> Response:
        raise RuntimeError("secret particulars")

    with serving({**ROUTES, "/broken": broken}) as server, Client(server.port) as client:
        answer = client.get("/broken")
        assert answer.status == 500
        assert b"secret" not in answer.body
        assert client.get("/metrics").status == 200
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info is not None


def test_an_answer_that_http_does_not_allow_ends_one_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_request: Request) -> Response:
        return Response(headers={"X": "a\r\nSet-Cookie: b"})

    with serving({**ROUTES, "/broken": broken}) as server:
        with Client(server.port) as client:
            client.send(b"GET /broken HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.ended()
        assert get(server.port, "/metrics").status == 200
    assert [record.levelname for record in caplog.records if record.levelno >= logging.WARNING] == ["ERROR"]


def test_http_1_0_is_answered_and_closed(client: Client) -> None:
    client.send(b"GET /metrics HTTP/1.0\r\n\r\n")
    assert client.answer().body == PAGE
    assert client.ended()


def test_a_client_that_asks_to_close_is_closed(client: Client) -> None:
    assert client.get("/metrics", Connection="close").headers["connection"] == "close"
    assert client.ended()


def test_a_client_that_has_sent_all_it_wants_is_still_answered(client: Client) -> None:
    client.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
    client.socket.shutdown(socket.SHUT_WR)
    assert client.answer().body == PAGE
    assert client.ended()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # without Host
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # TLS spoken to plain HTTP
        (b"\x00" * 5000, 400),
        (b"GET /" + b"a" * 40_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 4000, 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 405),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n" + b"x" * 200_000, 405),
        (b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 413),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", 405),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_answered_is_refused_and_closed(
    sent: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with serving() as server:
        with Client(server.port) as client:
            client.send(sent)
            answer = client.answer()
            assert (answer.status, answer.headers["connection"], answer.body) == (status, "close", b"")
            assert answer.headers.get("allow") == ("GET, HEAD" if status == 405 else None)
            assert client.ended()
        assert get(server.port, "/metrics").status == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_garbage_after_a_request_does_not_spoil_its_answer(client: Client) -> None:
    client.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" + b"\x01garbage" * 1000)
    assert client.answer().body == PAGE
    assert client.answer().status == 400
    assert client.ended()


@pytest.mark.parametrize("upgrade", ["websocket", "h2c", "TLS/1.2"])
def test_no_other_protocol_is_switched_to(client: Client, upgrade: str) -> None:
    answer = client.get("/metrics", Connection="Upgrade, HTTP2-Settings", Upgrade=upgrade, HTTP2_Settings="AA")
    assert answer.body == PAGE
    assert client.get("/metrics").status == 200


class Slow:
    """A page that takes until it is told."""

    def __init__(self) -> None:
        self.running = 0
        self.go_on = threading.Event()

    def __call__(self, _request: Request) -> Response:
        self.running += 1
        assert self.go_on.wait(20)
        return text_response(200, "at last")


def ask(client: Client, path: str) -> None:
    client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())


def test_slow_pages_do_not_delay_a_probe() -> None:
    slow = Slow()
    with serving({**ROUTES, "/slow": slow}, limits=Limits(page_threads=2)) as server:
        waiting = [Client(server.port) for _ in range(10)]
        try:
            for client in waiting:
                ask(client, "/slow")
            wait_until(lambda: slow.running == 2)
            for path in PROBES:
                assert get(server.port, path).status == 200
            assert slow.running == 2, "no more at once than there are threads"
            slow.go_on.set()
            assert [client.answer().status for client in waiting] == [200] * 10
        finally:
            slow.go_on.set()
            for client in waiting:
                client.__exit__()


def test_stopping_lets_an_answer_go_out_and_closes_the_idle(caplog: pytest.LogCaptureFixture) -> None:
    slow = Slow()
    with serving({**ROUTES, "/slow": slow}) as server, Client(server.port) as busy, Client(server.port) as idle:
        assert idle.get("/metrics").status == 200
        ask(busy, "/slow")
        wait_until(lambda: slow.running == 1)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        assert idle.ended()
        slow.go_on.set()
        assert busy.answer().status == 200
        assert busy.ended()
        stopping.join(2)
        assert not stopping.is_alive()
    assert not caplog.records


def test_stopping_does_not_wait_for_anybody_longer_than_two_seconds() -> None:
    slow = Slow()
    with serving({**ROUTES, "/slow": slow}) as server, Client(server.port) as stuck, Client(server.port) as silent:
        ask(stuck, "/slow")
        wait_until(lambda: slow.running == 1)
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 2
        slow.go_on.set()
        assert stuck.ended()
        assert silent.ended()


def test_nothing_is_left_after_stopping() -> None:
    before = set(threading.enumerate())
    with serving() as server:
        assert get(server.port, "/metrics").status == 200
        assert all(not thread.daemon for thread in set(threading.enumerate()) - before)
    wait_until(lambda: set(threading.enumerate()) <= before)
    with pytest.raises(ConnectionRefusedError):
        Client(server.port)
    ListenAddress("127.0.0.1", server.port).bind().close()


def test_a_port_in_use_is_said_at_start_and_leaves_nothing() -> None:
    with serving() as server:
        before = threading.active_count()
        second = Server(ListenAddress("127.0.0.1", server.port), ROUTES, server.config)
        with pytest.raises(ListenError, match="Address already in use"):
            second.start()
        assert threading.active_count() == before


@pytest.mark.parametrize("handler", [page, ok])
def test_a_probe_needs_no_password_and_other_pages_do(handler: Handler, tmp_path: Path) -> None:
    config = put(tmp_path / "web.yml", f"basic_auth_users:\n  prometheus: {hashed('secret')}\n")
    with serving({**ROUTES, "/": handler}, config) as server, Client(server.port) as client:
        for path in PROBES:
            assert client.get(path).status == 200
        for path in ("/", "/metrics", "/nothing"):
            refused = client.get(path)
            assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Basic realm="pulltrace"')
        assert client.get("/metrics", method="POST").status == 401
        for wrong in (basic("prometheus", "wrong"), basic("other", "secret"), {"Authorization": "Basic !"}):
            assert client.get("/metrics", **wrong).status == 401
        for _ in range(3):
            assert client.get("/", **basic("prometheus", "secret")).status == 200
        assert client.get("/nothing", **basic("prometheus", "secret")).status == 404


def test_guessing_passwords_delays_neither_probes_nor_those_who_are_known(tmp_path: Path) -> None:
    config = put(tmp_path / "web.yml", f"basic_auth_users:\n  prometheus: {hashed('secret', cost=11)}\n")
    right = basic("prometheus", "secret")
    with serving(config=config) as server, Client(server.port) as known, contextlib.ExitStack() as stack:
        assert known.get("/metrics", **right).status == 200
        guessing = [stack.enter_context(Client(server.port)) for _ in range(30)]  # some four seconds of hashing
        for number, client in enumerate(guessing):
            wrong = basic("prometheus", f"guess {number}")["Authorization"]
            client.send(f"GET /metrics HTTP/1.1\r\nHost: a\r\nAuthorization: {wrong}\r\n\r\n".encode())
        for path in PROBES:
            assert get(server.port, path).status == 200
        assert known.get("/metrics", **right).status == 200
        answered, _, _ = select.select([client.socket for client in guessing], [], [], 0)
        assert len(answered) < len(guessing), "all that had waited for the guesses"


def test_clients_that_connect_while_it_stops_leave_no_word_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def connect(port: int) -> None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()

    for _ in range(30):
        with serving(ROUTES) as server:
            clients = [threading.Thread(target=connect, args=(server.port,)) for _ in range(3)]
            for client in clients:
                client.start()
        for client in clients:
            client.join()
    assert caplog.records == []
