"""The API server's proxy to Services and pods: what answers behind it, and what a kubectl has to discover."""

import http.client
import re
import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from rig.kubernetes.fake.faults import status_body
from rig.kubernetes.fake.request import Asked
from rig.kubernetes.fake.resources import GROUPS, Place
from rig.kubernetes.fake.server import Handler
from rig.kubernetes.fake.store import Object

PATH: Final = re.compile(
    r"/api/v1/namespaces/(?P<namespace>[^/]+)/(?P<resource>services|pods)/"
    r"(?P<name>(?:(?P<scheme>https?):)?(?P<bare>[^/:]+)(?::[^/:]*)?)/proxy(?P<rest>/.*)?"
)
WHOLE: Final = ("Node", "Namespace")
"""Kinds whose objects are the whole cluster's."""
TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Proxied:
    """A request that goes on to a program."""

    asked: Asked
    target: tuple[str, str, str]
    scheme: str
    rest: str


def proxied(path: str) -> Proxied | None:
    """None where the path is not one of the proxy's."""
    match = PATH.fullmatch(path)
    if not match:
        return None
    resource, namespace = match["resource"], match["namespace"]
    where = Place("", "v1", f"{resource}/proxy", "", namespace, match["name"], "proxy")
    return Proxied(
        Asked("get", where), (resource, namespace, match["bare"]), match["scheme"] or "http", match["rest"] or "/"
    )


def forward(handler: Handler, request: Proxied, url: str, query: str) -> None:
    """Answer what the program at `url` answers, in the real server's words where it cannot be reached."""
    host = urlsplit(url).netloc
    # As the real one: it trusts whoever serves behind it.
    trusting = ssl._create_unverified_context()
    connection = (
        http.client.HTTPSConnection(host, timeout=TIMEOUT, context=trusting)
        if request.scheme == "https"
        else http.client.HTTPConnection(host, timeout=TIMEOUT)
    )
    try:
        connection.request("GET", request.rest + (f"?{query}" if query else ""))
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        handler.answer(503, status_body(503, f"error trying to reach service: {_in_go(error)}"))
        return
    finally:
        connection.close()
    handler.answer(answer.status, body, {"Content-Type": answer.headers.get("Content-Type", "text/plain")})


def discovery(path: str) -> Object | None:
    """What kubectl asks for to learn which resources there are."""
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = [_group(root.removeprefix("/apis/")) for root in GROUPS if root.startswith("/apis/")]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    if path not in GROUPS:
        return None
    version = path.removeprefix("/apis/").removeprefix("/api/")
    verbs = ["get", "list", "watch"]
    resources = [
        {"name": name, "singularName": kind.lower(), "namespaced": kind not in WHOLE, "kind": kind, "verbs": verbs}
        for name, kind in GROUPS[path].items()
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}


def _group(version: str) -> dict[str, object]:
    name, _, short = version.partition("/")
    entry = {"groupVersion": version, "version": short}
    return {"name": name, "versions": [entry], "preferredVersion": entry}


def _in_go(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        if "CERTIFICATE_REQUIRED" in str(error):
            return "remote error: tls: certificate required"
        if not isinstance(error, ssl.SSLEOFError):
            return "http: server gave HTTP response to HTTPS client"
    if isinstance(
        error, ssl.SSLEOFError | http.client.RemoteDisconnected | http.client.BadStatusLine | ConnectionResetError
    ):
        return "EOF"
    return f"dial tcp: connect: {str(error).rpartition('] ')[2].lower()}"
