"""A real kube-apiserver with an etcd, in one folder which goes when it is closed."""

import json
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from pathlib import Path

import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rig import pki
from rig.closing import Closing
from rig.fake_exporters import free_port
from rig.kube import build, parts
from rig.kubernetes import objects
from rig.kubernetes.api import Api, Rule
from rig.processes import Process

KUBERNETES = parts.KUBERNETES["1.37"]
USERS = 1000
"""Tokens are read once at the start, so there are as many users from the beginning."""
GROUP = "rig:users"
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "userGroups": [GROUP]}, {"level": "None"}],
}
START_TIMEOUT = 90.0


class ClusterFailed(Exception):
    """A daemon did not start or stop; the text holds the end of its log."""


class RealCluster(Closing):
    """Implements `rig.kubernetes.api.KubernetesCluster`. Nothing runs pods in it unless a kubelet joins."""

    def __init__(self) -> None:
        self._etcd_program = build.built(parts.ETCD) / "etcd"
        self._programs = build.built(KUBERNETES)
        self._closing = ExitStack()
        self._server: Process | None = None
        self._port, self._etcd_port = free_port(), free_port()
        try:
            self._prepare()
            self._start_etcd()
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The API server's URL."""
        if not self._server:
            raise ClusterFailed("the API server does not run")
        return self._server.pid

    def user(self, rules: Iterable[Rule]) -> str:
        token = self._unused.pop()
        self.allow(token, rules)
        return token

    def allow(self, token: str, rules: Iterable[Rule]) -> None:
        given = tuple(rules)
        for item in objects.roles(self._users[token], given):
            self.api.create(item)
        with closing(Api(self.url, token, self.ca_file)) as user:
            # The server learns of its own roles by a watch, a moment later.
            self._wait_for(lambda: all(user.may(rule) for rule in given))

    def asked(self, token: str) -> set[tuple[str, str]]:
        """What a user has asked for, granted or not: verbs and resources. What the rig asks in its name is left out."""
        lines = (self.folder / "audit.log").read_text().splitlines()
        events = [event for event in map(json.loads, lines) if event["user"]["username"] == self._users[token]]
        asked = [event for event in events if not event.get("userAgent", "").startswith("python-requests")]
        return {(event["verb"], event.get("objectRef", {}).get("resource", event["requestURI"])) for event in asked}

    def compact(self) -> None:
        revision = self._etcd_call("kv/range", {"key": "AA=="})["header"]["revision"]
        self._etcd_call("kv/compaction", {"revision": revision, "physical": True})

    def stop(self) -> None:
        # Asked politely it would wait for the watches to end.
        if self._server:
            self._server.kill()
            self._server = None

    def start(self) -> None:
        if self._server:
            return
        server = Process([self._programs / "kube-apiserver", *self._server_flags()], self._log("kube-apiserver"))
        self._server = server
        self._wait_for(self.api.answers)
        # What namespaced objects need; it is made a moment after the server is ready.
        self._wait_for(lambda: self.api.get("/api/v1/namespaces", fieldSelector="metadata.name=default")["items"])

    def close(self) -> None:
        self._closing.close()

    def _prepare(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ptk-", dir="/tmp"))
        self._closing.callback(shutil.rmtree, self.folder)
        authority = pki.Authority("Pulltrace test cluster")
        self.ca_file = authority.write(self.folder)
        authority.issue().write(self.folder, "server")
        (self.folder / "accounts.key").write_bytes(_signing_key())
        admin = secrets.token_hex(16)
        self._users = {secrets.token_hex(16): f"user-{number}" for number in range(USERS)}
        self._unused = list(self._users)
        lines = [f'{admin},admin,admin,"system:masters"']
        lines += [f'{token},{name},{name},"{GROUP}"' for token, name in self._users.items()]
        (self.folder / "tokens.csv").write_text("\n".join(lines) + "\n")
        (self.folder / "audit.json").write_text(json.dumps(AUDIT_POLICY))
        self.admin_token = admin
        self.api = Api(self.url, admin, self.ca_file)
        self._closing.callback(self.api.close)
        self._closing.callback(self.stop)

    def _start_etcd(self) -> None:
        clients, peers = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{free_port()}"
        self._etcd = Process(
            [
                self._etcd_program,
                f"--data-dir={self.folder / 'etcd'}",
                f"--listen-client-urls={clients}",
                f"--advertise-client-urls={clients}",
                f"--listen-peer-urls={peers}",
                f"--initial-advertise-peer-urls={peers}",
                f"--initial-cluster=default={peers}",
            ],
            self._log("etcd"),
        )
        self._closing.callback(self._etcd.kill)
        self._etcd.wait_for(self._etcd_answers, "does not answer", START_TIMEOUT, ClusterFailed)

    def _server_flags(self) -> list[str]:
        return [
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--tls-cert-file={self.folder / 'server.crt'}",
            f"--tls-private-key-file={self.folder / 'server.key'}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={self.folder / 'accounts.key'}",
            f"--service-account-key-file={self.folder / 'accounts.key'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--endpoint-reconciler-type=none",
            "--allow-privileged",
            f"--audit-policy-file={self.folder / 'audit.json'}",
            f"--audit-log-path={self.folder / 'audit.log'}",
        ]

    def _etcd_answers(self) -> bool:
        try:
            self._etcd_call("maintenance/status", {})
        except requests.RequestException:
            return False
        return True

    def _etcd_call(self, method: str, body: dict[str, object]) -> dict[str, dict[str, str]]:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.post(f"http://127.0.0.1:{self._etcd_port}/v3/{method}", json=body, timeout=10)
            answer.raise_for_status()
            result: dict[str, dict[str, str]] = answer.json()
            return result

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _wait_for(self, condition: Callable[[], object]) -> None:
        if self._server:
            self._server.wait_for(condition, "does not answer", START_TIMEOUT, ClusterFailed)


def reason_missing() -> str:
    """Why there can be none here; empty where there can. Builds nothing: that takes longer than a test may."""
    try:
        for part in (parts.ETCD, KUBERNETES):
            build.built(part)
    except build.BuildUnavailable as error:
        return str(error)
    return ""


def _signing_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
