"""The fake as a whole: its users, its faults, and which part answers a request."""

import json
import secrets
import shutil
import ssl
import tempfile
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from rig import pki
from rig.closing import Closing
from rig.kubernetes.api import Api, Rule
from rig.kubernetes.fake.faults import Action, Fault, status_body
from rig.kubernetes.fake.proxying import Proxied, discovery, forward, proxied
from rig.kubernetes.fake.reads import page, watch
from rig.kubernetes.fake.request import Asked, Denied, authorize, verb
from rig.kubernetes.fake.resources import place
from rig.kubernetes.fake.server import Handler, Server
from rig.kubernetes.fake.store import Key, Object, Store
from rig.kubernetes.fake.writes import do


class FakeCluster(Closing):
    """What tests do to one they do to a real `ApiServer` in the same words. It is of any version: slices and all.

    `requests` holds all that came, in order. `behind` are the addresses that the proxy leads to, by `services` or
    `pods`, namespace and name.
    """

    def __init__(self) -> None:
        self.store = Store()
        self.requests: list[Asked] = []
        self.behind: dict[tuple[str, str, str], str] = {}
        self._faults: list[Fault] = []
        self._users: dict[str, tuple[str, tuple[Rule, ...]]] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="ptf-"))
        authority = pki.Authority("Pulltrace fake cluster")
        self.ca_file = authority.write(self._folder)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(*authority.issue().write(self._folder, "server"))
        self.admin_token = secrets.token_hex(16)
        self.store.put(Key("namespaces", "", "default"), {"metadata": {"name": "default"}})
        self._server: Server | None = Server(0, self._tls, self._respond)
        self._port = self._server.port
        self.api = Api(self.url, self.ca_file, token=self.admin_token)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    def user(self, rules: Iterable[Rule]) -> str:
        """A bearer token of a new user who may do this and no more."""
        token = secrets.token_hex(16)
        self._users[token] = (f"user-{len(self._users)}", tuple(rules))
        return token

    def allow(self, token: str, rules: Iterable[Rule]) -> None:
        name, before = self._users[token]
        self._users[token] = (name, (*before, *rules))

    def revoke(self, token: str) -> None:
        del self._users[token]

    def fault(self, verb: str, resource: str, action: Action, times: int | None = None) -> Fault:
        """Misbehave on these requests from now on."""
        fault = Fault(verb, resource, action, times)
        self._faults.append(fault)
        return fault

    def asked(self, verb: str, resource: str) -> list[Asked]:
        return [each for each in self.requests if (each.verb, each.where.resource) == (verb, resource)]

    def compact(self) -> None:
        """Forget all revisions but the present one, as etcd does every five minutes."""
        self.store.compact()

    def stop(self) -> None:
        """End it; what it kept is kept."""
        if self._server:
            self._server.close()
            self._server = None

    def start(self) -> None:
        """Start it again where it was unless it runs."""
        self._server = self._server or Server(self._port, self._tls, self._respond)

    def close(self) -> None:
        self.stop()
        self.api.close()
        shutil.rmtree(self._folder)

    def _respond(self, handler: Handler) -> None:
        url = urlsplit(handler.path)
        if url.path == "/readyz":
            handler.answer(200, b"ok")
            return
        body = handler.body()
        try:
            self._serve(handler, url.path, dict(parse_qsl(url.query)), json.loads(body) if body else {})
        except Denied as denied:
            handler.answer(denied.code, status_body(denied.code, str(denied)))

    def _serve(self, handler: Handler, path: str, query: dict[str, str], given: Object) -> None:
        user, rules = self._user(handler.headers.get("Authorization", ""))
        if request := proxied(path):
            self._forward(handler, request, user, rules)
            return
        if found := discovery(path):
            handler.answer(200, json.dumps(found).encode())
            return
        where = place(path)
        if not where:
            handler.answer(404, b"404 page not found\n", {"Content-Type": "text/plain"})
            return
        asked = Asked(verb(handler.command, where, query), where, query)
        self.requests.append(asked)
        authorize(user, rules, asked)
        fault = next((each for each in self._faults if each.applies(asked.verb, where.resource)), None)
        if fault:
            fault.action(handler, fault)
        elif asked.verb == "watch":
            watch(self.store, handler, asked)
        else:
            answer = page(self.store, asked) if asked.verb == "list" else do(self.store, asked, given)
            handler.answer(201 if asked.verb == "create" else 200, json.dumps(answer).encode())

    def _forward(self, handler: Handler, request: Proxied, user: str, rules: tuple[Rule, ...] | None) -> None:
        self.requests.append(request.asked)
        authorize(user, rules, request.asked)
        url = self.behind.get(request.target)
        if url is None:
            resource, _, name = request.target
            raise Denied(404, f'{resource} "{name}" not found')
        forward(handler, request, url, urlsplit(handler.path).query)

    def _user(self, header: str) -> tuple[str, tuple[Rule, ...] | None]:
        if not header:
            return "system:anonymous", ()
        kind, _, token = header.partition(" ")
        if kind.lower() == "bearer" and token == self.admin_token:
            return "admin", None
        if kind.lower() != "bearer" or token not in self._users:
            raise Denied(401)
        return self._users[token]
