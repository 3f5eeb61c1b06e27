"""The watched against exporters that behave, over real connections."""

import itertools
import logging
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pulltrace import __version__
from pulltrace.clock import NodeTime
from pulltrace.model.pull import NodeReport
from pulltrace_aggregator.exporters import poller
from pulltrace_aggregator.exporters.answer import Answer, read_report
from pulltrace_aggregator.exporters.errors import Result
from pulltrace_aggregator.exporters.schedule import Pace
from pulltrace_aggregator.exporters.state import ExporterGone, ExporterSeen
from pulltrace_aggregator.model.cluster import SliceGone
from pulltrace_aggregator.model.node import NodeState
from rig.exporter_reading import INTERVAL, PATIENT, QUICK, a_slice, answers, fails, reading, report_of
from rig.fake_exporters import FakeExporter, RawServer, http, read_request, says
from rig.processes import free_port
from rig.sample_views import a_pull, a_report, an_ended_pull
from rig.web import wait_until

pytestmark = pytest.mark.contract

BUSY = a_report(a_pull(layers=()), node="n1")
IDLE = a_report(node="n1")


@pytest.fixture
def exporter() -> Iterator[FakeExporter]:
    with FakeExporter(BUSY).served() as exporter:
        yield exporter


def test_a_report_is_read_without_layers(exporter: FakeExporter) -> None:
    exporter.report = replace(BUSY, pulls=(a_pull(),))
    with reading(f"n1={exporter.url}") as watched:
        seen = watched.wait(answers)
    assert report_of(seen).pulls == (a_pull(layers=()),)
    _, request = exporter.asked[0]
    assert request.path == "/v1/pulls"
    assert request.query == {"layers": ("false",)}
    assert request.headers["host"] == f"127.0.0.1:{exporter.port}"
    assert request.headers["user-agent"] == f"pulltrace-aggregator/{__version__}"
    assert "authorization" not in request.headers
    assert "if-none-match" not in request.headers


def test_an_unchanged_state_is_not_sent_again(exporter: FakeExporter) -> None:
    with reading(f"n1={exporter.url}") as watched:
        first = watched.wait(answers)
        watched.wait_for(Result.NOT_MODIFIED, 3)
        later = watched.seen()
        assert later.reading.report is first.reading.report
        assert later.reading.read_at == first.reading.read_at
        assert (later.reading.answered_at or 0) > first.reading.read_at + INTERVAL
        assert watched.count(Result.OK) == 1
        exporter.report = replace(BUSY, pulls=(), now=NodeTime(BUSY.now + 5))
        changed = watched.wait(lambda seen: not report_of(seen).pulls)
        assert changed.reading.read_at > later.reading.read_at
        assert watched.count(Result.OK) == 2
    assert sum(watched.requests.values()) == watched.count(Result.OK) + watched.count(Result.NOT_MODIFIED)


def test_nodes_where_nothing_happens_are_asked_once(exporter: FakeExporter) -> None:
    exporter.report = IDLE
    with reading(f"n1={exporter.url}", f"n2={exporter.url}", wanted=["n1"]) as watched:
        watched.wait(answers, "n2")
        watched.wait_for(Result.NOT_MODIFIED, 10)
        asked_n1 = watched.count(Result.NOT_MODIFIED) + watched.count(Result.OK) - 1
        assert watched.seen("n2").reading.answered_at == watched.seen("n2").reading.read_at
        watched.poller.want(["n2"])
        watched.wait(lambda seen: (seen.reading.answered_at or 0) > seen.reading.read_at, "n2")
    assert asked_n1 >= 11


def test_a_node_with_a_pull_is_asked_often_though_no_pod_waits_there(exporter: FakeExporter) -> None:
    with reading(f"n1={exporter.url}", wanted=()) as watched:
        watched.wait_for(Result.NOT_MODIFIED, 3)
        exporter.report = replace(BUSY, pulls=(an_ended_pull("team/done", layers=()),))
        watched.wait(lambda seen: not seen.pulling)
        asked = len(exporter.asked)
        time.sleep(6 * INTERVAL)  # that nothing happens takes time to see
        assert len(exporter.asked) <= asked + 1


def test_intervals_are_kept(exporter: FakeExporter) -> None:
    with reading(f"n1={exporter.url}", pace=replace(QUICK, interval=0.2)):
        wait_until(lambda: len(exporter.asked) > 12, PATIENT)
    times = exporter.times[1:]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    # On a busy machine one is late, and then the next one soon after it.
    assert times[-1] - times[0] > 0.15 * len(gaps)
    assert min(gaps) < 0.25


def test_the_node_is_the_one_that_was_asked(exporter: FakeExporter, caplog: pytest.LogCaptureFixture) -> None:
    exporter.report = replace(BUSY, node="somebody-else")
    with reading(f"n1={exporter.url}") as watched:
        seen = watched.wait(answers)
        watched.wait_for(Result.NOT_MODIFIED, 3)
    assert seen.node == report_of(seen).node == "n1"
    assert seen.claims == "somebody-else"
    assert watched.exporters.keys() == {"n1"}
    assert [record.getMessage() for record in caplog.records] == [
        "exporter reports another node name; the discovered name is used"
    ]


def test_a_restart_costs_nothing_but_the_time_it_takes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with reading(f"n1=http://127.0.0.1:{free_port()}") as watched:
        down = watched.wait(fails)
        assert (down.error, down.reading.report) == (Result.CONNECTION, None)
        watched.wait_for(Result.CONNECTION, 2)
        with FakeExporter(replace(BUSY, node="n2")).served() as exporter:
            watched.poller.receive(a_slice(("n2", "127.0.0.1", exporter.port)))
            watched.poller.want(["n1", "n2"])
            up = watched.wait(answers, "n2")
        cut = watched.wait(fails, "n2")
        assert cut.reading.report == up.reading.report
        assert cut.reading.failing_since is not None
        assert cut.reading.answered_at is not None
        assert cut.reading.answered_at < cut.reading.failing_since
        with FakeExporter(replace(IDLE, node="n2")).served() as other:
            watched.poller.receive(a_slice(("n2", "127.0.0.1", other.port)))
            back = watched.wait(lambda seen: answers(seen) and not seen.pulling, "n2")
    assert (back.error, back.detail, back.reading.failing_since) == (None, "", None)
    said = [(record.getMessage(), record.pulltrace_fields["node"]) for record in caplog.records]  # type: ignore[attr-defined]
    assert said == [
        ("exporter does not answer", "n1"),
        ("exporter does not answer", "n2"),
        ("exporter answers again", "n2"),
    ]


def test_a_target_that_does_not_exist_is_tried_for_ever_and_disturbs_nobody(exporter: FakeExporter) -> None:
    targets = ("n0=http://no-such-host.invalid:1", f"n1={exporter.url}")
    with reading(*targets, wanted=["n0", "n1"], timeout=5.0) as watched:
        failing = watched.wait(fails, "n0")
        assert failing.error in (Result.DNS, Result.TIMEOUT)
        watched.wait_for(Result.NOT_MODIFIED, 5)
        watched.wait_for(failing.error)


def test_exporters_come_move_and_go_with_their_slices(exporter: FakeExporter) -> None:
    exporter.report = IDLE
    with FakeExporter(BUSY).served() as other, reading() as watched:
        watched.poller.receive(a_slice(("n1", "127.0.0.1", exporter.port)))
        assert watched.wait(answers).base_url == exporter.url
        watched.poller.receive(a_slice(("n1", "127.0.0.1", other.port), ("n2", "127.0.0.1", exporter.port)))
        watched.wait(lambda seen: seen.base_url == other.url and seen.pulling)
        watched.wait(answers, "n2")
        watched.poller.receive(SliceGone("monitoring", "exporters-1", "uid"))
        left = watched.wait(lambda seen: seen.left)
        assert fails(left)
        assert left.pulling
        wait_until(lambda: "n2" not in watched.exporters)
        asked = len(other.asked)
        time.sleep(6 * INTERVAL)  # that nothing happens takes time to see
        assert len(other.asked) <= asked + 1, "one request was under way"
        watched.poller.receive(a_slice(("n1", "127.0.0.1", other.port)))
        watched.wait(lambda seen: answers(seen) and not seen.left)
    assert ExporterGone("n2") in watched.news


def test_two_exporters_of_a_node_are_told_and_one_is_read(
    exporter: FakeExporter, caplog: pytest.LogCaptureFixture
) -> None:
    with reading(f"n1={exporter.url}") as watched:
        watched.poller.receive(a_slice(("n1", "127.0.0.9", 1)))
        wait_until(lambda: bool(caplog.records))
        watched.poller.receive(a_slice(("n1", "127.0.0.9", 1), ("n2", "127.0.0.9", 1)))
        watched.wait(fails, "n2")
        watched.wait(answers)
    record, _ = caplog.records
    assert record.getMessage() == "node has more than one exporter, only one is read"
    told = record.pulltrace_fields  # type: ignore[attr-defined]
    assert told == {"node": "n1", "url": exporter.url, "others": "http://127.0.0.9:1"}


def test_news_come_in_order(exporter: FakeExporter) -> None:
    with reading(f"n1={exporter.url}") as watched:
        watched.wait_for(Result.NOT_MODIFIED, 3)
    news = [news for news in watched.news if isinstance(news, ExporterSeen)]
    assert [seen.reading.state for seen in news[:2]] == [NodeState.UNKNOWN, NodeState.OK]
    moments = [seen.reading.answered_at for seen in news[1:]]
    assert moments == sorted(moments, key=lambda moment: moment or 0)


def test_a_fault_in_who_is_told_is_logged_and_stops_nothing(
    exporter: FakeExporter, caplog: pytest.LogCaptureFixture
) -> None:
    with reading(f"n1={exporter.url}") as watched:
        watched.receive = lambda _: 1 / 0  # type: ignore[assignment, method-assign]
        watched.wait_for(Result.NOT_MODIFIED, 2)
    assert "the last update of an exporter was dropped" in caplog.text


class TestConnections:
    def test_that_are_used_often_stay_open(self) -> None:
        with RawServer(says(http(b"{}"))).served() as raw, reading(f"n1={raw.url}", wanted=()) as watched:
            # Not what was asked for, but whole: the connection is good.
            watched.wait_for(Result.SCHEMA, 1)
            watched.poller.want(["n1"])
            watched.wait_for(Result.SCHEMA, 4)
            opened = raw.connections
            watched.wait_for(Result.SCHEMA, 8)
            assert raw.connections == opened

    def test_connections_of_idle_nodes_are_closed(self) -> None:
        ended: list[bool] = []

        def talk(sock: socket.socket) -> None:
            read_request(sock)
            sock.sendall(http(b"{}"))
            ended.append(read_request(sock) == b"")

        with RawServer(talk).served() as raw, reading(f"n1={raw.url}", wanted=()):
            wait_until(lambda: ended == [True])

    @pytest.mark.parametrize("used_again", [False, True], ids=["after an answer", "just when it is used again"])
    def test_that_the_exporter_closes_are_made_anew_and_are_no_failure(self, used_again: bool) -> None:
        def talk(sock: socket.socket) -> None:
            read_request(sock)
            sock.sendall(http(b"{}"))
            if used_again:
                read_request(sock)

        with RawServer(talk).served() as raw, reading(f"n1={raw.url}") as watched:
            watched.wait_for(Result.SCHEMA, 4)
            assert raw.connections >= 4
            assert sum(watched.requests.values()) == watched.count(Result.SCHEMA)

    def test_a_connection_to_the_ipv6_loopback(self) -> None:
        with reading(f"n1=http://[::1]:{free_port()}") as watched:
            assert watched.wait(fails).error is Result.CONNECTION


class TestClosing:
    def test_waits_for_no_answer_whatever_is_under_way(self) -> None:
        def hang(sock: socket.socket) -> None:
            while sock.recv(4096):
                pass

        with RawServer(hang).served() as raw:
            nodes = [f"n{number}" for number in range(50)]
            with reading(*[f"{node}={raw.url}" for node in nodes], wanted=nodes, timeout=600.0) as watched:
                wait_until(lambda: raw.connections == 50, PATIENT)
                began = time.monotonic()
            assert time.monotonic() - began < 10, "it waited for an answer"
            assert sum(watched.requests.values()) == 0

    def test_before_the_start_or_twice_is_harmless(self) -> None:
        with reading(pace=Pace()) as watched:
            pass
        watched.poller.close()
        watched.poller.want(["n1"])
        watched.poller.receive(a_slice())


def test_a_fault_of_ours_costs_the_one_node(
    exporter: FakeExporter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def read(answer: Answer, now: float, *, layers: bool) -> NodeReport:
        report = read_report(answer, now, layers=layers)
        return report if report.pulls else report.no_such_thing  # type: ignore[attr-defined]

    monkeypatch.setattr(poller, "read_report", read)
    odd = FakeExporter(IDLE)
    with odd.served(), reading(f"odd={odd.url}", f"n1={exporter.url}", wanted=["odd", "n1"]) as watched:
        assert watched.wait(fails, "odd").error is Result.INTERNAL
        watched.wait_for(Result.INTERNAL, 2)
        watched.wait_for(Result.NOT_MODIFIED, 2)
        odd.report = BUSY
        watched.wait(answers, "odd")
    assert caplog.text.count("AttributeError: ") == 1
