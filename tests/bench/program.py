"""The exporter as it is installed, with default flags but for where it listens and what it reads."""

import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

from rig.processes import Process
from rig.web import Answer, Client, get

_SERVING = re.compile(r"\bmsg=serving\b.*\bport=(\d+)")
_START_TIMEOUT = 20.0
_INTERVAL = 0.02
_SETTLE_SECONDS = 3.0


class Program:
    """A running exporter, for the time of a `with` block."""

    def __init__(self, socket: Path, *flags: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ptb-", dir="/tmp")
        self._log = Path(self._folder.name) / "log"
        command = (
            *(sys.executable, "-m", "pulltrace_exporter"),
            f"--containerd.address={socket}",
            f"--containerd.allow-directory={socket.parent}",
            "--web.listen-address=127.0.0.1:0",
            *flags,
        )
        self._process = Process(command, self._log, {"PYTHONSAFEPATH": "1"})

    def __enter__(self) -> Self:
        try:
            self.port = self._wait_for_port()
        except BaseException:
            self._process.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        return self._process.pid

    def settle(self) -> None:
        """Let what comes with the start be over."""
        time.sleep(_SETTLE_SECONDS)

    def client(self) -> Client:
        """A connection to it that stays, as Prometheus keeps one."""
        return Client(self.port)

    def scrape(self, encoding: str = "identity") -> Answer:
        """The answer to one scrape on a connection of its own."""
        return get(self.port, "/metrics", accept_encoding=encoding)

    def total(self, metric: str, label: str = "") -> float:
        """The sum of all samples of a metric, or of those with a label, `name="value"`."""
        lines = self.scrape().body.decode().splitlines()
        own = (line for line in lines if re.match(rf"{metric}(\{{| )", line) and label in line)
        return sum(float(line.rpartition(" ")[2]) for line in own)

    def _wait_for_port(self) -> int:
        found = self._process.wait_for(lambda: _SERVING.search(self._log.read_text()), "does not serve", _START_TIMEOUT)
        assert found
        return int(found[1])
