"""Which scene of the made-up hour each query needs. The rest show something in the first scene of their dashboard."""

from collections.abc import Mapping
from typing import Final

Chosen = Mapping[str, str]

FIRST: Final[Mapping[str, Chosen]] = {
    "overview": {},
    "pod": {"namespace": "shop", "pod": "web-7c9f5d-slow1"},
    "node": {"node": "node-10"},
    "registry": {},
    "itself": {},
}
SILENT_REGISTRY: Final = {"node": "node-02"}
HANGING_CONTAINERD: Final = {"node": "node-11"}

NEEDS: Final[Mapping[str, Chosen]] = {
    "node/3A": SILENT_REGISTRY,
    "node/17A": HANGING_CONTAINERD,
}

NOTHING_HERE: Final[Mapping[str, str]] = {
    "itself/13B": "a fault of the aggregator in writing a metric; the exporter's has the same query",
    "registry/2E": "a pull whose image was named and that failed; the story has those that fail before",
}
"""Queries that stay empty in this hour, and what would fill them."""


def scene(dashboard: str, panel: int) -> Chosen:
    """What is chosen so that a panel shows something."""
    return next((NEEDS[key] for key in NEEDS if key[:-1] == f"{dashboard}/{panel}"), FIRST[dashboard])
