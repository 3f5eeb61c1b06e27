"""A real Alertmanager on loopback, and a receiver that keeps what it is told."""

import json
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, cast

import yaml

from pulltrace.units import parse_duration
from rig import needs
from rig.closing import Closing
from rig.debian import ALERTMANAGER
from rig.processes import Process, free_port
from rig.prometheus import Daemon
from rig.threaded_server import ThreadedServer

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Notification:
    """One alert of one message: to whom, whether it fires or is resolved, and what it says."""

    receiver: str
    status: str
    labels: Labels
    annotations: Labels

    @property
    def name(self) -> str:
        return self.labels["alertname"]


@dataclass(frozen=True, slots=True)
class Message:
    """What a receiver gets at once."""

    receiver: str
    alerts: tuple[Notification, ...]


class Webhook(Closing):
    """Receives messages on a free port of an address."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.messages: list[Message] = []
        self.listeners: list[Callable[[Message], None]] = []
        self._changed = threading.Condition()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()
                hook._keep(json.loads(body))

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadedServer(Handler, address=address)
        self.url = f"http://{address}:{self._server.port}"

    @property
    def notifications(self) -> list[Notification]:
        with self._changed:
            return [alert for message in self.messages for alert in message.alerts]

    def wait(self, condition: Callable[[list[Notification]], object], timeout: float = 60) -> list[Notification]:
        """All alerts as soon as the condition is true of them; fails with them after `timeout` seconds."""
        with self._changed:
            happened = self._changed.wait_for(lambda: condition(self.notifications), timeout)
        assert happened, f"not told in {timeout} s; told: {[(one.name, one.status) for one in self.notifications]}"
        return self.notifications

    def forget(self) -> None:
        with self._changed:
            self.messages.clear()

    def close(self) -> None:
        self._server.close()

    def _keep(self, body: dict[str, Any]) -> None:
        receiver = body["receiver"]
        alerts = tuple(
            Notification(receiver, one["status"], one["labels"], one["annotations"]) for one in body["alerts"]
        )
        message = Message(receiver, alerts)
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()
        for listener in self.listeners:
            listener(message)


class Alertmanager(Daemon):
    """A running one. Made by `alertmanager`."""

    def post(self, alerts: Iterable[Labels]) -> None:
        """Fire these alerts, as Prometheus does."""
        body = [{"labels": labels, "annotations": {"summary": labels["alertname"]}} for labels in alerts]
        self._http.post(f"{self.url}/api/v2/alerts", json=body, timeout=30).raise_for_status()

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that it knows, silenced and inhibited ones too."""
        return cast(list[dict[str, Any]], self._http.get(f"{self.url}/api/v2/alerts", timeout=30).json())

    def inhibited(self) -> set[str]:
        return {one["labels"]["alertname"] for one in self.alerts() if one["status"]["inhibitedBy"]}


@contextmanager
def alertmanager(config: str) -> Iterator[Alertmanager]:
    program = needs.program(ALERTMANAGER)
    with tempfile.TemporaryDirectory(prefix="alertmanager-") as name:
        folder, port = Path(name), free_port()
        (folder / "alertmanager.yml").write_text(config)
        command: list[str | Path] = [
            *_with_templates(program),
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]
        running = Alertmanager(f"http://127.0.0.1:{port}", Process(command, folder / "log"))
        try:
            running.wait_ready()
            yield running
        finally:
            running.stop()


def _with_templates(program: Path) -> list[str | Path]:
    """Debian's reads its templates from /usr/share: for this process alone that is the package's own folder."""
    share = program.parents[1] / "share"
    return ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /usr/share && exec "$@"', share, program]


def scaled(config: Path, hook: str, scale: float) -> str:
    """The configuration with all times divided, and with the receivers behind this address."""
    loaded = yaml.safe_load(config.read_text())
    _shorten(loaded["route"], scale)
    for receiver in loaded["receivers"]:
        receiver["webhook_configs"] = [{"url": f"{hook}/{receiver['name']}", "send_resolved": True}]
    return yaml.safe_dump(loaded)


def _shorten(route: dict[str, Any], scale: float) -> None:
    for key in ("group_wait", "group_interval", "repeat_interval"):
        if key in route:
            route[key] = f"{max(1, round(1000 * parse_duration(route[key]) / scale))}ms"
    for child in route.get("routes", ()):
        _shorten(child, scale)
