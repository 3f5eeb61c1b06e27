"""What is said of peers that fail, and how often."""

import logging

import pytest

from pulltrace_aggregator.problem_log import ProblemLog

pytestmark = pytest.mark.unit

LOG = logging.getLogger(__name__)
QUIET = 60.0


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


@pytest.fixture
def problems() -> ProblemLog:
    return ProblemLog(LOG, "fails", "works", quiet=QUIET)


def hear(problems: ProblemLog, problem: str, now: float) -> None:
    if problem:
        problems.failed("n1", problem, now)
    else:
        problems.works("n1")


def test_a_change_is_said_once(problems: ProblemLog, said: pytest.LogCaptureFixture) -> None:
    for now, problem in enumerate(["", "", "timeout", "dns", "timeout", "", ""]):
        hear(problems, problem, 100.0 + now)
    assert said.messages == ["fails", "works"]


def test_one_that_fails_now_and_then_does_not_fill_the_log(
    problems: ProblemLog, said: pytest.LogCaptureFixture
) -> None:
    for now in range(600):
        hear(problems, "timeout" if now % 2 else "", float(now))
    assert 8 <= len(said.messages) <= 2 * (600 / QUIET + 1)


def test_one_that_still_fails_after_the_quiet_time_is_told(
    problems: ProblemLog, said: pytest.LogCaptureFixture
) -> None:
    for now, problem in ((0.0, "timeout"), (1.0, ""), (2.0, "timeout"), (50.0, "timeout")):
        hear(problems, problem, now)
    assert said.messages == ["fails", "works"]
    hear(problems, "timeout", QUIET)
    assert said.messages == ["fails", "works", "fails"]


def test_one_that_was_forgotten_is_new(problems: ProblemLog, said: pytest.LogCaptureFixture) -> None:
    hear(problems, "timeout", 0.0)
    problems.forget("n1")
    hear(problems, "timeout", 1.0)
    assert said.messages == ["fails", "fails"]


def test_an_outage_is_said_once_for_all(said: pytest.LogCaptureFixture) -> None:
    problems = ProblemLog(LOG, "fails", "works", together=True)
    for watch in ("pods", "events"):
        problems.failed(watch, "network", error=f"no answer to {watch}")
    problems.failed("events", "a right is missing", error="a right is missing")
    problems.works("pods")
    assert [_error(record) for record in said.records] == ["no answer to pods", "a right is missing"]
    problems.works("events")
    problems.works("events")
    assert said.messages == ["fails", "fails", "works"]


def test_an_outage_whose_problem_changes_to_and_fro_is_said_once_for_each(said: pytest.LogCaptureFixture) -> None:
    problems = ProblemLog(LOG, "fails", "works", together=True)
    problems.failed("nodes", "a right is missing", error="a right is missing")
    for _ in range(2):
        for problem in ("network", "server_error", "network"):
            problems.failed("pods", problem, error=problem)
        problems.works("pods")
    assert [_error(record) for record in said.records] == ["a right is missing", *["network", "server_error"] * 2]


def _error(record: logging.LogRecord) -> object:
    return vars(record)["pulltrace_fields"].get("error")
