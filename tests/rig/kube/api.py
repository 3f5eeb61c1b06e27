"""Objects in the cluster, as an administrator writes and reads them."""

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import requests

from rig.kube.certificates import Pair

Object = dict[str, Any]
MANAGER = {"fieldManager": "pulltrace-tests", "force": "true"}
TIMEOUT = 30.0
PAUSE = 0.1


class ApiFailed(Exception):
    """The API server refused a request; the text is its reason."""


class NotYet(Exception):
    """What was waited for did not come about."""


class Api:
    """Server-side apply, get, list and delete, by the object's own apiVersion and kind."""

    def __init__(self, url: str, authority: str, pair: Pair) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = authority
        self._session.cert = (str(pair.certificate), str(pair.key))
        self._resources: dict[str, dict[str, Object]] = {}

    def close(self) -> None:
        self._session.close()

    def apply(self, *items: Mapping[str, Any]) -> None:
        """Make the objects be as given."""
        for item in items:
            self._call("PATCH", self.path(item), item, "application/apply-patch+yaml", **MANAGER)

    def apply_file(self, path: Path) -> None:
        """The same for a file of one object; the server reads it, for its YAML may be newer than ours."""
        text = path.read_text()
        head = {key: re.search(rf"^{key}: (.+)$", text, re.MULTILINE) for key in ("apiVersion", "kind", "  name")}
        version, kind, name = (found[1] if found else "" for found in head.values())
        item = {"apiVersion": version, "kind": kind, "metadata": {"name": name}}
        self._call("PATCH", self.path(item), text, "application/apply-patch+yaml", **MANAGER)

    def create(self, item: Mapping[str, Any]) -> Object:
        """Create an object; the server's form of it."""
        return self._call("POST", self.path(item, collection=True), item)

    def patch(self, item: Mapping[str, Any], change: Mapping[str, Any], subresource: str = "") -> Object:
        """Merge `change` into an object."""
        path = f"{self.path(item)}/{subresource}".rstrip("/")
        return self._call("PATCH", path, change, "application/strategic-merge-patch+json")

    def delete(self, item: Mapping[str, Any], **options: Any) -> None:
        """Delete an object that may be gone."""
        try:
            self._call("DELETE", self.path(item), options)
        except ApiFailed as error:
            if "404" not in str(error):
                raise

    def get(self, path: str, **query: str) -> Object:
        """What stands at a path."""
        return self._call("GET", path, None, **query)

    def text(self, path: str) -> str:
        """What stands at a path that answers no JSON, as the proxy of a node's metrics."""
        answer = self._session.get(f"{self.url}{path}", timeout=TIMEOUT)
        if not answer.ok:
            raise ApiFailed(f"GET {path}: {answer.status_code}: {answer.text[:500]}")
        return answer.text

    def find(self, item: Mapping[str, Any]) -> Object | None:
        """An object as it is now; None where there is none."""
        try:
            return self.get(self.path(item))
        except ApiFailed as error:
            if "404" in str(error):
                return None
            raise

    def items(self, path: str, **query: str) -> list[Object]:
        """The items of a collection."""
        items: list[Object] = self.get(path, **query)["items"]
        return items

    def pods(self, namespace: str, **query: str) -> list[Object]:
        """Pods of a namespace."""
        found = self.items(f"/api/v1/namespaces/{namespace}/pods", **query)
        return [{"apiVersion": "v1", "kind": "Pod", **pod} for pod in found]

    def path(self, item: Mapping[str, Any], *, collection: bool = False) -> str:
        """The path of an object, or of its collection."""
        group = item["apiVersion"]
        resource = self._resource(group, item["kind"])
        root = f"/apis/{group}" if "/" in group else f"/api/{group}"
        metadata = item["metadata"]
        if resource["namespaced"]:
            root = f"{root}/namespaces/{metadata.get('namespace', 'default')}"
        base = f"{root}/{resource['name']}"
        return base if collection else f"{base}/{metadata['name']}"

    def _resource(self, group: str, kind: str) -> Object:
        """What the server says of a kind; asked again for kinds that came later."""
        if kind not in self._resources.get(group, {}):
            found = self.get(f"/apis/{group}" if "/" in group else f"/api/{group}")["resources"]
            self._resources[group] = {each["kind"]: each for each in found if "/" not in each["name"]}
        if kind not in self._resources[group]:
            raise ApiFailed(f"404: {group} has no {kind}")
        return self._resources[group][kind]

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | str | None,
        content: str = "application/json",
        **query: str,
    ) -> Object:
        answer = self._session.request(
            method,
            f"{self.url}{path}",
            data=body if body is None or isinstance(body, str) else json.dumps(body),
            headers={"Content-Type": content},
            params=query,
            timeout=TIMEOUT,
        )
        if not answer.ok:
            raise ApiFailed(f"{method} {path}: {answer.status_code}: {answer.text[:2000]}")
        result: Object = answer.json()
        return result


def wait_for(condition: Callable[[], Any], what: str, timeout: float = 120, pause: float = PAUSE) -> Any:
    """What the condition returns once it is true; raises NotYet. A request that fails is made again."""
    deadline = time.monotonic() + timeout
    last: object = "no answer"
    while time.monotonic() < deadline:
        try:
            if last := condition():
                return last
        except (ApiFailed, requests.RequestException) as error:
            last = error
        time.sleep(pause)
    raise NotYet(f"{what}: not in {timeout} s; last: {last}")


def is_ready(item: Mapping[str, Any]) -> bool:
    """Whether a pod or node says that it is ready."""
    conditions: Iterable[Object] = item.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
