"""All that one answer to the user is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pulltrace_kubectl.model.objects import Pod
from pulltrace_kubectl.model.pulls import Report, Wait


@dataclass(frozen=True, slots=True)
class Picture:
    """What was asked for, selected and in order.

    `all_waits` are those of the whole cluster, as far as asked: the images queued ahead are among them. `pods` are the
    named ones as the API server has them; `reports` are the exporters' by node. `missing_layers` tells by node why
    there are none.
    `expected` is False where a workload has not made all its pods yet.
    """

    waits: tuple[Wait, ...] = ()
    all_waits: tuple[Wait, ...] = ()
    pods: tuple[Pod, ...] = ()
    reports: Mapping[str, Report] = field(default_factory=dict)
    missing_layers: Mapping[str, str] = field(default_factory=dict)
    named: tuple[tuple[str, str], ...] = ()
    expected: bool = True
    namespace: str = ""
    warnings: tuple[str, ...] = ()
