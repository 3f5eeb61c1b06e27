"""Scrapes over HTTP with gzip, and how late whatever else the program does is meanwhile."""

import threading
import time
from dataclasses import dataclass, field
from statistics import median

from rig.web import Client

GAP_SECONDS = 0.005
"""Between two questions while a scrape is under way."""


@dataclass(slots=True)
class Scrapes:
    """Milliseconds that each took, and the longest wait for `/-/healthy` during each.

    That answer costs nothing but turns: of the event loop, and of a thread of its own.
    """

    times: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Of the times."""
        return median(self.times)

    @property
    def worst(self) -> float:
        """Of the times."""
        return max(self.times)

    @property
    def latest(self) -> float:
        """The worst wait of all."""
        return max(self.late)

    def add(self, port: int) -> None:
        """Make one more."""
        with Client(port, timeout=60) as scraping, Client(port, timeout=60) as asking:
            _milliseconds(asking)
            thread = threading.Thread(target=lambda: self.times.append(_milliseconds(scraping, "/metrics")))
            thread.start()
            waits = [0.0]
            while thread.is_alive():
                waits.append(_milliseconds(asking))
                thread.join(GAP_SECONDS)
            self.late.append(max(waits))


def _milliseconds(client: Client, path: str = "/-/healthy") -> float:
    began = time.monotonic()
    assert client.get(path, accept_encoding="gzip").status == 200
    return 1000 * (time.monotonic() - began)
