"""Looking again and again: `-w` until somebody ends it, `--wait` until all images are there."""

import os
import time
from typing import Final

from pulltrace_kubectl.core.outcome import Name, Outcome, State, outcome
from pulltrace_kubectl.core.picture import Picture
from pulltrace_kubectl.errors import ClientError, Unanswered
from pulltrace_kubectl.look import Looker
from pulltrace_kubectl.render import words
from pulltrace_kubectl.render.screens import Screen

DIRECT_SECONDS: Final = 1.0
KUBECTL_SECONDS: Final = 2.0
SHARE: Final = 12
"""A pause is at least so many times the processor time of the look before, kubectl's included: 8 % of a core."""
MOST_REASONS: Final = 5


class TimeOver(ClientError):
    """`--timeout` has passed and not all images are there."""


class WillNotCome(ClientError):
    """An image has failed, and the next attempt fails as well until somebody mends something."""


def watch(looker: Looker, screen: Screen) -> None:
    """Show what is going on, without end; raises ClientError if the first look fails, later if not as Unanswered."""
    pace = Pace(looker)
    picture, problem = looker.look(), None
    while True:
        screen.show(picture, problem)
        pace.pause()
        picture, problem = _again(looker, picture)


def wait(looker: Looker, screen: Screen, timeout: float) -> Picture:
    """Show what is going on until all images are there; raises TimeOver, WillNotCome and other ClientErrors."""
    deadline = time.monotonic() + timeout
    pace = Pace(looker)
    seen: frozenset[Name] = frozenset()
    picture: Picture = looker.look()
    problem: ClientError | None = None
    while True:
        screen.show(picture, problem)
        told = outcome(picture, seen)
        seen = told.seen
        if problem is None and told.state is State.THERE:
            return picture
        if told.state is State.FAILED:
            raise WillNotCome(_some(told), "it will not come before somebody mends that")
        if time.monotonic() >= deadline:
            raise TimeOver(f"not all images are there after {words.duration(timeout)}: {_some(told)}")
        pace.pause(deadline)
        picture, problem = _again(looker, picture)


class Pace:
    """Pauses between looks, longer ones where a look costs much."""

    def __init__(self, looker: Looker) -> None:
        self._least = DIRECT_SECONDS if looker.options.access.urls else KUBECTL_SECONDS
        self._used = _processor_seconds()

    def pause(self, deadline: float = float("inf")) -> None:
        """Wait, until `deadline` at most."""
        used = _processor_seconds()
        seconds, self._used = max(self._least, SHARE * (used - self._used)), used
        time.sleep(max(0.0, min(seconds, deadline - time.monotonic())))


def _again(looker: Looker, before: Picture) -> tuple[Picture, ClientError | None]:
    """The next picture; the one before and why, where there is no answer at the moment."""
    try:
        return looker.look(), None
    except Unanswered as error:
        return before, error


def _some(told: Outcome) -> str:
    more = len(told.reasons) - MOST_REASONS
    return "; ".join(told.reasons[:MOST_REASONS]) + (f"; and {more} more" if more > 0 else "")


def _processor_seconds() -> float:
    """What this process and those it waited for have used."""
    return sum(os.times()[:4])
