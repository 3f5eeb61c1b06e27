"""Objects with their history, as etcd keeps them: changes have revisions, old ones can be read for a time."""

import copy
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

Object = dict[str, Any]
Matcher = Callable[[Object], bool]


class Key(NamedTuple):
    """Where an object lies; lists are in this order."""

    resource: str
    namespace: str
    name: str


class Compacted(Exception):
    """The revision is no longer known."""


@dataclass(frozen=True, slots=True)
class Record:
    """One change: what the object was before and is after it, None where there was or is none."""

    revision: int
    key: Key
    before: Object | None
    after: Object | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A change as those see it who watch a selection."""

    type: str
    item: Object
    revision: int


class Store:
    """Guarded by `changed`, which is notified of each change. Objects in it are never changed in place."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.revision = 100
        self._compacted = 0
        self._objects: dict[Key, Object] = {}
        self._log: list[Record] = []

    def get(self, key: Key) -> Object | None:
        with self.changed:
            return self._objects.get(key)

    def put(self, key: Key, item: Object) -> Object:
        """Keep an object, with its resource version set; returns it."""
        kept = copy.deepcopy(item)
        with self.changed:
            kept["metadata"]["resourceVersion"] = str(self.revision + 1)
            self._note(key, kept)
            self._objects[key] = kept
        return kept

    def remove(self, key: Key) -> Object:
        with self.changed:
            self._note(key, None)
            return self._objects.pop(key)

    def compact(self, revision: int | None = None) -> None:
        """Forget all revisions before this one, by default before the present one."""
        with self.changed:
            kept = self.revision if revision is None else revision
            del self._log[: self._seen(kept)]
            self._compacted = kept
            self.changed.notify_all()

    def at(self, revision: int, resource: str, namespace: str) -> list[tuple[Key, Object]]:
        """What there was at a revision, in order; raises Compacted."""
        with self.changed:
            if revision < self._compacted:
                raise Compacted
            objects = dict(self._objects)
            for record in reversed(self._log):
                if record.revision <= revision:
                    break
                if record.before is None:
                    objects.pop(record.key, None)
                else:
                    objects[record.key] = record.before
        return sorted((key, item) for key, item in objects.items() if _within(key, resource, namespace))

    def since(self, revision: int, resource: str, namespace: str, matches: Matcher) -> list[Delivery]:
        """What came after a revision, for those who watch a selection; raises Compacted."""
        with self.changed:
            if revision < self._compacted:
                raise Compacted
            later = self._log[self._seen(revision) :]
        return list(_deliveries((each for each in later if _within(each.key, resource, namespace)), matches))

    def _seen(self, revision: int) -> int:
        """How many changes of the log there were by then."""
        return bisect_right(self._log, revision, key=attrgetter("revision"))

    def _note(self, key: Key, after: Object | None) -> None:
        self.revision += 1
        self._log.append(Record(self.revision, key, self._objects.get(key), after))
        self.changed.notify_all()


def _within(key: Key, resource: str, namespace: str) -> bool:
    return key.resource == resource and namespace in ("", key.namespace)


def _deliveries(records: Iterator[Record], matches: Matcher) -> Iterator[Delivery]:
    """An object that begins or ceases to match is added or deleted for those who watch."""
    for record in records:
        was = record.before is not None and matches(record.before)
        is_now = record.after is not None and matches(record.after)
        if is_now and record.after is not None:
            yield Delivery("MODIFIED" if was else "ADDED", record.after, record.revision)
        elif was and record.before is not None:
            yield Delivery("DELETED", _as_of(record.before, record.revision), record.revision)


def _as_of(item: Object, revision: int) -> Object:
    """The last state that matched, under the revision at which it ceased to: so the real server shows it."""
    return {**item, "metadata": {**item["metadata"], "resourceVersion": str(revision)}}
