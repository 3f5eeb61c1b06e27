"""The exporter as a user runs it. What it says is checked at every look."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from pulltrace.model import wire
from rig.images import Image
from rig.invariants import check, check_whole
from rig.running import EXPORTER, INTERVAL, Running
from rig.scrape import Scrape

POLLS = "pulltrace_exporter_poll_duration_seconds_count"
_SCHEMA = Draft202012Validator(dict(wire.schema()))


class RunningExporter(Running):
    """Serves on a port of 127.0.0.1 once made, on a free one unless told. `log` is the file that it writes to.

    Layers have series from the start: most pulls of tests are over before the default age.
    """

    def __init__(self, socket: Path, log: Path, *flags: str, port: int = 0, stdout: int | None = None) -> None:
        self._last: Scrape | None = None
        reads = (f"--containerd.address={socket}", f"--containerd.allow-directory={socket.parent}")
        super().__init__(EXPORTER, log, *reads, "--layer.min-age=0s", *flags, port=port, stdout=stdout)

    def scrape(self) -> Scrape:
        """Read /metrics; fails when it cannot be true, alone or after the scrape before."""
        scrape = Scrape.parse(self.read("/metrics"))
        check(scrape, self._last)
        self._last = scrape
        return scrape

    def pulls(self) -> Any:
        """Read /v1/pulls; fails when it is not what its schema promises."""
        report = json.loads(self.read("/v1/pulls"))
        _SCHEMA.validate(report)
        return report

    def wait_until(self, condition: Callable[[Scrape], object], timeout: float = 60) -> Scrape:
        """The first scrape of which the condition is true; fails with the last one after `timeout` seconds."""
        return self.watch(condition, timeout)[-1]

    def wait_whole(self, image: Image, *, cached: int | None = 0, timeout: float = 60) -> Scrape:
        """The first scrape after the image's pull ended well; fails unless it shows the whole image.

        So many bytes of it were there before; None is however many.
        """
        scrape = self.wait_until(lambda scrape: scrape.phase(image) == "succeeded", timeout)
        pull = scrape.pull(image)
        check_whole(pull, image, cached=int(pull.cached or 0) if cached is None else cached)
        return scrape

    def watch(self, condition: Callable[[Scrape], object], timeout: float = 60) -> list[Scrape]:
        """All scrapes until the condition is true of one, that one included."""
        deadline = time.monotonic() + timeout
        seen = [self.scrape()]
        while not condition(seen[-1]):
            assert time.monotonic() < deadline, f"it did not happen in {timeout} s: {_digest(seen[-1])}; {self.tail()}"
            time.sleep(INTERVAL)
            seen.append(self.scrape())
        return seen

    def wait_polled(self) -> Scrape:
        """A scrape of what a poll showed that began after this call."""
        # The poll that ends next may have begun before.
        wanted = self.scrape().total(POLLS) + 2
        return self.wait_until(lambda scrape: scrape.total(POLLS) >= wanted)

    def kill(self) -> None:
        super().kill()
        assert self.process.status == -signal.SIGKILL


def _digest(scrape: Scrape) -> str:
    pulls = "; ".join(str(pull) for pull in scrape.pulls) or "no pulls"
    return f"{pulls}; ended {scrape.ended}, in progress {scrape.in_progress}, unresolved {scrape.unresolved}"
