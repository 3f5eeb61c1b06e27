"""How the adapter fares, as values: one state for each selection, and how often watches were begun anew."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Stage(Enum):
    """Where the list and watch of a selection stands."""

    STARTING = "starting"
    LISTED = "listed"
    WATCHING = "watching"
    FAILING = "failing"
    REFUSED = "refused"
    """Only a person can help: a right is missing, or the server lacks the API. Tried again slowly."""


@dataclass(frozen=True, slots=True)
class FeedState:
    """Of one selection. `problem` says what is wrong, empty when nothing is.

    `complete` means that a list has come to its end once, so that what there was at the start is known. `restarts`
    counts the ends of watches by reason; that a watch comes to the end that was asked for is no restart.
    """

    name: str
    resource: str
    stage: Stage = Stage.STARTING
    problem: str = ""
    complete: bool = False
    restarts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Health:
    """Of all selections together."""

    feeds: tuple[FeedState, ...]

    @property
    def up(self) -> bool:
        """Whether everything is listed and watched at this moment."""
        return all(feed.stage is Stage.WATCHING for feed in self.feeds)

    @property
    def ready(self) -> bool:
        """Whether the first lists are in, of everything that was asked for: without one the picture is not whole."""
        return not self.awaited

    @property
    def awaited(self) -> tuple[str, ...]:
        """Names of those whose first list is still to come, as long as it is refused as well."""
        return tuple(feed.name for feed in self.feeds if not feed.complete)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong now, each once."""
        return tuple(dict.fromkeys(feed.problem for feed in self.feeds if feed.problem))

    @property
    def restarts(self) -> Mapping[tuple[str, str], int]:
        """By resource and reason."""
        counts: Counter[tuple[str, str]] = Counter()
        for feed in self.feeds:
            for reason, count in feed.restarts.items():
                counts[feed.resource, reason] += count
        return counts
