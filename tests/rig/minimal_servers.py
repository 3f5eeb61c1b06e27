"""The simplest servers that somebody might put before the aggregator: HTTP/1.0, no paging, no selectors, no tags."""

import contextlib
import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def __init__(self, owner: "MinimalApi | MinimalExporter") -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nobody reads it."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        assert isinstance(self.server, _Server)
        with contextlib.suppress(OSError):
            self.server.owner.serve(self, url.path, parse_qs(url.query))

    def say(self, body: object, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


class MinimalApi:
    """Lists what there is and streams each change to every watch of its resource, whatever is selected."""

    def __init__(self) -> None:
        self.tokens: set[str] = set()
        self._objects: dict[str, dict[tuple[str, str], Object]] = {"pods": {}, "events": {}, "endpointslices": {}}
        self._watches: list[tuple[str, queue.SimpleQueue[bytes]]] = []
        self._lock = threading.Lock()
        self._version = 1
        self.url = ""

    @contextlib.contextmanager
    def served(self) -> Iterator["MinimalApi"]:
        with _serving(self) as port:
            self.url = f"http://127.0.0.1:{port}"
            try:
                yield self
            finally:
                for _, changes in self._watches:
                    changes.put(b"")

    def kubeconfig(self, folder: Path) -> str:
        path = folder / "minimal-kubeconfig"
        here = {"name": "here"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{**here, "context": {"cluster": "here", "user": "here"}}],
            "clusters": [{**here, "cluster": {"server": self.url}}],
            "users": [{**here, "user": {"token": "secret"}}],
        }
        path.write_text(json.dumps(config))
        return f"--kubeconfig={path}"

    def put(self, resource: str, item: Object) -> None:
        meta = item["metadata"]
        with self._lock:
            self._version += 1
            meta["resourceVersion"] = str(self._version)
            key = (meta.get("namespace", ""), meta["name"])
            kind = "MODIFIED" if key in self._objects[resource] else "ADDED"
            self._objects[resource][key] = json.loads(json.dumps(item))
            self._send(resource, kind, item)

    def delete(self, resource: str, item: Object) -> None:
        meta = item["metadata"]
        with self._lock:
            del self._objects[resource][meta.get("namespace", ""), meta["name"]]
            self._send(resource, "DELETED", item)

    def serve(self, handler: _Handler, path: str, query: dict[str, list[str]]) -> None:
        self.tokens.add(handler.headers.get("Authorization", ""))
        resource = next((name for name in self._objects if f"/{name}" in path), None)
        if resource is None:
            handler.say({"kind": "Status", "code": 404}, 404)
        elif query.get("watch") == ["true"]:
            self._watch(handler, resource)
        elif path.endswith(f"/{resource}"):
            with self._lock:
                items = list(self._objects[resource].values())
                handler.say({"items": items})
        else:
            name = path.rpartition("/")[2]
            found = next((item for (_, known), item in self._objects[resource].items() if known == name), None)
            handler.say(found or {"code": 404}, 200 if found else 404)

    def _watch(self, handler: _Handler, resource: str) -> None:
        changes: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        with self._lock:
            self._watches.append((resource, changes))
        handler.send_response(200)
        handler.end_headers()
        while line := changes.get():
            handler.wfile.write(line)

    def _send(self, resource: str, kind: str, item: Object) -> None:
        line = json.dumps({"type": kind, "object": item}).encode() + b"\n"
        for watched, changes in self._watches:
            if watched == resource:
                changes.put(line)


class MinimalExporter:
    """Says `document`, always in full."""

    def __init__(self, document: Object) -> None:
        self.document = document
        self.url = ""

    @contextlib.contextmanager
    def served(self) -> Iterator["MinimalExporter"]:
        with _serving(self) as port:
            self.url = f"http://127.0.0.1:{port}"
            yield self

    def serve(self, handler: _Handler, path: str, _query: dict[str, list[str]]) -> None:
        handler.say(self.document, 200 if path == "/v1/pulls" else 404)


@contextlib.contextmanager
def _serving(owner: MinimalApi | MinimalExporter) -> Iterator[int]:
    server = _Server(owner)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
