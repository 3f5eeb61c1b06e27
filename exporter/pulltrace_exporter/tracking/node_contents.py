"""What a node holds at one poll, over all its pulls."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pulltrace_exporter.model.observation import FetchedLayer, Lease, Snapshots
from pulltrace_exporter.tracking.poll import Poll


@dataclass(frozen=True, slots=True)
class NodeContents:
    """What all leases of the node hold together, and what a remote snapshotter fetches for running pulls."""

    contents: frozenset[str]
    ingests: frozenset[str]
    snapshots: Snapshots
    fetched: Mapping[str, FetchedLayer]


def node_contents(leases: Collection[Lease], fetched: Mapping[str, FetchedLayer], poll: Poll) -> NodeContents:
    """The contents of all leases."""
    snapshots = [held for lease in leases for held in lease.snapshots.values()]
    # A lease whose manifest was read when it had gone was not asked for the rest any more.
    found = {digest for lease in poll.seen.ended for digest, info in lease.found_blobs.items() if info is not None}
    return NodeContents(
        frozenset(found).union(*(lease.contents.keys() for lease in leases)),
        frozenset().union(*(lease.ingests for lease in leases)),
        Snapshots(
            frozenset().union(*(held.committed for held in snapshots)),
            frozenset().union(*(held.extracting for held in snapshots)),
        ),
        fetched,
    )
