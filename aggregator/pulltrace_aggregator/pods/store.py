"""Which container waits for which image: pods and events in, evidence out. Pure: values and a clock.

A pod waits on evidence only: the kubelet has asked for an image that has not come, or the container's status says that
the image is lacking. (That an intent or a running pull is for it is found out by the join.) It ends with the kubelet's
word, with the container, or with the pod.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Final

from pulltrace_aggregator.model.clock_skew import Moment
from pulltrace_aggregator.model.cluster import Change, EventSeen, Listed, Observed, PodGone, PodSeen
from pulltrace_aggregator.model.image_message import Kind
from pulltrace_aggregator.pods.image_wait import Wait
from pulltrace_aggregator.pods.pod import PodRecord

LOOK_SECONDS: Final = 600.0
"""A wait that only events tell of is looked at again after this long: the event of its end may have been dropped."""
RETRY_SECONDS: Final = 30.0
"""A look that brought no answer is asked for again."""
LEFT_RETRY_SECONDS: Final = 5.0
"""The same of a pod that left the watched ones with an image still awaited: it may be deleted."""
PATIENCE_SECONDS: Final = 30.0
"""How long a pod that is no longer Pending is shown as it was, and how long old events wait for all lists."""
DOUBT_SECONDS: Final = 120.0
"""How long a pod that nobody confirms is remembered."""
LINGER_LOOK_SECONDS: Final = 3.0
"""How often a pod is looked at that runs by now and whose image is still shown: no watch tells of its deletion."""
LINGER_LOOKS_PER_SECOND: Final = 5.0
"""Of all such pods: with very many of them a deleted one may stay until the linger's end."""
LOOKS_AT_ONCE: Final = 50
MOST_LOOSE: Final = 20_000
MOST_BURIED: Final = 10_000

_ASKING: Final = (Kind.PULLING, Kind.PULLED)
_FAILING: Final = (Kind.FAILED, Kind.BACK_OFF)
_WATCHED: Final = ("Pending", "")
_FINISHED: Final = ("Succeeded", "Failed")
_NEEDED: Final = frozenset({("pods", ""), ("events", "Pulling"), ("events", "Pulled")})
_NO_LISTS: Final[frozenset[tuple[str, str]]] = frozenset()
_FOREVER: Final = float("inf")
_NEVER: Final = float("-inf")
_NOBODY: Final[Mapping[str, PodRecord]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Recheck:
    """A pod that is to be looked at, whatever its phase."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A wait that ended well, of a pod that went before anybody looked."""

    namespace: str
    wait: Wait


class Waits:
    """All pods that wait or may wait. `owns` tells which nodes are this replica's."""

    def __init__(self, owns: Callable[[str], bool] = lambda _: True) -> None:
        self._owns = owns
        self._pods: dict[str, PodRecord] = {}
        self._uids: dict[tuple[str, str], str] = {}
        self._nodes: dict[str, dict[str, PodRecord]] = {}
        self._loose: dict[str, PodRecord] = {}
        self._buried: OrderedDict[str, None] = OrderedDict()
        self._lists: dict[str, frozenset[tuple[str, str]]] = {}
        self._dirty: set[str] = set()
        self._finished: list[Finished] = []
        self._linger_look_at = _NEVER

    def __len__(self) -> int:
        """Number of pods that are remembered."""
        return len(self._pods)

    def on(self, node: str) -> list[PodRecord]:
        """The pods of a node that can be shown, no two of one name."""
        return [record for record in self._nodes.get(node, _NOBODY).values() if record.confirmed]

    def take_dirty(self) -> set[str]:
        """The nodes of which anything is new since the last time."""
        dirty, self._dirty = self._dirty, set()
        return dirty

    def take_finished(self) -> list[Finished]:
        """Waits that ended well and whose pods have gone, since the last time."""
        finished, self._finished = self._finished, []
        return finished

    # Observations

    def observe(self, seen: Observed, moment: Moment) -> None:
        """Take in one observation of the cluster; slices of endpoints are for others."""
        match seen:
            case PodSeen():
                self._see(seen, moment)
            case PodGone():
                self._lose(seen, moment.monotonic)
            case EventSeen():
                self._hear(seen, moment)
            case Listed():
                done = self._lists.get(seen.namespace, _NO_LISTS)
                self._lists[seen.namespace] = done | {(seen.resource, seen.detail)}
            case _:
                pass

    def _see(self, pod: PodSeen, moment: Moment) -> None:
        if pod.uid in self._buried or not pod.node or not self._owns(pod.node):
            return
        if pod.terminating:
            self._displace(pod.namespace, pod.name, pod.uid)
            self._bury(pod.uid)
            return
        if pod.phase not in _WATCHED:
            self._see_leave(pod, moment)
            return
        record = self._pods.get(pod.uid)
        if record is None or record.node != pod.node:
            record = self._add(PodRecord(pod.namespace, pod.name, pod.uid, pod.node, moment.monotonic))
        self._name(record)
        record.created = moment.of(pod.created_at)
        record.watched = record.confirmed = True
        record.look_at, record.left_at = _FOREVER, None
        self._loose.pop(pod.uid, None)
        if record.take_status(pod, moment):
            self._dirty.add(record.node)

    def _see_leave(self, pod: PodSeen, moment: Moment) -> None:
        """A server that knows no selectors shows what a pod is after it was Pending."""
        record = self._pods.get(pod.uid)
        if record is not None:
            self._leave(record, moment.monotonic)
            self.rechecked(Recheck(pod.namespace, pod.name, pod.uid), pod, moment)

    def _lose(self, pod: PodGone, now: float) -> None:
        """A pod left the phase Pending, or it was deleted; one that had left before is deleted."""
        record = self._pods.get(pod.uid)
        if pod.terminating or (record is not None and not record.watched):
            self._bury(pod.uid)
        elif record is not None:
            self._leave(record, now)

    def _leave(self, record: PodRecord, now: float) -> None:
        """A pod is no longer watched: where an image is still awaited, a look has to tell what became of it."""
        record.watched = False
        self._loose[record.uid] = record
        self._dirty.add(record.node)
        if record.awaits:
            record.left_at = record.look_at = now
        else:
            record.look_at = now + LINGER_LOOK_SECONDS

    def _hear(self, event: EventSeen, moment: Moment) -> None:
        kind = event.message.kind
        if kind is Kind.UNKNOWN or event.user is None or not event.pod_uid or event.pod_uid in self._buried:
            return
        record = self._pods.get(event.pod_uid) or self._meet(event, moment.monotonic)
        if record is None or not record.take_event(event, moment):
            return
        live = event.change is not Change.LISTED
        if not record.confirmed and live and kind in _ASKING and not self._is_taken(record):
            self._confirm(record, moment.monotonic)
        self._dirty.add(record.node)

    def _meet(self, event: EventSeen, now: float) -> PodRecord | None:
        """A pod that is not watched: what happens to it now is believed, the rest waits for a look at it."""
        message = event.message
        if message.kind not in (*_ASKING, *_FAILING) or not message.image:
            return None
        if not event.node or not self._owns(event.node):
            return None
        if len(self._loose) >= MOST_LOOSE:
            return None
        record = PodRecord(event.namespace, event.pod, event.pod_uid, event.node, now, confirmed=False)
        record.listed = event.change is Change.LISTED
        record.look_at = now + PATIENCE_SECONDS if record.listed else now
        self._loose[record.uid] = record
        return self._add(record)

    def _confirm(self, record: PodRecord, now: float) -> None:
        self._name(record)
        record.confirmed, record.look_at = True, now + LOOK_SECONDS

    # Looks

    def rechecks(self, now: float) -> tuple[Recheck, ...]:
        """The pods to be looked at now; one that brings no answer is asked for again later."""
        for record in [record for record in self._loose.values() if self._is_done(record, now)]:
            self._forget(record)
        due = [record for record in self._loose.values() if record.look_at <= now]
        # First those that are shown and may be deleted; the others may wait.
        due.sort(key=lambda record: record.left_at is None)
        chosen = list(islice((record for record in due if self._may_look(record, now)), LOOKS_AT_ONCE))
        for record in chosen:
            record.look_at = now + (RETRY_SECONDS if record.left_at is None else LEFT_RETRY_SECONDS)
        return tuple(Recheck(record.namespace, record.name, record.uid) for record in chosen)

    def _may_look(self, record: PodRecord, now: float) -> bool:
        """Whether it is worth a request: of those that wait for nothing only so many per second are."""
        if record.awaits or not record.confirmed:
            return True
        if now < self._linger_look_at:
            return False
        self._linger_look_at = max(self._linger_look_at, now - 1.0) + 1.0 / LINGER_LOOKS_PER_SECOND
        return True

    def rechecked(self, recheck: Recheck, found: PodSeen | None, moment: Moment) -> None:
        """Take in what a look has shown: the pod of that name, None where there is none."""
        record = self._pods.get(recheck.uid)
        if record is None or record.watched:
            return
        if found is None or found.uid != recheck.uid or found.terminating:
            self._bury(recheck.uid)
            return
        self._confirm(record, moment.monotonic)
        record.created = moment.of(found.created_at)
        just_left, record.left_at = record.left_at is not None, None
        if found.phase in _FINISHED:
            record.give_up(moment.monotonic)
        else:
            self._look(record, found, moment, just_left=just_left)
        if not record.awaits:
            record.look_at = moment.monotonic + LINGER_LOOK_SECONDS
        self._dirty.add(record.node)

    def _look(self, record: PodRecord, found: PodSeen, moment: Moment, *, just_left: bool) -> None:
        open_before = [wait for wait in record.waits if wait.over is None]
        record.take_status(found, moment)
        if not just_left:
            # Whenever these came to their end, it was not now.
            record.drop(wait for wait in open_before if wait.over is not None)

    def _is_done(self, record: PodRecord, now: float) -> bool:
        """Whether a pod that is not watched is of no interest any more."""
        if record.left_at is not None and now - record.left_at >= PATIENCE_SECONDS:
            record.give_up(now)
        if record.confirmed:
            return not any(True for _ in record.waits)
        if record.listed and self._has_all_lists(record.namespace):
            record.listed, record.look_at = False, now
        return now - record.met_at >= DOUBT_SECONDS or (not record.listed and not record.suspicious)

    def _has_all_lists(self, namespace: str) -> bool:
        """Whether the pod would be known if it were Pending, and an end of its wait if there was one."""
        return any(self._lists.get(scope, _NO_LISTS) >= _NEEDED for scope in ("", namespace))

    # Who is who

    def _is_taken(self, record: PodRecord) -> bool:
        """Whether another pod is known under its name: one of the two has gone."""
        return self._uids.get((record.namespace, record.name), record.uid) != record.uid

    def _name(self, record: PodRecord) -> None:
        """This pod bears its name now."""
        self._displace(record.namespace, record.name, record.uid)
        self._uids[record.namespace, record.name] = record.uid

    def _displace(self, namespace: str, name: str, uid: str) -> None:
        """Another pod that bore the name is gone: there is one of a name at a time."""
        before = self._uids.get((namespace, name), uid)
        if before != uid:
            self._bury(before)

    def _add(self, record: PodRecord) -> PodRecord:
        if (before := self._pods.get(record.uid)) is not None:
            self._forget(before)  # events named another node
        self._pods[record.uid] = record
        self._nodes.setdefault(record.node, {})[record.uid] = record
        return record

    def _bury(self, uid: str) -> None:
        """The pod is deleted, and whatever is still told of it is old."""
        record = self._pods.get(uid)
        if record is not None:
            self._forget(record)
        self._buried[uid] = None
        if len(self._buried) > MOST_BURIED:
            self._buried.popitem(last=False)

    def _forget(self, record: PodRecord) -> None:
        self._finished += [Finished(record.namespace, wait) for wait in record.waits if wait.over is not None]
        self._pods.pop(record.uid, None)
        self._loose.pop(record.uid, None)
        if self._uids.get((record.namespace, record.name)) == record.uid:
            del self._uids[record.namespace, record.name]
        here = self._nodes[record.node]
        here.pop(record.uid, None)
        if not here:
            del self._nodes[record.node]
        self._dirty.add(record.node)
