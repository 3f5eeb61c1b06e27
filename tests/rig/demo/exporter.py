"""The exporter as a user starts it: a process of its own, known by its flags and its web pages only."""

import json
import socket
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from rig.processes import CommandFailed, Process

READY_TIMEOUT = 20.0
ANSWER_TIMEOUT = 2.0
LINGER = "25s"


class Exporter:
    """One that reads the daemon behind `daemon_socket`."""

    def __init__(self, daemon_socket: Path, folder: Path) -> None:
        address = f"127.0.0.1:{_free_port()}"
        self.url = f"http://{address}"
        self._process = Process(
            [
                sys.executable,
                "-m",
                "pulltrace_exporter",
                f"--containerd.address={daemon_socket}",
                f"--containerd.allow-directory={daemon_socket.parent}",
                f"--web.listen-address={address}",
                f"--pull.linger={LINGER}",
                "--node.name=demo",
            ],
            folder / "exporter.log",
        )

    def wait_ready(self) -> None:
        """Return when it answers; raises CommandFailed with what it wrote."""
        deadline = time.monotonic() + READY_TIMEOUT
        while not self._answers():
            if self._process.status is not None or time.monotonic() > deadline:
                raise CommandFailed(f"the exporter does not answer: {self._process.tail()}")
            time.sleep(0.05)

    def report(self) -> dict[str, Any] | None:
        """What it says of the node's pulls; None when there is no answer. Raises CommandFailed when it has ended."""
        if self._process.status is not None:
            raise CommandFailed(f"the exporter ended with status {self._process.status}: {self._process.tail()}")
        try:
            with urllib.request.urlopen(f"{self.url}/v1/pulls", timeout=ANSWER_TIMEOUT) as answer:
                report: dict[str, Any] = json.load(answer)
        except (OSError, ValueError):
            return None
        return report

    def close(self) -> None:
        """End it; returns when it is gone."""
        try:
            self._process.stop()
        except CommandFailed:
            self._process.kill()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=ANSWER_TIMEOUT):
                return True
        except (urllib.error.URLError, OSError):
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
