"""What tests do to a cluster, over HTTP: the same for the fake and for the real API server."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import requests

Object = dict[str, Any]
TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Rule:
    """What a user may do; in one namespace, or in all of them with None; to objects of these names, or to all."""

    verbs: tuple[str, ...]
    resource: str
    group: str = ""
    namespace: str | None = None
    names: tuple[str, ...] = ()


READ = ("get", "list", "watch")
READ_EVERYTHING = (
    Rule(READ, "pods"),
    Rule(READ, "events"),
    Rule(READ, "endpointslices", "discovery.k8s.io"),
)
"""What the aggregator needs."""


class ApiFailed(Exception):
    """The API server refused a request of a test."""


class Api:
    """An administrator of a cluster. Objects are JSON as the API takes them, see `rig.kubernetes.objects`."""

    def __init__(self, url: str, token: str, ca_file: Path) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = str(ca_file)
        self._session.headers["Authorization"] = f"Bearer {token}"

    def close(self) -> None:
        self._session.close()

    def get(self, path: str, **query: str) -> Object:
        return self._call("GET", path, None, params=query)

    def create(self, item: Object) -> Object:
        """The object as the server keeps it."""
        return self._call("POST", collection(item), item)

    def patch(self, item: Object, change: Object, subresource: str = "") -> Object:
        """Merge `change` into an object."""
        path = f"{object_path(item)}/{subresource}" if subresource else object_path(item)
        return self._call("PATCH", path, change, content_type="application/merge-patch+json")

    def set_status(self, item: Object, **status: Any) -> Object:
        """What a kubelet would report."""
        return self.patch(item, {"status": status}, "status")

    def delete(self, item: Object, grace: int | None = 0) -> None:
        """At once, or with the grace of so many seconds; None leaves that to the object."""
        self._call("DELETE", object_path(item), {} if grace is None else {"gracePeriodSeconds": grace})

    def token(self, namespace: str, account: str) -> str:
        """A token of a ServiceAccount, as its pods have one."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        token: str = self._call("POST", path, request)["status"]["token"]
        return token

    def answers(self) -> bool:
        """Whether the server is ready."""
        try:
            return self._session.get(f"{self.url}/readyz", timeout=2).ok
        except requests.RequestException:
            return False

    def may(self, rule: Rule) -> bool:
        """Whether the server lets this user do all that the rule gives."""
        path, version = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "authorization.k8s.io/v1"
        where = {"resource": rule.resource, "group": rule.group, "namespace": rule.namespace or ""}
        asked = [{"spec": {"resourceAttributes": {"verb": verb, **where}}} for verb in rule.verbs]
        kind = {"apiVersion": version, "kind": "SelfSubjectAccessReview"}
        return all(self._call("POST", path, {**kind, **each})["status"]["allowed"] for each in asked)

    def _call(
        self, method: str, path: str, body: Object | None, content_type: str = "application/json", **options: Any
    ) -> Object:
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type}
        answer = self._session.request(
            method, f"{self.url}{path}", data=data, headers=headers, timeout=TIMEOUT, **options
        )
        if not answer.ok:
            raise ApiFailed(f"{method} {path}: {answer.status_code}: {answer.text}")
        result: Object = answer.json()
        return result


class KubernetesCluster(Protocol):
    """An API server of a test's own or shared by many. Implemented by the fake and by the real one."""

    api: Api
    ca_file: Path

    @property
    def url(self) -> str:
        """The API server's URL."""
        ...

    def user(self, rules: Iterable[Rule]) -> str:
        """A bearer token of a new user who may do this and no more."""
        ...

    def allow(self, token: str, rules: Iterable[Rule]) -> None:
        """Give a user more rights."""
        ...

    def compact(self) -> None:
        """Forget all revisions but the present one, as etcd does every five minutes."""
        ...

    def stop(self) -> None:
        """End the API server; what it kept is kept."""
        ...

    def start(self) -> None:
        """Start it again where it was unless it runs, and wait until it answers."""
        ...

    def close(self) -> None:
        """End it and remove what it kept."""
        ...


PLURALS = {
    "Pod": "pods",
    "Event": "events",
    "EndpointSlice": "endpointslices",
    "Namespace": "namespaces",
    "Node": "nodes",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "ServiceAccount": "serviceaccounts",
    "Service": "services",
    "ConfigMap": "configmaps",
    "Secret": "secrets",
    "DaemonSet": "daemonsets",
    "Deployment": "deployments",
    "StatefulSet": "statefulsets",
    "NetworkPolicy": "networkpolicies",
    "PodDisruptionBudget": "poddisruptionbudgets",
}


def collection(item: Object) -> str:
    """The path of the objects of this kind and namespace."""
    version, namespace = item["apiVersion"], item["metadata"].get("namespace")
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{within}/{PLURALS[item['kind']]}"


def object_path(item: Object) -> str:
    """The path of the object itself."""
    return f"{collection(item)}/{item['metadata']['name']}"


def kubeconfig(
    url: str,
    ca_file: Path,
    *,
    token: str = "",
    token_file: Path | None = None,
    others: Sequence[str] = (),
    namespace: str = "",
) -> str:
    """The text of a kubeconfig with the context `here`, and other contexts that lead nowhere."""
    user = {"tokenFile": str(token_file)} if token_file else {"token": token}
    within = {"namespace": namespace} if namespace else {}
    names = ["here", *others]
    servers = {name: url if name == "here" else "https://127.0.0.1:1" for name in names}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{"name": name, "context": {"cluster": name, "user": "test", **within}} for name in names],
            "clusters": [
                {"name": name, "cluster": {"server": server, "certificate-authority": str(ca_file)}}
                for name, server in servers.items()
            ],
            "users": [{"name": "test", "user": user}],
        }
    )
