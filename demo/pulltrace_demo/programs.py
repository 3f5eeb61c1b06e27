"""Exporter and aggregator as a user starts them: processes of their own, known by their flags and web pages only."""

import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from rig.processes import CommandFailed, Process, free_port

READY_TIMEOUT = 30.0
ANSWER_TIMEOUT = 2.0
LINGER = "25s"


class Program:
    """A running exporter or aggregator."""

    def __init__(self, name: str, folder: Path, module: str, flags: Sequence[str]) -> None:
        self.name = name
        address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{address}"
        command = [sys.executable, "-m", module, f"--web.listen-address={address}", *flags]
        self._process = Process(command, folder / f"{name}.log")

    def wait_ready(self) -> None:
        """Return when it is ready; raises CommandFailed with what it wrote."""
        deadline = time.monotonic() + READY_TIMEOUT
        while not self._answers():
            if self._process.status is not None or time.monotonic() > deadline:
                raise CommandFailed(f"the {self.name} does not answer: {self._process.tail()}")
            time.sleep(0.05)

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


def exporter(daemon_socket: Path, folder: Path, node: str = "demo") -> Program:
    """An exporter that reads the daemon behind `daemon_socket`."""
    flags = (
        f"--containerd.address={daemon_socket}",
        f"--containerd.allow-directory={daemon_socket.parent}",
        f"--pull.linger={LINGER}",
        f"--node.name={node}",
    )
    return Program("exporter" if node == "demo" else f"exporter of {node}", folder, "pulltrace_exporter", flags)


def aggregator(kubeconfig: Path, folder: Path, exporters: dict[str, Program]) -> Program:
    """An aggregator that reads these exporters. Its times are short, so that a demo shows soon what goes wrong."""
    flags = (
        f"--kubeconfig={kubeconfig}",
        *(f"--exporter.target={node}={program.url}" for node, program in exporters.items()),
        "--exporter.interval=500ms",
        "--stale.no-progress=5s",
        "--stale.resolving=4s",
        "--pod.linger=10s",
    )
    return Program("aggregator", folder, "pulltrace_aggregator", flags)
