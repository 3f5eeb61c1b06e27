"""A real kube-apiserver with an etcd, in one folder which goes when it is closed."""

import json
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import requests

from rig import pki
from rig.closing import Started
from rig.go_programs import build, parts
from rig.kubernetes import objects
from rig.kubernetes.api import Api, Rule, http_session
from rig.kubernetes.real.daemons import ClusterFailed, api_server_flags, etcd_flags
from rig.processes import Process, free_port

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


class ApiServer(Started):
    """What it does `FakeCluster` does as well. Nothing runs pods in it unless a kubelet joins."""

    def __init__(self) -> None:
        self._etcd_program = build.built(parts.ETCD) / "etcd"
        self._programs = build.built(KUBERNETES)
        self._server: Process | None = None
        self._port = free_port()
        self._etcd_url = f"http://127.0.0.1:{free_port()}"
        super().__init__()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
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
        with closing(Api(self.url, self.ca_file, token=token)) as user:
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

    def _start(self) -> None:
        self._prepare()
        self._start_etcd()
        self.start()

    def _prepare(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ptk-", dir="/tmp"))
        self._closing.callback(shutil.rmtree, self.folder)
        authority = pki.Authority("Pulltrace test cluster")
        self.ca_file = authority.write(self.folder)
        self._served = authority.issue().write(self.folder, "server")
        (self.folder / "accounts.key").write_bytes(pki.signing_key())
        admin = secrets.token_hex(16)
        self._users = {secrets.token_hex(16): f"user-{number}" for number in range(USERS)}
        self._unused = list(self._users)
        lines = [f'{admin},admin,admin,"system:masters"']
        lines += [f'{token},{name},{name},"{GROUP}"' for token, name in self._users.items()]
        (self.folder / "tokens.csv").write_text("\n".join(lines) + "\n")
        (self.folder / "audit.json").write_text(json.dumps(AUDIT_POLICY))
        self.admin_token = admin
        self.api = Api(self.url, self.ca_file, token=admin)
        self._closing.callback(self.api.close)
        self._closing.callback(self.stop)

    def _start_etcd(self) -> None:
        given = etcd_flags(self.folder / "etcd", self._etcd_url, f"http://127.0.0.1:{free_port()}")
        self._etcd = Process([self._etcd_program, *given], self._log("etcd"))
        self._closing.callback(self._etcd.kill)
        self._etcd.wait_for(self._etcd_answers, "does not answer", START_TIMEOUT, ClusterFailed)

    def _server_flags(self) -> list[str]:
        return api_server_flags(
            self._etcd_url,
            "127.0.0.1",
            self._port,
            self._served,
            self.folder / "accounts.key",
            advertise_address="127.0.0.1",
            service_cluster_ip_range="10.0.0.0/24",
            token_auth_file=self.folder / "tokens.csv",
            authorization_mode="RBAC",
            disable_admission_plugins="ServiceAccount",
            endpoint_reconciler_type="none",
            audit_policy_file=self.folder / "audit.json",
            audit_log_path=self.folder / "audit.log",
        )

    def _etcd_answers(self) -> bool:
        try:
            self._etcd_call("maintenance/status", {})
        except requests.RequestException:
            return False
        return True

    def _etcd_call(self, method: str, body: dict[str, object]) -> dict[str, dict[str, str]]:
        with http_session() as session:
            answer = session.post(f"{self._etcd_url}/v3/{method}", json=body, timeout=10)
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
    return build.reason_missing(parts.ETCD, KUBERNETES)
