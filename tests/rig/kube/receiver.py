"""Takes what Alertmanager sends to a webhook."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from rig.closing import Closing


class Receiver(Closing):
    """Listens on a free port of an address until it is closed."""

    def __init__(self, address: str) -> None:
        self.alerts: list[dict[str, Any]] = []
        """As they came, the repeated and the resolved ones, too."""
        self._server = _Server((address, 0), _Handler)
        self._server.alerts = self.alerts
        self.url = f"http://{address}:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="receiver")
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    alerts: list[dict[str, Any]]


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """The list says it."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        cast(_Server, self.server).alerts.extend(body["alerts"])
        self.send_response(200)
        self.end_headers()
