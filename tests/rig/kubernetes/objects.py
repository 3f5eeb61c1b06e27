"""Objects of the Kubernetes API as tests need them."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from rig.kubernetes.api import Object, Rule

RBAC = "rbac.authorization.k8s.io"


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def container(name: str = "main", image: str = "example.org/team/app:1", **more: Any) -> Object:
    return {"name": name, "image": image, **more}


def pod(namespace: str, name: str, *containers: Object, node: str = "node-1", **spec: Any) -> Object:
    """A pod that waits on a node; without a node it waits for the scheduler."""
    where = {"nodeName": node} if node else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"containers": list(containers) or [container()], **where, **spec},
    }


def waiting(name: str = "main", reason: str = "ContainerCreating", message: str = "", **more: Any) -> Object:
    """A container status as the kubelet reports it before a container runs."""
    state = {"reason": reason, **({"message": message} if message else {})}
    return _status(name, {"waiting": state}, **more)


def running(name: str = "main", image_id: str = "example.org/team/app@sha256:" + "0" * 64, **more: Any) -> Object:
    state = {"running": {"startedAt": "2024-01-02T03:04:05Z"}}
    return _status(name, state, **{"imageID": image_id, "ready": True, **more})


def _status(name: str, state: Object, **more: Any) -> Object:
    return {"name": name, "state": state, "image": "", "imageID": "", "ready": False, "restartCount": 0, **more}


def event(about: Object, reason: str, message: str, **more: Any) -> Object:
    """An event of a kubelet about a pod that was created; `more` replaces or adds fields."""
    meta = about["metadata"]
    name = more.pop("name", f"{meta['name']}.{reason.lower()}")
    moment = more.pop("at", "2024-01-02T03:04:05Z")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": meta["namespace"], "name": name},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
            "fieldPath": more.pop("field_path", "spec.containers{main}"),
        },
        "reason": reason,
        "message": message,
        "type": "Normal" if reason in ("Pulling", "Pulled", "BackOff") else "Warning",
        "source": {"component": "kubelet", "host": about["spec"].get("nodeName", "node-1")},
        "count": 1,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        **more,
    }


def endpoint_slice(namespace: str, name: str, service: str, *endpoints: Object, port: str = "metrics") -> Object:
    """A slice has addresses of one family; that of its first endpoint, and IPv4 where there is none."""
    family = "IPv6" if endpoints and ":" in endpoints[0]["addresses"][0] else "IPv4"
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"namespace": namespace, "name": name, "labels": {"kubernetes.io/service-name": service}},
        "addressType": family,
        "ports": [{"name": port, "port": 10301, "protocol": "TCP"}],
        "endpoints": list(endpoints),
    }


def endpoint(node: str, address: str, *, ready: bool = True) -> Object:
    return {"addresses": [address], "nodeName": node, "conditions": {"ready": ready}}


def workload(kind: str, namespace: str, name: str, labels: Mapping[str, str], pod: Object, **spec: Any) -> Object:
    """A Deployment or DaemonSet of pods with this specification."""
    template = {"metadata": {"labels": labels}, "spec": pod}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


def account(namespace: str, name: str, rules: list[Object], role: str = "") -> list[Object]:
    """A ServiceAccount with these rights everywhere; `role` is the name of role and binding."""
    role = role or name
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}},
        {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": role}, "rules": rules},
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": role},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        },
    ]


def roles(user: str, rules: Iterable[Rule]) -> list[Object]:
    """What gives a user these rights: a role and its binding for each of them."""
    made: list[Object] = []
    for rule in rules:
        name, scope = f"{user}-{uuid.uuid4().hex[:8]}", {"namespace": rule.namespace} if rule.namespace else {}
        kind = "Role" if rule.namespace else "ClusterRole"
        permission = {"apiGroups": [rule.group], "resources": [rule.resource], "verbs": list(rule.verbs)}
        role = {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": {"name": name, **scope}, "rules": [permission]}
        binding = {
            "apiVersion": f"{RBAC}/v1",
            "kind": f"{kind}Binding",
            "metadata": {"name": name, **scope},
            "roleRef": {"apiGroup": RBAC, "kind": kind, "name": name},
            "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
        }
        made += [role, binding]
    return made
