"""Exporters that are slow, dead or worse: each costs itself only."""

import itertools
import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

from aggregator.bad_servers import hang_up, reset
from pulltrace.cli.startup import return_large_blocks
from pulltrace.model import wire
from pulltrace.model.pull import NodeReport
from pulltrace_aggregator.exporters.answer import LARGEST_BODY
from pulltrace_aggregator.exporters.errors import Result
from pulltrace_aggregator.exporters.schedule import Pace
from pulltrace_aggregator.exporters.state import ExporterSeen
from pulltrace_aggregator.model.node import NodeState
from rig.exporter_reading import INTERVAL, PATIENT, answers, reading, report_of
from rig.fake_exporters import (
    FakeExporter,
    RawServer,
    Talk,
    dripping,
    endless,
    http,
    read_request,
    says,
    silent,
)
from rig.many_exporters import many_exporters
from rig.sample_views import a_pull, a_report
from rig.web import wait_until

pytestmark = pytest.mark.contract

GOOD: NodeReport = a_report(a_pull(layers=()), node="good")
BODY = wire.encode(GOOD, layers=False)
TIMEOUT = 1.0
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
KIB = 1024


@pytest.fixture
def good() -> Iterator[FakeExporter]:
    with FakeExporter(GOOD).served() as exporter:
        yield exporter


def cut_off(sock: socket.socket) -> None:
    read_request(sock)
    sock.sendall(http(BODY)[:-10])


BAD: dict[str, tuple[Talk, Result]] = {
    "silent": (silent, Result.TIMEOUT),
    "drips its headers": (dripping(http(BODY)), Result.TIMEOUT),
    "drips its body": (dripping(CHUNKED + b"1\r\n \r\n" * 1000), Result.TIMEOUT),
    "goes on with 100": (endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * KIB), Result.INVALID),
    "closes at once": (lambda sock: None, Result.CONNECTION),
    "closes without an answer": (hang_up, Result.CONNECTION),
    "cuts its answer off": (cut_off, Result.CONNECTION),
    "resets": (reset, Result.CONNECTION),
    "speaks no HTTP": (says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), Result.INVALID),
    "speaks TLS": (says(b"\x15\x03\x01\x00\x02\x02\x46"), Result.INVALID),
    "has endless headers": (endless(b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"x" * KIB + b"\r\n"), Result.INVALID),
    "has an endless line": (endless(b"HTTP/1.1 200 ", b"x" * KIB), Result.INVALID),
    "has an endless body": (endless(CHUNKED, b"10000\r\n" + b" " * 64 * KIB + b"\r\n"), Result.TOO_LARGE),
    "has a body of crumbs": (endless(CHUNKED, b"1\r\n \r\n" * KIB), Result.INVALID),
    "has a body without an end": (endless(b"HTTP/1.0 200 OK\r\n\r\n", b" " * 64 * KIB), Result.TOO_LARGE),
    "promises too much": (says(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"), Result.TOO_LARGE),
    "promises the impossible": (
        says(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n"),
        Result.INVALID,
    ),
    "sends 9 MiB": (says(http(b" " * (9 * KIB * KIB))), Result.TOO_LARGE),
    "sends no gzip": (says(http(BODY, "Content-Encoding: gzip")), Result.INVALID),
    "sends no JSON": (says(http(b"<html>busy</html>")), Result.INVALID),
    "is something else": (says(http(b"{}")), Result.SCHEMA),
    "says 304 unasked": (says(b"HTTP/1.1 304 Not Modified\r\n\r\n"), Result.INVALID),
    "says 204": (says(b"HTTP/1.1 204 No Content\r\n\r\n"), Result.STATUS),
    "says 404": (says(http(b"", status="404 Not Found")), Result.STATUS),
    "says 500 for ever": (endless(b"HTTP/1.1 500 Oops\r\n\r\n", b" " * KIB), Result.STATUS),
    "wants a password": (says(http(b"", status="401 Unauthorized")), Result.UNAUTHORIZED),
    "forbids": (says(http(b"", status="403 Forbidden")), Result.UNAUTHORIZED),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_exporter_costs_itself_only(what: str, good: FakeExporter) -> None:
    talk, result = BAD[what]
    # Where it is not the timeout that ends a request, a busy machine may take its time.
    timeout = TIMEOUT if result is Result.TIMEOUT else PATIENT
    with (
        RawServer(talk).served() as bad,
        reading(f"bad={bad.url}", f"good={good.url}", wanted=["bad", "good"], timeout=timeout) as watched,
    ):
        seen = watched.wait(lambda seen: seen.error, "bad")
        watched.wait_for(result, 2)
        watched.wait_for(Result.NOT_MODIFIED, 3)
        assert seen.error is result
        assert seen.reading.state is NodeState.UNREACHABLE
        assert seen.reading.report is None
        assert 0 < len(seen.detail) <= 200
        assert watched.seen("good").reading.report is not None
        others = {result, Result.OK, Result.NOT_MODIFIED}
        assert not any(count for kind, count in watched.requests.items() if kind not in others)


def test_the_last_report_stays_when_a_node_answers_nonsense() -> None:
    answer = [http(BODY)]

    def talk(sock: socket.socket) -> None:
        while read_request(sock):
            sock.sendall(answer[-1])

    with RawServer(talk).served() as raw, reading(f"good={raw.url}", wanted=["good"]) as watched:
        before = watched.wait(answers, "good")
        answer.append(http(b"nonsense"))
        after = watched.wait(lambda seen: seen.error is Result.INVALID, "good")
        assert after.reading.report == before.reading.report
        answer.append(http(BODY))
        watched.wait(answers, "good")


def test_fifty_dead_nodes_delay_nobody(good: FakeExporter) -> None:
    """Dead is one that takes connections and says nothing: each request waits for its timeout."""
    dead = [f"dead-{number}" for number in range(50)]
    pace = Pace(interval=INTERVAL, per_second=1000, doubtful_at_once=8)
    with RawServer(silent).served() as bad:
        targets = [f"{node}={bad.url}" for node in dead]
        with reading(*targets, f"good={good.url}", wanted=[*dead, "good"], pace=pace, timeout=TIMEOUT) as watched:
            watched.wait_for(Result.TIMEOUT, 50)
            since = time.monotonic()
            wait_until(lambda: len([when for when in good.times if when > since]) > 20, PATIENT)
            watched.wait_for(Result.TIMEOUT, 10)
    times = [when for when in good.times if when > since]
    # A machine that is busy for a moment delays some of them; whoever waits for the dead is late each time.
    assert median(after - before for before, after in itertools.pairwise(times)) < TIMEOUT / 2


def test_large_answers_leave_no_memory_behind() -> None:
    return_large_blocks(512 * 1024)  # as the program does
    nodes = [f"n{number}" for number in range(12)]
    large = RawServer(says(http(b" " * (LARGEST_BODY - KIB))))
    before = resident()
    with large.served(), reading(*[f"{node}={large.url}" for node in nodes], wanted=(), timeout=30.0) as watched:
        watched.wait_for(Result.INVALID, 12)
        assert resident() - before < 4 * LARGEST_BODY


def test_a_process_that_is_stopped_is_unreachable_and_comes_back(good: FakeExporter, tmp_path: Path) -> None:
    with (
        many_exporters(tmp_path) as (process, port),
        reading(f"n1=http://127.0.0.1:{port}", f"good={good.url}", wanted=["n1", "good"], timeout=TIMEOUT) as watched,
    ):
        watched.wait(answers)
        os.kill(process.pid, signal.SIGSTOP)
        stopped = watched.wait(lambda seen: seen.error)
        assert stopped.error is Result.TIMEOUT
        assert stopped.pulling
        watched.wait_for(Result.NOT_MODIFIED, 3)
        assert watched.seen("good").error is None
        os.kill(process.pid, signal.SIGCONT)
        back = watched.wait(answers)
        assert downloaded(back) > downloaded(stopped)


def downloaded(seen: ExporterSeen) -> int:
    return report_of(seen).pulls[0].downloaded or 0


def resident() -> int:
    """Bytes of memory that this process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
