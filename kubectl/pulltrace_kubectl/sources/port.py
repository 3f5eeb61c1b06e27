"""What the client needs of the world, whichever way it gets there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pulltrace_kubectl.model.objects import Pod
from pulltrace_kubectl.model.options import Target
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
        ...

    def report(self, node: str) -> Report:
        """What the exporter of a node tells, with layers."""
        ...


class Cluster(Protocol):
    """The API server. Each call may raise ClientError."""

    def namespace(self) -> str:
        """The namespace of the context."""
        ...

    def pods(self, namespace: str, selector: str) -> Sequence[Pod]:
        """The pods that labels select; of all namespaces where `namespace` is empty."""
        ...

    def pod(self, namespace: str, name: str) -> Pod:
        """A pod by its name; raises NotFound."""
        ...

    def owned(self, namespace: str, owner: Target) -> tuple[Sequence[Pod], bool]:
        """The pods of a workload, and whether it has as many of its newest revision as it wants; raises NotFound."""
        ...
