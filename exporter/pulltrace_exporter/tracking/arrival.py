"""When content came, as far as polls and containerd's timestamps tell."""

from pulltrace.clock import Monotonic, NodeTime
from pulltrace_exporter.tracking.blob import Blob
from pulltrace_exporter.tracking.poll import Poll
from pulltrace_exporter.tracking.pull_state import PullState


def earliest_arrival(pull: PullState, poll: Poll) -> Monotonic:
    """The earliest time at which content that is new in this poll can have come."""
    observed_from = pull.observed_from.monotonic
    return observed_from if poll.previous is None else max(poll.previous.monotonic, observed_from)


def last_arrival(pull: PullState, poll: Poll) -> Monotonic:
    """When the pull's last blob came, by the creation times read from the leases that have ended; else now."""
    found = (info for lease in poll.seen.ended for info in (*lease.contents.values(), *lease.found_blobs.values()))
    arrivals = [info.created_at for info in found if info and info.digest in pull.blobs]
    return Monotonic(poll.now.monotonic - max(poll.now.wall - max(arrivals, default=poll.now.wall), 0.0))


def unpacked_at(pull: PullState, blob: Blob) -> NodeTime:
    """When a layer's snapshot was made (Unix time), 0 if unknown. The blob may have been discarded after that."""
    position = pull.positions.get(blob.digest)
    stat = None if position is None else pull.found_snapshots.get(pull.layers[position].chain_id or "")
    return NodeTime(0.0) if stat is None or not stat.local else stat.created_at or NodeTime(0.0)
