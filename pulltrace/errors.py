"""Errors that the programs share."""

from collections.abc import Iterable


class PulltraceError(Exception):
    """Base class of Pulltrace's public errors."""


class ConfigError(PulltraceError):
    """Configuration that cannot be used.

    `problems` holds everything that is wrong, so that one edit can correct it. Each names the flag, variable or key.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))
