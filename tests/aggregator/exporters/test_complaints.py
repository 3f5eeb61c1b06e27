import logging

import pytest

from pulltrace_aggregator.exporters.complaints import QUIET_SECONDS, Complaints
from pulltrace_aggregator.exporters.values import ExporterSeen, Result
from pulltrace_aggregator.model.exporter import NodeReading, NodeState

pytestmark = pytest.mark.unit

FAILS, ANSWERS = "exporter does not answer", "exporter answers again"


def seen(error: Result | None = None) -> ExporterSeen:
    return ExporterSeen(NodeReading("n1", NodeState.UNKNOWN), "http://a", error, "why")


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def test_a_change_is_said_once(said: pytest.LogCaptureFixture) -> None:
    complaints = Complaints()
    for now, error in enumerate([None, None, Result.TIMEOUT, Result.DNS, Result.TIMEOUT, None, None]):
        complaints.hear(seen(error), 100.0 + now)
    assert said.messages == [FAILS, ANSWERS]


def test_a_node_that_fails_now_and_then_does_not_fill_the_log(said: pytest.LogCaptureFixture) -> None:
    complaints = Complaints()
    for now in range(600):
        complaints.hear(seen(Result.TIMEOUT if now % 2 else None), float(now))
    assert 8 <= len(said.messages) <= 2 * (600 / QUIET_SECONDS + 1)


def test_a_node_that_stays_away_after_a_quiet_time_is_told_in_the_end(said: pytest.LogCaptureFixture) -> None:
    complaints = Complaints()
    for now, error in ((0.0, Result.TIMEOUT), (1.0, None), (2.0, Result.TIMEOUT), (50.0, Result.TIMEOUT)):
        complaints.hear(seen(error), now)
    assert said.messages == [FAILS, ANSWERS]
    complaints.hear(seen(Result.TIMEOUT), QUIET_SECONDS)
    assert said.messages == [FAILS, ANSWERS, FAILS]


def test_a_node_that_was_forgotten_is_new(said: pytest.LogCaptureFixture) -> None:
    complaints = Complaints()
    complaints.hear(seen(Result.TIMEOUT), 0.0)
    complaints.forget("n1")
    complaints.hear(seen(Result.TIMEOUT), 1.0)
    assert said.messages == [FAILS, FAILS]


def test_rivals_are_told_when_they_are_new(said: pytest.LogCaptureFixture) -> None:
    complaints = Complaints()
    rivals = {"n1": ("http://b",)}
    for found in (rivals, rivals, {}, rivals):
        complaints.compare(found, {"n1": "http://a"})
    assert len(said.messages) == 2
