"""Objects of the Kubernetes API as tests need them."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from rig.kubernetes.api import Object, Rule

RBAC = "rbac.authorization.k8s.io"


def item(
    kind: str,
    name: str,
    namespace: str = "",
    *,
    version: str = "v1",
    labels: Mapping[str, str] | None = None,
    **fields: Any,
) -> Object:
    """Of any kind; without a namespace one that has none."""
    where = {"namespace": namespace} if namespace else {}
    marks = {"labels": dict(labels)} if labels else {}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **where, **marks}, **fields}


def namespace(name: str) -> Object:
    return item("Namespace", name)


def container(name: str = "main", image: str = "example.org/team/app:1", **more: Any) -> Object:
    return {"name": name, "image": image, **more}


def pod(namespace: str, name: str, *containers: Object, node: str = "node-1", **spec: Any) -> Object:
    """A pod that waits on a node; without a node it waits for the scheduler."""
    where = {"nodeName": node} if node else {}
    return item("Pod", name, namespace, spec={"containers": list(containers) or [container()], **where, **spec})


def waiting(name: str = "main", reason: str = "ContainerCreating", message: str = "", **more: Any) -> Object:
    """A container status as the kubelet reports it before a container runs."""
    state = {"reason": reason, **({"message": message} if message else {})}
    return _status(name, {"waiting": state}, **more)


def running(name: str = "main", image_id: str = "example.org/team/app@sha256:" + "0" * 64, **more: Any) -> Object:
    state = {"running": {"startedAt": "2024-01-02T03:04:05Z"}}
    return _status(name, state, **{"imageID": image_id, "ready": True, **more})


def _status(name: str, state: Object, **more: Any) -> Object:
    return {"name": name, "state": state, "image": "", "imageID": "", "ready": False, "restartCount": 0, **more}


def event(
    about: Object,
    reason: str,
    message: str,
    *,
    name: str = "",
    at: str = "2024-01-02T03:04:05Z",
    field_path: str = "spec.containers{main}",
    **more: Any,
) -> Object:
    """An event of a kubelet about a pod that was created; `more` replaces or adds fields."""
    meta = about["metadata"]
    fields = {
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
            "fieldPath": field_path,
        },
        "reason": reason,
        "message": message,
        "type": "Normal" if reason in ("Pulling", "Pulled", "BackOff") else "Warning",
        "source": {"component": "kubelet", "host": about["spec"].get("nodeName", "node-1")},
        "count": 1,
        "firstTimestamp": at,
        "lastTimestamp": at,
        **more,
    }
    return item("Event", name or f"{meta['name']}.{reason.lower()}", meta["namespace"], **fields)


def endpoint_slice(namespace: str, name: str, service: str, *endpoints: Object, port: str = "metrics") -> Object:
    """A slice has addresses of one family; that of its first endpoint, and IPv4 where there is none."""
    fields = {
        "addressType": "IPv6" if endpoints and ":" in endpoints[0]["addresses"][0] else "IPv4",
        "ports": [{"name": port, "port": 10301, "protocol": "TCP"}],
        "endpoints": list(endpoints),
    }
    labels = {"kubernetes.io/service-name": service}
    return item("EndpointSlice", name, namespace, version="discovery.k8s.io/v1", labels=labels, **fields)


def endpoint(node: str, address: str, *, ready: bool = True) -> Object:
    return {"addresses": [address], "nodeName": node, "conditions": {"ready": ready}}


def workload(kind: str, namespace: str, name: str, labels: Mapping[str, str], pod: Object, **spec: Any) -> Object:
    """A Deployment or DaemonSet of pods with this specification."""
    template = {"metadata": {"labels": labels}, "spec": pod}
    whole = {"selector": {"matchLabels": labels}, "template": template, **spec}
    return item(kind, name, namespace, version="apps/v1", spec=whole)


def account(namespace: str, name: str, rules: list[Object], role: str = "") -> list[Object]:
    """A ServiceAccount with these rights everywhere; `role` is the name of role and binding."""
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    return [item("ServiceAccount", name, namespace), *_granted(role or name, rules, subject)]


def roles(user: str, rules: Iterable[Rule]) -> list[Object]:
    """What gives a user these rights: a role and its binding for each of them."""
    subject = {"apiGroup": RBAC, "kind": "User", "name": user}
    made: list[Object] = []
    for rule in rules:
        permission = {"apiGroups": [rule.group], "resources": [rule.resource], "verbs": list(rule.verbs)}
        made += _granted(f"{user}-{uuid.uuid4().hex[:8]}", [permission], subject, rule.namespace or "")
    return made


def _granted(name: str, rules: list[Object], subject: Object, namespace: str = "") -> list[Object]:
    """A role and its binding: in a namespace, or everywhere."""
    kind, version = "Role" if namespace else "ClusterRole", f"{RBAC}/v1"
    reference = {"apiGroup": RBAC, "kind": kind, "name": name}
    return [
        item(kind, name, namespace, version=version, rules=rules),
        item(f"{kind}Binding", name, namespace, version=version, roleRef=reference, subjects=[subject]),
    ]
