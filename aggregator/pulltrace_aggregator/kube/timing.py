"""How long the adapter waits for what, in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """The defaults are for a cluster; all of them are lengths of time."""

    connect: float = 5.0
    answer: float = 30.0
    """For the first byte of an answer, and between two."""
    whole_answer: float = 60.0
    """For an answer that is no watch."""
    watch: float = 150.0
    """That a watch is asked to last, a quarter more or less so that not all end at once."""
    long_watch: float = 1200.0
    """The same for what has no bookmarks: a quiet watch has to be listed anew when it has ended."""
    grace: float = 10.0
    """Beyond the end that a watch was asked for, before it counts as silent."""
    at_once: float = 1.0
    """A watch that ends sooner was not let last."""
    first_pause: float = 0.5
    longest_pause: float = 10.0
    refused_pause: float = 60.0
    """After an answer that only a person can change: a missing right, a missing API."""
    longest_asked_pause: float = 120.0
    """The most that a Retry-After is followed."""
