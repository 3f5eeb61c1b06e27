"""Leases that a crash of containerd left behind: listed as before, though nobody is pulling any more."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pulltrace.clock import Instant
from pulltrace.model.pull import Daemon
from pulltrace_exporter.model.observation import Lease
from pulltrace_exporter.tracking.lease_state import Activity, activity_of
from pulltrace_exporter.tracking.poll import Poll

CONFIRM_SECONDS = 2.0
"""The clock of a new node may be stepped, so start times prove nothing: a lease must also not change for so long."""


@dataclass(frozen=True, slots=True)
class _Suspect:
    since: Instant
    activity: Activity
    moved: bool = False
    """Its ingests moved between the last two polls."""


class StaleLeases:
    """Suspects only leases that the first poll of a connection shows and that are older than the daemon."""

    def __init__(self) -> None:
        self._suspects: dict[str, _Suspect] = {}

    @property
    def suspected(self) -> frozenset[str]:
        """Leases that may be stale."""
        return frozenset(self._suspects)

    def confirm(self, poll: Poll, ignored: frozenset[str]) -> list[str]:
        """The leases that are now known to be stale."""
        seen, now = poll.seen, poll.now
        leases = {lease.id: lease for lease in seen.leases if lease.id not in ignored}
        candidates = _older_than(seen.daemon, leases, now) if seen.reconnected else frozenset()
        suspects = (self._suspects.keys() | candidates) & leases.keys()
        others = [lease for key, lease in leases.items() if key not in suspects]
        claimed = frozenset[str]().union(*(lease.ingests for lease in others))
        wanted = _wanted((*others, *_begun_after(seen.daemon, (*seen.ended, *seen.inferred))))
        kept: dict[str, _Suspect] = {}
        confirmed = []
        for lease_id in sorted(suspects):
            lease = leases[lease_id]
            activity = activity_of(lease, seen.ingests, claimed)
            activity = activity._replace(contents=activity.contents | lease.unread)
            suspect = self._suspects.get(lease_id) or _Suspect(now, activity)
            # A new request for what the suspect was fetching is the retry: nobody waits for the suspect any more.
            retried = bool(wanted & _wanted([lease]))
            moved = not activity.ingests <= suspect.activity.ingests
            if _has_gained(activity, suspect.activity) or (suspect.moved and (moved or not retried)):
                continue  # a live pull under a clock that was stepped
            if moved:  # by its own pull, or by a retry that began after the leases were listed: the next poll tells
                kept[lease_id] = _Suspect(suspect.since, activity, moved=True)
            elif not lease.unread and (retried or now.monotonic - suspect.since.monotonic >= CONFIRM_SECONDS):
                confirmed.append(lease_id)
            else:
                kept[lease_id] = suspect
        self._suspects = kept
        return confirmed


def _has_gained(now: Activity, before: Activity) -> bool:
    return not now.contents <= before.contents or now.snapshots != before.snapshots


def _older_than(daemon: Daemon, leases: Mapping[str, Lease], now: Instant) -> frozenset[str]:
    if daemon.started_at is None or daemon.started_at > now.wall:
        return frozenset()  # a start time in the future was written before the clock was stepped back
    return frozenset(key for key, lease in leases.items() if lease.created_at < daemon.started_at)


def _begun_after(daemon: Daemon, leases: Iterable[Lease]) -> list[Lease]:
    return [lease for lease in leases if daemon.started_at is not None and lease.created_at >= daemon.started_at]


def _wanted(leases: Iterable[Lease]) -> set[str]:
    """The blobs that these leases are downloading, and the indexes and manifests that they hold."""
    wanted: set[str] = set()
    for lease in leases:
        wanted |= lease.ingests
        wanted.update(digest for digest, info in lease.contents.items() if info is not None and info.children)
    return wanted
