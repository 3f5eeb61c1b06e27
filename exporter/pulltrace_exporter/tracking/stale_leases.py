"""Leases that a crash of containerd left behind: listed as before, though nobody is pulling any more."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pulltrace.clock import Instant
from pulltrace.model.pull import Daemon
from pulltrace_exporter.model.observation import Lease, Observation
from pulltrace_exporter.tracking.lease_state import Signature, signature_of

CONFIRM_SECONDS = 2.0
"""Wall clocks step on fresh nodes, so that a start time alone does not condemn a lease: it must also stand still."""


@dataclass(frozen=True, slots=True)
class _Suspect:
    since: Instant
    signature: Signature


class Ghosts:
    """Suspects each lease older than the daemon that the first observation of a connection shows, and no other."""

    def __init__(self) -> None:
        self._suspects: dict[str, _Suspect] = {}

    @property
    def suspected(self) -> frozenset[str]:
        """Leases not yet judged."""
        return frozenset(self._suspects)

    def judge(self, seen: Observation, ignored: frozenset[str], now: Instant) -> list[str]:
        """The leases that are now known to be ghosts."""
        leases = {lease.id: lease for lease in seen.leases if lease.id not in ignored}
        candidates = _older_than(seen.daemon, leases, now) if seen.reconnected else frozenset()
        suspects = (self._suspects.keys() | candidates) & leases.keys()
        claimed = _ingests(leases, without=suspects)
        others = [lease for key, lease in leases.items() if key not in suspects]
        wanted = _wanted((*others, *_begun_after(seen.daemon, (*seen.ended, *seen.inferred))))
        kept: dict[str, _Suspect] = {}
        confirmed = []
        for lease_id in sorted(suspects):
            signature = signature_of(leases[lease_id], seen.ingests, claimed)
            suspect = self._suspects.get(lease_id) or _Suspect(now, signature)
            if not _still(signature, suspect.signature):
                continue  # it moves: a live pull under a clock that was stepped
            # A new request for what the suspect was fetching is the retry: nobody waits for the suspect any more.
            retried = bool(wanted & _wanted([leases[lease_id]]))
            if retried or now.monotonic - suspect.since.monotonic >= CONFIRM_SECONDS:
                confirmed.append(lease_id)
            else:
                kept[lease_id] = suspect
        self._suspects = kept
        return confirmed


def _still(now: Signature, before: Signature) -> bool:
    # Ingests that a live lease has taken over leave the moving part; those that stay must not have moved.
    return (now.contents, now.snapshots) == (
        before.contents,
        before.snapshots,
    ) and now.moving <= before.moving


def _older_than(daemon: Daemon, leases: Mapping[str, Lease], now: Instant) -> frozenset[str]:
    if daemon.started_at is None or daemon.started_at > now.wall:
        return frozenset()  # a start in the future is one before the clock was stepped back
    return frozenset(key for key, lease in leases.items() if lease.created_at < daemon.started_at)


def _begun_after(daemon: Daemon, leases: Iterable[Lease]) -> list[Lease]:
    return [lease for lease in leases if daemon.started_at is not None and lease.created_at >= daemon.started_at]


def _wanted(leases: Iterable[Lease]) -> frozenset[str]:
    """The blobs that some leases are downloading, and the indexes and manifests that say which."""
    wanted: set[str] = set()
    for lease in leases:
        wanted |= lease.ingests
        wanted.update(digest for digest, content in lease.contents.items() if content is not None and content.children)
    return frozenset(wanted)


def _ingests(leases: Mapping[str, Lease], without: frozenset[str] | set[str]) -> frozenset[str]:
    return frozenset().union(*(lease.ingests for key, lease in leases.items() if key not in without))
