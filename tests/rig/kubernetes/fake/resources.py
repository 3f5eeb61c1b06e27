"""Which resources the fake has, and what it does to their objects as they come in."""

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from rig.kubernetes.fake.store import Key, Object

GROUPS: Final = {
    "/api/v1": {
        "pods": "Pod",
        "events": "Event",
        "namespaces": "Namespace",
        "nodes": "Node",
        "services": "Service",
    },
    "/apis/apps/v1": {"deployments": "Deployment", "statefulsets": "StatefulSet", "daemonsets": "DaemonSet"},
    "/apis/discovery.k8s.io/v1": {"endpointslices": "EndpointSlice"},
}
PATH: Final = re.compile(
    r"(?P<root>/api/v1|/apis/[^/]+/[^/]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<resource>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<part>[a-z]+))?"
)
USUAL_GRACE: Final = 30
STAMP: Final = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Place:
    """What a path names: a collection, an object in it, or a subresource of that."""

    group: str
    version: str
    resource: str
    kind: str
    namespace: str
    name: str
    part: str

    @property
    def key(self) -> Key:
        return Key(self.resource, self.namespace, self.name)


def place(path: str) -> Place | None:
    """None where there is nothing of the kind."""
    match = PATH.fullmatch(path)
    kind = GROUPS.get(match["root"], {}).get(match["resource"]) if match else None
    if not match or not kind:
        return None
    version = match["root"].removeprefix("/apis/").removeprefix("/api/")
    group = version.rpartition("/")[0]
    namespace, name, part = (match[each] or "" for each in ("namespace", "name", "part"))
    return Place(group, version, match["resource"], kind, namespace, name, part)


def created(item: Object, where: Place) -> Object:
    """An object as it is kept: named, stamped, with the defaults that tests can see."""
    given = item.get("metadata", {})
    meta = {
        **given,
        "name": given.get("name") or given.get("generateName", "") + uuid.uuid4().hex[:5],
        "uid": str(uuid.uuid4()),
        "creationTimestamp": now(),
    }
    if where.namespace:
        meta["namespace"] = where.namespace
    kept = {**item, "apiVersion": where.version, "kind": where.kind, "metadata": meta}
    return _new_pod(kept) if where.resource == "pods" else kept


def merged(old: Object, change: Object) -> Object:
    """RFC 7396."""
    result = dict(old)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            before = result.get(key)
            result[key] = merged(before if isinstance(before, dict) else {}, value)
        else:
            result[key] = value
    return result


def terminating(item: Object, grace: int | None) -> tuple[Object, bool]:
    """A pod as it is marked before it goes, and whether it goes at once: else it waits for the kubelet of its node.

    The mark is seen by those who watch even when it goes at once; other objects go without one.
    """
    if not item["spec"].get("nodeName"):
        grace = 0
    seconds = USUAL_GRACE if grace is None else grace
    stamp = (datetime.now(UTC) + timedelta(seconds=seconds)).strftime(STAMP)
    meta = {**item["metadata"], "deletionTimestamp": stamp, "deletionGracePeriodSeconds": seconds}
    return {**item, "metadata": meta}, not seconds


def now() -> str:
    return datetime.now(UTC).strftime(STAMP)


def _new_pod(item: Object) -> Object:
    containers = {
        part: [_with_policy(each) for each in item["spec"][part]]
        for part in ("initContainers", "containers", "ephemeralContainers")
        if part in item["spec"]
    }
    return {**item, "spec": {**item["spec"], **containers}, "status": {"phase": "Pending", "qosClass": "BestEffort"}}


def _with_policy(container: Object) -> Object:
    _, _, tag = container.get("image", "").rpartition("/")[2].partition(":")
    policy = "Always" if tag in ("", "latest") and "@" not in container.get("image", "") else "IfNotPresent"
    return {"imagePullPolicy": policy, **container}
