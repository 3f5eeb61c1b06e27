"""Which container waits for which image: pods and events in, evidence out. Pure: values and a clock.

A wait needs evidence: the kubelet has asked for an image that has not come, or the container's status says that the
image is missing. (The join adds waits for intents and running pulls.) A wait ends when the kubelet says so, or with the
container or pod.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from pulltrace.clock import FOREVER, NEVER, Moment, Monotonic
from pulltrace_aggregator.model.cluster import Change, EventSeen, Listed, Observed, PodGone, PodSeen
from pulltrace_aggregator.model.image_message import Kind
from pulltrace_aggregator.pods.image_wait import ImageWait
from pulltrace_aggregator.pods.index import PodIndex
from pulltrace_aggregator.pods.pod import PodRecord

RECHECK_SECONDS: Final = 600.0
"""A pod that is known from events alone is rechecked after this long at the latest: no watch shows its end."""
RETRY_SECONDS: Final = 30.0
"""A recheck without an answer is repeated after this long."""
LEFT_RETRY_SECONDS: Final = 5.0
"""The same for a pod that left the watched pods while it waited for an image: it may be deleted."""
PATIENCE_SECONDS: Final = 30.0
"""How long a pod that is no longer Pending is shown as it was, and how long old events wait for all lists."""
DOUBT_SECONDS: Final = 120.0
"""How long a pod is remembered without confirmation that it is still there."""
UNWATCHED_SECONDS: Final = 3.0
"""The interval between rechecks of a running pod whose image is shown: no watch shows its deletion."""
UNWATCHED_PER_SECOND: Final = 5.0
"""The limit for all such pods together. If there are very many, a deleted pod may be shown for longer."""
RECENT_SECONDS: Final = 15.0
"""A wait that ended since a recheck that is no older than this ended now. Else it is not known when it ended."""
RECHECKS_AT_ONCE: Final = 50
MOST_UNWATCHED: Final = 20_000

_ASKING: Final = (Kind.PULLING, Kind.PULLED)
_FAILING: Final = (Kind.FAILED, Kind.BACK_OFF)
_WATCHED: Final = ("Pending", "")
_FINISHED: Final = ("Succeeded", "Failed")
_NEEDED: Final = frozenset({("pods", ""), ("events", "Pulling"), ("events", "Pulled")})
_NO_LISTS: Final[frozenset[tuple[str, str]]] = frozenset()


@dataclass(frozen=True, slots=True)
class Recheck:
    """A pod to be read from the API, whatever its phase. `uid` is the one in its events."""

    namespace: str
    name: str
    uid: str


class PodStore:
    """All pods that wait or may wait.

    `owns` tells which nodes are this replica's; `exporter` is namespace and name of the exporters' DaemonSet.
    """

    def __init__(self, owns: Callable[[str], bool] = lambda _: True, exporter: tuple[str, str] | None = None) -> None:
        self._owns = owns
        self._exporter = exporter
        self._pods = PodIndex()
        self._lists: dict[str, frozenset[tuple[str, str]]] = {}
        self._unwatched_at = NEVER

    def __len__(self) -> int:
        """Number of pods that are remembered."""
        return len(self._pods)

    def on(self, node: str) -> list[PodRecord]:
        """The pods of a node that can be shown, no two of one name."""
        return self._pods.on(node)

    def pop_changed(self) -> set[str]:
        """The nodes with anything new since the last call."""
        changed, self._pods.changed = self._pods.changed, set()
        return changed

    def pop_finished(self) -> list[tuple[str, ImageWait]]:
        """Waits that ended well and whose pods have gone since the last call, each with its namespace."""
        finished, self._pods.finished = self._pods.finished, []
        return finished

    # Observations

    def observe(self, seen: Observed, moment: Moment) -> None:
        """Take in one observation of the cluster; EndpointSlices and events that are gone change nothing."""
        match seen:
            case PodSeen():
                self._observe_pod(seen, moment)
            case PodGone():
                self._observe_gone(seen, moment.monotonic)
            case EventSeen():
                self._observe_event(seen, moment)
            case Listed():
                done = self._lists.get(seen.namespace, _NO_LISTS)
                self._lists[seen.namespace] = done | {(seen.resource, seen.detail)}
            case _:
                pass

    def image_of(self, event: EventSeen) -> str:
        """The image that an event is about; empty while not known, and if the event may be about something else."""
        record = self._pods.get(event.pod_uid)
        return event.message.image or (record.image_of(event) if record else "")

    def _observe_pod(self, pod: PodSeen, moment: Moment) -> None:
        uid = pod.event_uid
        if self._pods.is_deleted(pod.uid) or not pod.node or not self._owns(pod.node):
            return
        if pod.terminating:
            self._pods.displace(pod.namespace, pod.name, uid)
            self._pods.delete(uid, pod.uid)
            return
        if pod.phase not in _WATCHED:
            self._observe_leave(pod, moment)
            return
        record = self._pods.get(uid)
        if record is None or record.node != pod.node:
            record = self._pods.add(PodRecord(pod.namespace, pod.name, uid, pod.node, moment.monotonic))
        self._pods.name(record)
        record.api_uid = pod.uid
        record.is_exporter = (pod.namespace, pod.daemonset) == self._exporter
        record.created = moment.of(pod.created_at)
        record.watched = record.confirmed = True
        record.recheck_at, record.left_at = FOREVER, None
        self._pods.unwatched.pop(uid, None)
        if record.update(pod, moment):
            self._pods.changed.add(record.node)

    def _observe_leave(self, pod: PodSeen, moment: Moment) -> None:
        """Take in a pod that is no longer Pending. Only a server that ignores selectors shows one."""
        record = self._pods.get(pod.event_uid)
        if record is not None:
            self._leave(record, moment.monotonic)
            self.rechecked(Recheck(pod.namespace, pod.name, pod.event_uid), pod, moment)

    def _observe_gone(self, pod: PodGone, now: Monotonic) -> None:
        """Take in that a pod left the phase Pending or was deleted. One that had left before is deleted."""
        record = self._pods.get(pod.event_uid)
        if pod.terminating or (record is not None and not record.watched):
            self._pods.delete(pod.event_uid, pod.uid)
        elif record is not None:
            self._leave(record, now)

    def _leave(self, record: PodRecord, now: Monotonic) -> None:
        """A pod is no longer watched. If it still waits for an image, a recheck decides how that ended."""
        record.watched = False
        self._pods.unwatched[record.uid] = record
        self._pods.changed.add(record.node)
        if record.open_waits:
            record.left_at = record.recheck_at = now
        else:
            record.recheck_at = Monotonic(now + UNWATCHED_SECONDS)

    def _observe_event(self, event: EventSeen, moment: Moment) -> None:
        kind = event.message.kind
        if kind is Kind.UNKNOWN or event.user is None or not event.pod_uid or self._pods.is_deleted(event.pod_uid):
            return
        record = self._pods.get(event.pod_uid) or self._add_unwatched(event, moment.monotonic)
        if record is None or not record.add_event(event, moment):
            return
        live = event.change is not Change.LISTED
        if not record.confirmed and live and kind in _ASKING and not self._pods.is_taken(record):
            self._confirm(record, moment.monotonic)
        self._pods.changed.add(record.node)

    def _add_unwatched(self, event: EventSeen, now: Monotonic) -> PodRecord | None:
        """Add a pod that is not watched, to be rechecked at once, or later if a list shows it."""
        message = event.message
        if message.kind not in (*_ASKING, *_FAILING) or not message.image:
            return None
        if not event.node or not self._owns(event.node):
            return None
        if len(self._pods.unwatched) >= MOST_UNWATCHED:
            return None
        record = PodRecord(event.namespace, event.pod, event.pod_uid, event.node, now, confirmed=False)
        record.listed = event.change is Change.LISTED
        record.recheck_at = Monotonic(now + PATIENCE_SECONDS) if record.listed else now
        self._pods.unwatched[record.uid] = record
        return self._pods.add(record)

    def _confirm(self, record: PodRecord, now: Monotonic) -> None:
        self._pods.name(record)
        record.confirmed, record.recheck_at = True, Monotonic(now + UNWATCHED_SECONDS)

    # Rechecks

    def rechecks(self, now: Monotonic) -> tuple[Recheck, ...]:
        """The pods to be read now. One for which no answer comes is given again later."""
        for record in [record for record in self._pods.unwatched.values() if self._is_done(record, now)]:
            self._pods.forget(record)
        due = [record for record in self._pods.unwatched.values() if record.recheck_at <= now]
        # First the pods that have just left, then those that are due for longest.
        due.sort(key=lambda record: (record.left_at is None, record.recheck_at))
        chosen = list(islice((record for record in due if self._may_recheck(record, now)), RECHECKS_AT_ONCE))
        for record in chosen:
            record.recheck_at = Monotonic(now + (RETRY_SECONDS if record.left_at is None else LEFT_RETRY_SECONDS))
        return tuple(Recheck(record.namespace, record.name, record.uid) for record in chosen)

    def _may_recheck(self, record: PodRecord, now: Monotonic) -> bool:
        """Whether it is worth a request now. Pods that are known to run share a limited number per second."""
        overdue = bool(record.open_waits) and now - record.recheck_at >= RECHECK_SECONDS - UNWATCHED_SECONDS
        if overdue or record.left_at is not None or not record.confirmed:
            return True
        if now < self._unwatched_at:
            return False
        begin = max(self._unwatched_at, now - 1.0)
        self._unwatched_at = Monotonic(begin + 1.0 / UNWATCHED_PER_SECOND)
        return True

    def rechecked(self, recheck: Recheck, found: PodSeen | None, moment: Moment) -> None:
        """Take in the answer to a recheck: the pod of that name, None where there is none."""
        record = self._pods.get(recheck.uid)
        if record is None or record.watched:
            return
        if found is None or found.event_uid != recheck.uid or found.terminating:
            self._pods.delete(recheck.uid)
            return
        record.api_uid = found.uid
        self._confirm(record, moment.monotonic)
        record.created = moment.of(found.created_at)
        recent = record.left_at is not None or moment.monotonic - record.rechecked_at <= RECENT_SECONDS
        record.left_at, record.rechecked_at = None, moment.monotonic
        if found.phase in _FINISHED:
            record.give_up(moment.monotonic)
        else:
            self._update(record, found, moment, recent=recent)
        self._pods.changed.add(record.node)

    def _update(self, record: PodRecord, found: PodSeen, moment: Moment, *, recent: bool) -> None:
        open_before = [wait for wait in record.waits if wait.ended_at is None]
        record.update(found, moment)
        if not recent:
            for container in record.containers.values():
                if container.wait in open_before and container.wait.ended_at is not None:
                    container.wait = None  # it ended at an unknown time before this recheck

    def _is_done(self, record: PodRecord, now: Monotonic) -> bool:
        """Whether a pod that is not watched can be forgotten."""
        if record.left_at is not None and now - record.left_at >= PATIENCE_SECONDS:
            record.give_up(now)
        if record.confirmed:
            return not any(True for _ in record.waits)
        if record.listed and self._has_all_lists(record.namespace):
            record.listed, record.recheck_at = False, now
        return now - record.added_at >= DOUBT_SECONDS or (not record.listed and not record.suspicious)

    def _has_all_lists(self, namespace: str) -> bool:
        """Whether all lists are complete that would show the pod as Pending, or the end of its wait."""
        return any(self._lists.get(scope, _NO_LISTS) >= _NEEDED for scope in ("", namespace))
