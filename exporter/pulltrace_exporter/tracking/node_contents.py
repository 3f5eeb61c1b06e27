"""What a node holds at one poll, for all its pulls together."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pulltrace_exporter.model.observation import FetchedLayer, Lease, Snapshots
from pulltrace_exporter.tracking.poll import Poll


@dataclass(frozen=True, slots=True)
class NodeContents:
    """What these leases of the node hold together, and what a remote snapshotter fetches for running pulls.

    `ingests` are only those of leases that still exist: what an ended lease was downloading may have been complete
    before a newer pull began.
    """

    contents: frozenset[str]
    ingests: frozenset[str]
    snapshots: Snapshots
    fetched: Mapping[str, FetchedLayer]


def node_contents(live: Collection[Lease], fetched: Mapping[str, FetchedLayer], poll: Poll) -> NodeContents:
    """What the `live` leases hold, together with what the leases held that ended since the last poll."""
    leases = (*poll.seen.ended, *live)
    snapshots = [held for lease in leases for held in lease.snapshots.values()]
    # A lease whose manifest was first read after it had gone could not be asked what else it held.
    found = {digest for lease in poll.seen.ended for digest, info in lease.found_blobs.items() if info is not None}
    return NodeContents(
        frozenset(found).union(*(lease.contents.keys() for lease in leases)),
        frozenset().union(*(lease.ingests for lease in live)),
        Snapshots(
            frozenset().union(*(held.committed for held in snapshots)),
            frozenset().union(*(held.extracting for held in snapshots)),
        ),
        fetched,
    )
