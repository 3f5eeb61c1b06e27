"""What tests do to a cluster, over HTTP: the same for the fake and for the real one."""

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from rig.pki import Files

Object = dict[str, Any]
TIMEOUT = 30.0
PAUSE = 0.1
NOT_FOUND = 404
JSON, APPLY = "application/json", "application/apply-patch+yaml"
MANAGER = {"fieldManager": "pulltrace-tests", "force": "true"}


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
    """The API server refused a request of a test; the text is its reason."""

    def __init__(self, asked: str, answer: requests.Response) -> None:
        super().__init__(f"{asked}: {answer.status_code}: {answer.text[:2000]}")
        self.status = answer.status_code


class NotYet(Exception):
    """What was waited for did not come about."""


def http_session() -> requests.Session:
    """Asks no proxy of this machine's environment."""
    session = requests.Session()
    session.trust_env = False
    return session


class Api:
    """One user of a cluster, by a token or a certificate: objects are JSON as the API takes them."""

    def __init__(self, url: str, ca_file: Path, *, token: str = "", pair: Files | None = None) -> None:
        self.url = url
        self._session = http_session()
        self._session.verify = str(ca_file)
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"
        if pair:
            self._session.cert = (str(pair.certificate), str(pair.key))

    def close(self) -> None:
        self._session.close()

    def get(self, path: str, **query: str) -> Object:
        """The JSON at a path."""
        return self._json("GET", path, params=query)

    def text(self, path: str) -> str:
        """The text at a path that does not answer JSON, as the proxy of a node's metrics."""
        return self._call("GET", path).text

    def items(self, path: str, **query: str) -> list[Object]:
        items: list[Object] = self.get(path, **query)["items"]
        return items

    def pods(self, namespace: str, **query: str) -> list[Object]:
        found = self.items(f"/api/v1/namespaces/{namespace}/pods", **query)
        return [{"apiVersion": "v1", "kind": "Pod", **pod} for pod in found]

    def find(self, item: Object) -> Object | None:
        """An object as it is now; None where there is none."""
        try:
            return self.get(object_path(item))
        except ApiFailed as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def is_ready(self, item: Object) -> bool:
        return is_ready(self.find(item) or {})

    def create(self, item: Object) -> Object:
        """The object as the server keeps it."""
        return self._json("POST", collection(item), item)

    def apply(self, *items: Object) -> None:
        """Make the objects be as given; the fake cannot."""
        for item in items:
            self._json("PATCH", object_path(item), item, APPLY, params=MANAGER)

    def apply_file(self, path: Path) -> None:
        """Apply a file of one object. The server reads it, because its YAML may be newer than ours."""
        text = path.read_text()
        head = {key: re.search(rf"^{key}: (.+)$", text, re.MULTILINE) for key in ("apiVersion", "kind", "  name")}
        version, kind, name = (found[1] if found else "" for found in head.values())
        item = {"apiVersion": version, "kind": kind, "metadata": {"name": name}}
        self._json("PATCH", object_path(item), text, APPLY, params=MANAGER)

    def patch(self, item: Object, change: Object, subresource: str = "") -> Object:
        path = f"{object_path(item)}/{subresource}" if subresource else object_path(item)
        return self._json("PATCH", path, change, "application/merge-patch+json")

    def set_status(self, item: Object, **status: Any) -> Object:
        """What a kubelet would report."""
        return self.patch(item, {"status": status}, "status")

    def delete(self, item: Object, grace: int | None = 0) -> None:
        """At once, or with the grace of so many seconds; None leaves that to the object. It may have gone by itself."""
        try:
            self._json("DELETE", object_path(item), {} if grace is None else {"gracePeriodSeconds": grace})
        except ApiFailed as error:
            if error.status != NOT_FOUND:
                raise

    def token(self, namespace: str, account: str) -> str:
        """A token of a ServiceAccount, as its pods have one."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        token: str = self._json("POST", path, request)["status"]["token"]
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
        resource, _, part = rule.resource.partition("/")
        where = {"resource": resource, "subresource": part, "group": rule.group, "namespace": rule.namespace or ""}
        each_name = [{**where, "name": name} for name in rule.names or ("",)]
        asked = [{"spec": {"resourceAttributes": {"verb": verb, **each}}} for verb in rule.verbs for each in each_name]
        kind = {"apiVersion": version, "kind": "SelfSubjectAccessReview"}
        return all(self._json("POST", path, {**kind, **each})["status"]["allowed"] for each in asked)

    def _json(
        self, method: str, path: str, body: Object | str | None = None, content_type: str = JSON, **options: Any
    ) -> Object:
        data = body if body is None or isinstance(body, str) else json.dumps(body)
        answer = self._call(method, path, data=data, headers={"Content-Type": content_type}, **options)
        result: Object = answer.json()
        return result

    def _call(self, method: str, path: str, **options: Any) -> requests.Response:
        answer = self._session.request(method, f"{self.url}{path}", timeout=TIMEOUT, **options)
        if not answer.ok:
            raise ApiFailed(f"{method} {path}", answer)
        return answer


def wait_for(condition: Callable[[], Any], what: str, timeout: float = 120) -> Any:
    """What the condition returns once it is true; raises NotYet. A request that fails is made again."""
    deadline = time.monotonic() + timeout
    last: object = "no answer"
    while time.monotonic() < deadline:
        try:
            if last := condition():
                return last
        except (ApiFailed, requests.RequestException) as error:
            last = error
        time.sleep(PAUSE)
    raise NotYet(f"{what}: not in {timeout} s; last: {last}")


def wait_equal(told: Callable[[], Any], expected: Any, what: str) -> None:
    """Return once that is told; the error has what is told instead."""
    seen: list[Any] = [None]

    def as_expected() -> bool:
        seen[0] = told()
        return bool(seen[0] == expected)

    try:
        wait_for(as_expected, what)
    except NotYet as error:
        raise NotYet(f"{error}; {seen[0]!r} is told instead of {expected!r}") from error


def is_ready(item: Object) -> bool:
    conditions = item.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


PLURALS = {"NetworkPolicy": "networkpolicies", "Prometheus": "prometheuses"}
"""Plurals of the kinds that do not just get an s."""


def collection(item: Object) -> str:
    """The path of the objects of this kind and namespace."""
    version, namespace = item["apiVersion"], item["metadata"].get("namespace")
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    within = f"/namespaces/{namespace}" if namespace else ""
    plural = PLURALS.get(item["kind"], f"{item['kind'].lower()}s")
    return f"{root}{within}/{plural}"


def object_path(item: Object) -> str:
    """The path of the object itself."""
    return f"{collection(item)}/{item['metadata']['name']}"


def kubeconfig(
    url: str,
    ca_file: Path,
    *,
    token: str = "",
    token_file: Path | None = None,
    pair: Files | None = None,
    others: Sequence[str] = (),
    namespace: str = "",
) -> str:
    """The text of a kubeconfig with the context `here`, and other contexts that lead nowhere."""
    user = {"tokenFile": str(token_file)} if token_file else {"token": token}
    if pair:
        user = {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
    within = {"namespace": namespace} if namespace else {}
    names = ["here", *others]
    servers = [url, *("https://127.0.0.1:1" for _ in others)]
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{"name": name, "context": {"cluster": name, "user": "test", **within}} for name in names],
            "clusters": [
                {"name": name, "cluster": {"server": server, "certificate-authority": str(ca_file)}}
                for name, server in zip(names, servers, strict=True)
            ],
            "users": [{"name": "test", "user": user}],
        }
    )
