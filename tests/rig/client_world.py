"""A cluster for the client: a fake API server with what the chart installs, and programs behind its proxy."""

import http.server
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rig import fake_kubectl
from rig.kubernetes import objects
from rig.kubernetes.api import Rule, kubeconfig
from rig.kubernetes.fake import FakeCluster

NAMESPACE = "pulltrace"
SERVICE = "pulltrace-aggregator"
PORTS = {"aggregator": 10302, "exporter": 10301}
PORT = PORTS["aggregator"]
LABELS = {
    "app.kubernetes.io/name": "pulltrace",
    "app.kubernetes.io/instance": "pulltrace",
    "app.kubernetes.io/part-of": "pulltrace",
}
READ = ("get", "list")
VIEWER = (
    Rule(READ, "pods"),
    Rule(READ, "services"),
    Rule(READ, "deployments", "apps"),
    Rule(("get",), "services/proxy"),
    Rule(("get",), "pods/proxy"),
)
Document = dict[str, Any]


class World:
    """Namespaces `shop` and `pulltrace`, an aggregator of some shards, and exporters where they are put."""

    def __init__(self, folder: Path, program: str) -> None:
        self.folder = folder
        self.cluster = FakeCluster()
        self._servers: list[Answering] = []
        self.bin = folder / "bin"
        self.bin.mkdir()
        if program:
            (self.bin / "kubectl").symlink_to(program)
        else:
            fake_kubectl.install(self.bin)
        self.config = folder / "kubeconfig"
        self.log_in(self.cluster.admin_token)
        for name in ("shop", NAMESPACE):
            self.cluster.api.create(objects.namespace(name))

    def log_in(self, token: str) -> None:
        """Use the cluster as this user, in the namespace `shop`."""
        self.config.write_text(kubeconfig(self.cluster.url, self.cluster.ca_file, token=token, namespace="shop"))

    def aggregator(self, *shards: "Answering", secure: bool = False, ready: bool = True) -> None:
        """What the chart installs: a Service, and a pod for each shard."""
        install_service(self.cluster, shards[0].url if len(shards) == 1 else "")
        for number, shard in enumerate(shards):
            self._servers.append(shard)
            install_pod(self.cluster, f"{SERVICE}-{number}", "aggregator", shard.url, secure=secure, ready=ready)

    def exporter(self, node: str, program: "Answering") -> None:
        """The exporter's pod on a node."""
        self._servers.append(program)
        install_pod(self.cluster, f"pulltrace-exporter-{node}", "exporter", program.url, node=node)

    def client(self, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run the client to its end."""
        return run_client(*words, **self.environment(**environment))

    def environment(self, **more: str) -> dict[str, str]:
        """The environment in which the client finds this kubectl and this cluster."""
        path = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "KUBECONFIG": str(self.config), "PYTHONUTF8": "1", **more}

    def asked(self, resource: str) -> list[str]:
        """The names of what was asked for of a resource."""
        return [each.where.name for each in self.cluster.requests if each.where.resource == resource]

    def close(self) -> None:
        for server in self._servers:
            server.close()
        self.cluster.close()


def install_service(cluster: FakeCluster, url: str) -> None:
    """The aggregator's; `url` is what answers behind the proxy to it, if anything does."""
    labels = {**LABELS, "app.kubernetes.io/component": "aggregator"}
    spec = {"clusterIP": "None", "selector": labels, "ports": [{"name": "metrics", "port": PORT}]}
    cluster.api.create(objects.item("Service", SERVICE, NAMESPACE, labels=labels, spec=spec))
    if url:
        cluster.behind["services", NAMESPACE, SERVICE] = url


def install_pod(
    cluster: FakeCluster, name: str, component: str, url: str, *, node: str = "node-0", secure: bool = False,
    ready: bool = True,
) -> None:  # fmt: skip
    """One of a program, and what answers behind the proxy to it."""
    probe = {"httpGet": {"path": "/-/ready", "port": "metrics", **({"scheme": "HTTPS"} if secure else {})}}
    ports = [{"name": "metrics", "containerPort": PORTS[component]}]
    item = objects.pod(NAMESPACE, name, objects.container(ports=ports, readinessProbe=probe), node=node)
    item["metadata"]["labels"] = {**LABELS, "app.kubernetes.io/component": component}
    made = cluster.api.create(item)
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    cluster.api.set_status(made, phase="Running", conditions=[condition])
    cluster.behind["pods", NAMESPACE, name] = url


def run_client(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the client to its end, anywhere."""
    command = [sys.executable, "-m", "pulltrace_kubectl", *words]
    env = {**os.environ, "PYTHONUTF8": "1", **environment}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


class Answering:
    """A program that gives one answer at `/v1/pulls`, on a free port; with `tls` it serves TLS."""

    def __init__(self, document: Document | str, status: int = 200, tls: ssl.SSLContext | None = None) -> None:
        self.document = document
        self.status = status
        self.unready = ""
        self.queries: list[str] = []
        self.authorizations: list[str] = []
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.queries.append(self.path.partition("?")[2])
                owner.authorizations.append(self.headers.get("Authorization", ""))
                given = owner.document
                status = owner.status
                if self.path == "/-/ready":
                    given, status = owner.unready or "ready", 503 if owner.unready else 200
                body = given.encode() if isinstance(given, str) else encoded(given)
                self.send_response(status)
                self.send_header("Content-Type", "text/plain" if isinstance(given, str) else "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """The lists tell it."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] # a client that speaks no TLS
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def aggregator(pods: Sequence[Document] = (), pulls: Sequence[Document] = (), nodes: Iterable[str] = ()) -> Document:
    return {
        "schema": "pulltrace/v1",
        "version": "0.1.0",
        "pods": list(pods),
        "pulls": list(pulls),
        "nodes": [{"node": node, "state": "ok"} for node in nodes],
    }


def exporter(node: str, *pulls: Document) -> Document:
    up = {"up": True, "version": "2.1.9"}
    return {"schema": "pulltrace/v1", "node": node, "nodeNow": 1.0, "containerd": up, "pulls": list(pulls)}


def wait(pod: str, phase: str = "downloading", **more: Any) -> Document:
    """An image that a pod waits for; None leaves a field out."""
    row = {
        "namespace": "shop",
        "pod": pod,
        "uid": f"uid-of-{pod}",
        "container": "main",
        "containerType": "container",
        "node": "node-1",
        "image": f"registry.example/shop/{pod}:1.2",
        "phase": phase,
        "waitingSeconds": 60.0,
        "match": "exact",
        "blockedBy": "progressing",
        **more,
    }
    return {key: value for key, value in row.items() if value is not None}


def pull(name: str, **more: Any) -> Document:
    """A pull of a node; None leaves a field out."""
    row = {
        "registry": "registry.example",
        "repository": f"shop/{name}",
        "digest": f"sha256:{name:0<64}",
        "references": [f"registry.example/shop/{name}:1.2"],
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "phase": "downloading",
        "requests": 1,
        "sizeBytes": 400_000_000,
        "cachedBytes": 0,
        "downloadedBytes": 100_000_000,
        "unpackedBytes": 0,
        "bytesPerSecond": 25e6,
        "etaSeconds": 12.0,
        "ageSeconds": 30.0,
        "lastProgressAgeSeconds": 0.4,
        **more,
    }
    return {key: value for key, value in row.items() if value is not None}


def encoded(document: Document) -> bytes:
    return json.dumps(document).encode()


@contextmanager
def world(folder: Path, program: str = "") -> Iterator[World]:
    """One, ended afterwards. `program` is the kubectl to use, the fake one if empty."""
    made = World(folder, program)
    try:
        yield made
    finally:
        made.close()
