"""A rollout at a glance: each image with the nodes that wait for it, by phase."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pulltrace_kubectl.model.pulls import Wait

PHASES: Final = ("pulled", "unpacking", "downloading", "resolving", "queued", "backoff", "failed", "unknown")
_LEAST_DONE_FIRST: Final = {phase: rank for rank, phase in enumerate(reversed(PHASES))}


@dataclass(frozen=True, slots=True)
class Rollout:
    """One image. `slowest` are the waits of the nodes that will have it last, the worst first, one for each node."""

    image: str
    nodes: int
    phases: Mapping[str, int]
    slowest: tuple[Wait, ...]

    @property
    def ratio(self) -> float:
        """The share of nodes that have it."""
        return self.phases.get("pulled", 0) / self.nodes if self.nodes else 0.0


def rollouts(waits: Iterable[Wait], images: Sequence[str] = ()) -> list[Rollout]:
    """One for each image: those on most nodes first, those that all their nodes have last.

    `images` are names, or parts of them, to choose by.
    """
    by_image: dict[str, dict[str, Wait]] = {}
    for wait in waits:
        if images and not any(part in wait.image for part in images):
            continue
        nodes = by_image.setdefault(wait.image, {})
        before = nodes.get(wait.node)
        if before is None or _rank(wait) < _rank(before):
            nodes[wait.node] = wait
    made = [_rollout(image, list(nodes.values())) for image, nodes in by_image.items()]
    return sorted(made, key=lambda each: (each.ratio == 1.0, -each.nodes, each.image))


def _rollout(image: str, waits: Sequence[Wait]) -> Rollout:
    found = Counter(wait.phase if wait.phase in PHASES else "unknown" for wait in waits)
    late = sorted((wait for wait in waits if not wait.over), key=_lateness)
    return Rollout(image, len(waits), {phase: found[phase] for phase in PHASES if found[phase]}, tuple(late))


def _rank(wait: Wait) -> int:
    return _LEAST_DONE_FIRST.get(wait.phase, 0)


def _lateness(wait: Wait) -> tuple[int, float, float, str]:
    """Failed ones first, then those that will take longest."""
    left = wait.pull.eta if wait.pull is not None else None
    failed = wait.phase in ("failed", "backoff")
    return (0 if failed else 1, -(left if left is not None else float("inf")), -(wait.waiting or 0.0), wait.node)
