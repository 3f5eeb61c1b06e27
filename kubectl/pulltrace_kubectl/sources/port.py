"""What the client needs of the programs, whichever way it reaches them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pulltrace_kubectl.model.pulls import Answer, Report

Filters = Mapping[str, Sequence[str]]
"""Parameters of `/v1/pulls`. They save bytes on the way; an answer may hold more than was asked for."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was answered; `warnings` are lines that tell what is missing."""

    answer: Answer | None = None
    reports: tuple[Report, ...] = ()
    warnings: tuple[str, ...] = ()


class Programs(Protocol):
    """The aggregator with all its shards, and the exporters. Each call may raise ClientError."""

    def ask(self, filters: Filters) -> Told:
        """What is going on. `answer` is None where exporters alone are known."""

    def report(self, node: str) -> Report:
        """What the exporter of a node tells, with layers."""
