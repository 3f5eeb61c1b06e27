"""How long an attempt that failed is waited after, and what is said meanwhile; pure but for the clock."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias

import pytest

from aggregator.kube.recorder import Recorder
from pulltrace.clock import Instant, Monotonic
from pulltrace_aggregator.kube import resources
from pulltrace_aggregator.kube.client import ApiClient, Timing
from pulltrace_aggregator.kube.decode import Object
from pulltrace_aggregator.kube.errors import Expired, Forbidden, KubernetesError, Refused, Throttled, Unreachable
from pulltrace_aggregator.kube.reflector import Health, Reflector, Stage
from pulltrace_aggregator.kube.resources import Request
from pulltrace_aggregator.problem_log import ProblemLog

pytestmark = pytest.mark.unit

DOWN = Unreachable("no answer")
Step: TypeAlias = KubernetesError | float | tuple[float, KubernetesError]
Pauses: TypeAlias = Callable[..., list[float]]
LIST: Object = {"metadata": {"resourceVersion": "7"}, "items": []}


class Scripted(ApiClient):
    """A client whose watches end as told: refused with an error, or after so many seconds, well or with an error."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.script: list[Step] = []
        self.lists = 0
        self.list_seconds = 0.0
        self.refusal_seconds = 0.0

    def now(self) -> Instant:
        return Instant(self.seconds, Monotonic(self.seconds))

    def get(self, request: Request) -> Object:
        self.lists += 1
        self.seconds += self.list_seconds
        return LIST

    @contextmanager
    def lines(self, request: Request, silence: float) -> Iterator[Iterator[bytes]]:
        step = self.script.pop(0)
        if isinstance(step, KubernetesError):
            self.seconds += self.refusal_seconds
            raise step
        yield iter(())
        seconds, error = step if isinstance(step, tuple) else (step, None)
        self.seconds += seconds
        if error:
            raise error


@pytest.fixture
def client() -> Scripted:
    return Scripted()


@pytest.fixture
def reflector(client: Scripted) -> Reflector:
    return _reflector(client, 1.0)


def _reflector(client: Scripted, jitter: float) -> Reflector:
    selection, stopping = resources.waiting_pods("team"), threading.Event()
    problems = ProblemLog(logging.getLogger(__name__), "fails", "works", together=True)
    return Reflector(client, selection, Recorder(), problems, stopping, Timing(), client, lambda: jitter)


def attempts(reflector: Reflector, client: Scripted, *steps: Step) -> list[float]:
    client.script = list(steps)
    return [reflector.attempt() for _ in steps]


@pytest.fixture
def pauses(reflector: Reflector, client: Scripted) -> Pauses:
    """How long is paused after each of these steps."""
    return partial(attempts, reflector, client)


def test_pauses_grow_to_a_limit_and_begin_anew_after_a_good_time(pauses: Pauses) -> None:
    assert pauses(*[DOWN] * 7) == [0.5, 1, 2, 4, 8, 10, 10]
    assert pauses(150.0, DOWN) == [0, 0.5]
    assert pauses(DOWN, (150.0, DOWN), DOWN) == [1, 0.5, 1]


def test_pauses_grow_also_when_each_failure_takes_long(pauses: Pauses, client: Scripted) -> None:
    client.refusal_seconds = 30.0
    assert pauses(DOWN, DOWN, DOWN) == [0.5, 1, 2]


def test_pauses_are_spread(client: Scripted) -> None:
    assert attempts(_reflector(client, 0.0), client, DOWN, DOWN) == [0.25, 0.5]


def test_a_first_version_that_is_too_old_is_no_reason_to_wait(
    pauses: Pauses, reflector: Reflector, client: Scripted
) -> None:
    old = Expired(410, "too old")
    assert pauses(old, old, old) == [0, 1, 2]
    assert client.lists == 3
    assert not reflector.state.problem


def test_nor_is_one_that_an_outage_has_made_too_old(pauses: Pauses, caplog: pytest.LogCaptureFixture) -> None:
    old = Expired(410, "too old")
    assert pauses(DOWN, DOWN, old, 150.0) == [0.5, 1, 0, 0]
    assert pauses(DOWN, old, old) == [0.5, 0, 2]
    assert [_said(record) for record in caplog.records] == ["no answer", "too old"]


def test_a_refusal_is_retried_soon_at_first_and_then_ever_more_slowly(pauses: Pauses) -> None:
    missing = Forbidden(403, "the right to watch pods is missing")
    assert pauses(*[missing] * 9) == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert pauses(150.0, missing) == [0, 0.5]


@pytest.mark.parametrize(("asked", "pause"), [(0, 0.5), (1, 1.25), (30, 37.5), (86400, 150)])
def test_a_server_may_ask_for_a_pause_up_to_a_limit(pauses: Pauses, asked: float, pause: float) -> None:
    assert pauses(Throttled(429, "busy", asked)) == [pause]


def test_a_watch_that_is_ended_at_once_counts_as_cut(pauses: Pauses, reflector: Reflector) -> None:
    assert pauses(0.2, 0.2) == [0.5, 1]
    assert dict(reflector.state.restarts) == {"closed": 2}


def test_a_list_that_took_long_does_not_hide_that_the_watch_after_it_is_ended_at_once(
    pauses: Pauses, reflector: Reflector, client: Scripted
) -> None:
    client.list_seconds = 5.0
    assert pauses(0.2) == [0.5]
    assert dict(reflector.state.restarts) == {"closed": 1}


def test_states_follow_what_happens(pauses: Pauses, reflector: Reflector) -> None:
    def health() -> Health:
        return Health((reflector.state,))

    assert (health().ready, health().up, health().awaited) == (False, False, ("pods in team",))
    pauses(DOWN)
    assert (health().ready, health().up, health().problems) == (True, False, ("no answer",))
    pauses(150.0)
    assert (reflector.state.stage, health().up, health().problems) == (Stage.WATCHING, True, ())
    pauses(Refused(500, "oh"), DOWN, DOWN)
    assert health().restarts == {("pods", "network"): 3, ("pods", "server_error"): 1}


def test_a_problem_is_said_once_when_it_lasts(pauses: Pauses, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    pauses(DOWN, 150.0)
    assert not caplog.records
    pauses(*[DOWN] * 4, Refused(500, "oh"), DOWN, 150.0, 150.0)
    assert [(record.levelname, _said(record)) for record in caplog.records] == [
        ("WARNING", "no answer"),
        ("WARNING", "oh"),
        ("INFO", None),
    ]


def _said(record: logging.LogRecord) -> object:
    return vars(record)["pulltrace_fields"].get("error")


def test_each_selection_counts(client: Scripted) -> None:
    good, refused, late = (_reflector(client, 1.0) for _ in range(3))
    attempts(good, client, 150.0)
    attempts(refused, client, Forbidden(403, "no"))
    assert Health((good.state,)).ready
    assert not Health((good.state, refused.state)).up
    assert not Health((good.state, late.state)).ready
    assert not Health((late.state,)).ready
