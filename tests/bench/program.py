"""The exporter as it is installed, with default flags but for where it listens, what it reads and how it logs."""

import tempfile
import time
from pathlib import Path

from rig.running import EXPORTER, Running
from rig.scrape import Scrape
from rig.web import Client

_SETTLE_SECONDS = 3.0


class Program(Running):
    def __init__(self, socket: Path, *flags: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ptb-", dir="/tmp")
        reads = (f"--containerd.address={socket}", f"--containerd.allow-directory={socket.parent}")
        super().__init__(EXPORTER, Path(self._folder.name) / "log", *reads, *flags, level="info")

    def close(self) -> None:
        super().close()
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        return self.process.pid

    def settle(self) -> None:
        """Let what comes with the start be over."""
        time.sleep(_SETTLE_SECONDS)

    def client(self) -> Client:
        """A connection to it that stays, as Prometheus keeps one."""
        return Client(self.port)

    def scrape(self, encoding: str = "identity") -> bytes:
        return self.get("/metrics", accept_encoding=encoding).body

    def total(self, metric: str, **labels: str) -> float:
        """The sum of all samples of a metric, or of those with these labels."""
        return Scrape.parse(self.scrape().decode()).total(metric, **labels)
