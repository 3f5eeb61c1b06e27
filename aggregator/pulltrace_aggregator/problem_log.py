"""Logs that a peer fails, and later that it works again: each once, and not at every attempt."""

import logging
import threading

from pulltrace.logs import fields


class ProblemLog:
    """Remembers who fails and what was logged. Safe for use by several threads.

    A subject that fails again is logged after `quiet` seconds at the earliest: one that fails now and then would fill
    the log. With `together`, a problem that one subject has had since it last worked is not logged again, for it or
    others, and the recovery is logged once all subjects work: an outage hits all watches at the same time.
    """

    def __init__(
        self, log: logging.Logger, failing: str, working: str, *, quiet: float = 0.0, together: bool = False
    ) -> None:
        self._log = log
        self._failing = failing
        self._working = working
        self._quiet = quiet
        self._together = together
        self._lock = threading.Lock()
        self._problems: dict[str, set[str]] = {}
        self._said_at: dict[str, float] = {}

    def failed(self, subject: str, problem: str, now: float = 0.0, **what: object) -> None:
        """A subject fails with `problem`. Subjects with the same cause give the same text."""
        with self._lock:
            had = self._problems.values()
            known = any(problem in each for each in had) if self._together else subject in self._problems
            if not known and now - self._said_at.get(subject, float("-inf")) < self._quiet:
                return
            if self._together or not known:
                self._problems.setdefault(subject, set()).add(problem)
            if not known:
                self._said_at[subject] = now
        if not known:
            self._log.warning(self._failing, extra=fields(**what, reason=problem))

    def works(self, subject: str, **what: object) -> None:
        """A subject works."""
        with self._lock:
            failed = self._problems.pop(subject, None) is not None
            mended = failed and not (self._together and self._problems)
        if mended:
            self._log.info(self._working, extra=fields(**what))

    def forget(self, subject: str) -> None:
        """The subject no longer exists."""
        with self._lock:
            self._problems.pop(subject, None)
            self._said_at.pop(subject, None)
