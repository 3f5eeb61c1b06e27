"""The pods by uid, by name and by node; one of a name at a time. Pure."""

from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pulltrace_aggregator.pods.image_wait import ImageWait
from pulltrace_aggregator.pods.pod import PodRecord

MOST_DELETED: Final = 10_000
_NOBODY: Final[Mapping[str, PodRecord]] = MappingProxyType({})


class PodIndex:
    """All pods that are remembered; the uids are those in the kubelet's events.

    `unwatched` are the pods that no watch shows. `changed` are the nodes with anything new. `finished` are the waits
    that ended well and whose pods have gone, each with its namespace. Whoever reads these two empties them.
    """

    def __init__(self) -> None:
        self.unwatched: dict[str, PodRecord] = {}
        self.changed: set[str] = set()
        self.finished: list[tuple[str, ImageWait]] = []
        self._pods: dict[str, PodRecord] = {}
        self._uids: dict[tuple[str, str], str] = {}
        self._nodes: dict[str, dict[str, PodRecord]] = {}
        self._deleted: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        """Number of pods."""
        return len(self._pods)

    def get(self, uid: str) -> PodRecord | None:
        """The pod of this uid."""
        return self._pods.get(uid)

    def on(self, node: str) -> list[PodRecord]:
        """The pods of a node that can be shown, no two of one name."""
        return [record for record in self._nodes.get(node, _NOBODY).values() if record.confirmed]

    def is_deleted(self, uid: str) -> bool:
        """Whether the pod is deleted, so that anything that still arrives about it is old."""
        return uid in self._deleted

    def is_taken(self, record: PodRecord) -> bool:
        """Whether another pod is known under its name: one of the two has gone."""
        return self._uids.get((record.namespace, record.name), record.uid) != record.uid

    def add(self, record: PodRecord) -> PodRecord:
        """Add a new pod, in place of a record of it on another node."""
        if (before := self._pods.get(record.uid)) is not None:
            self.forget(before)
        self._pods[record.uid] = record
        self._nodes.setdefault(record.node, {})[record.uid] = record
        return record

    def name(self, record: PodRecord) -> None:
        """Give this pod its name, in place of any other pod with that name."""
        self.displace(record.namespace, record.name, record.uid)
        self._uids[record.namespace, record.name] = record.uid
        self._deleted.pop(record.uid, None)  # a static pod has a new mirror

    def displace(self, namespace: str, name: str, uid: str) -> None:
        """Delete the pod with this name unless it has this uid."""
        before = self._uids.get((namespace, name), uid)
        if before != uid:
            self.delete(before)

    def delete(self, uid: str, api_uid: str = "") -> None:
        """Forget a deleted pod, and remember its uid and the one in the API, if that is known."""
        if (record := self._pods.get(uid)) is not None:
            self.forget(record)
        self._deleted.update(dict.fromkeys((uid, api_uid or uid)))
        while len(self._deleted) > MOST_DELETED:
            self._deleted.popitem(last=False)

    def forget(self, record: PodRecord) -> None:
        """Drop a pod; later observations may add it again."""
        self.finished += [(record.namespace, wait) for wait in record.waits if wait.confirmed]
        self._pods.pop(record.uid, None)
        self.unwatched.pop(record.uid, None)
        if self._uids.get((record.namespace, record.name)) == record.uid:
            del self._uids[record.namespace, record.name]
        here = self._nodes[record.node]
        here.pop(record.uid, None)
        if not here:
            del self._nodes[record.node]
        self.changed.add(record.node)
