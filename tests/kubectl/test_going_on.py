"""How often a watch looks, and what does not fit a terminal."""

from typing import Any

import pytest

from pulltrace_kubectl import going_on
from pulltrace_kubectl.going_on import Pace
from pulltrace_kubectl.look import Looker
from pulltrace_kubectl.model.options import Access, Options
from pulltrace_kubectl.render.layout import Span, plain
from pulltrace_kubectl.render.live import fitting, to_text

pytestmark = pytest.mark.unit
NOTHING: Any = None


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Processor seconds that the next measurements show."""
    seconds = [10.0]
    monkeypatch.setattr(going_on, "_processor_seconds", lambda: seconds[0])
    return seconds


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr("pulltrace_kubectl.going_on.time.sleep", pauses.append)
    return pauses


def pace(*urls: str) -> Pace:
    return Pace(Looker(Options(access=Access(urls=urls)), NOTHING, NOTHING))


def test_a_cheap_look_is_repeated_every_two_seconds_and_directly_every_second(
    used: list[float], slept: list[float]
) -> None:
    pace().pause()
    pace("http://localhost").pause()
    assert slept == [2.0, 1.0]


def test_a_look_that_costs_much_is_repeated_so_seldom_that_it_takes_a_twelfth_of_a_core(
    used: list[float], slept: list[float]
) -> None:
    made = pace()
    used[0] += 0.5
    made.pause()
    used[0] += 0.01
    made.pause()
    assert slept == [6.0, 2.0]


def test_a_pause_ends_with_the_time_that_there_is(used: list[float], slept: list[float]) -> None:
    pace().pause(deadline=0.0)
    assert slept == [0.0]


def test_what_does_not_fit_the_terminal_is_counted() -> None:
    lines = [(Span(f"line {number}"),) for number in range(10)]
    assert fitting(lines, 10) == lines
    cut = fitting(lines, 4)
    assert [plain(line) for line in cut] == [
        "line 0",
        "line 1",
        "line 2",
        "(7 more lines; a higher terminal shows them)",
    ]
    assert to_text(cut[:2]).plain == "line 0\nline 1"
