"""The exporter as a user runs it: a process with flags, read over HTTP. What it says is checked at every look."""

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from jsonschema import Draft202012Validator

from pulltrace import wire
from rig.processes import Process
from rig.sanity import check
from rig.scrape import Scrape
from rig.web import Answer, get

COMMAND = (sys.executable, "-m", "pulltrace_exporter")
# A current folder that is a checkout must not get in the way of the package that is installed.
ENVIRONMENT = {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
INTERVAL = 0.05
START_TIMEOUT = 20.0
POLLS = "pulltrace_exporter_poll_duration_seconds_count"
_SCHEMA = Draft202012Validator(dict(wire.schema()))


class RunningExporter:
    """Serves on a port of 127.0.0.1 once made, on a free one unless told. `log` is the file that it writes to."""

    def __init__(self, socket: Path, log: Path, *flags: str, port: int = 0) -> None:
        self.log = log
        self._last: Scrape | None = None
        command = (
            *COMMAND,
            f"--containerd.address={socket}",
            f"--containerd.allow-directory={socket.parent}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.format=json",
            "--log.level=debug",
            *flags,
        )
        self.process = Process(command, log, ENVIRONMENT)
        try:
            self.port = self._wait_for_port()
        except BaseException:
            self.process.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, path: str, **headers: str) -> Answer:
        return get(self.port, path, tls=None, **headers)

    def scrape(self) -> Scrape:
        """Read /metrics; fails when it cannot be true, alone or after the scrape before."""
        answer = self.get("/metrics")
        assert answer.status == 200, answer
        scrape = Scrape.parse(answer.body.decode())
        check(scrape, self._last)
        self._last = scrape
        return scrape

    def pulls(self) -> Any:
        """Read /v1/pulls; fails when it is not what its schema promises."""
        answer = self.get("/v1/pulls")
        assert answer.status == 200, answer
        report = json.loads(answer.body)
        _SCHEMA.validate(report)
        return report

    def wait_until(self, condition: Callable[[Scrape], object], timeout: float = 20) -> Scrape:
        """The first scrape of which the condition is true; fails with the last one after `timeout` seconds."""
        return self.watch(condition, timeout)[-1]

    def watch(self, condition: Callable[[Scrape], object], timeout: float = 20) -> list[Scrape]:
        """All scrapes until the condition is true of one, that one included."""
        deadline = time.monotonic() + timeout
        seen = [self.scrape()]
        while not condition(seen[-1]):
            assert time.monotonic() < deadline, f"it did not happen in {timeout} s: {_digest(seen[-1])}; {self._tail()}"
            time.sleep(INTERVAL)
            seen.append(self.scrape())
        return seen

    def wait_polled(self) -> Scrape:
        """A scrape of what a poll showed that began after this call."""
        # The poll that ends next may have begun before.
        wanted = self.scrape().total(POLLS) + 2
        return self.wait_until(lambda scrape: scrape.total(POLLS) >= wanted)

    def logged(self) -> Iterator[dict[str, Any]]:
        """What it has written so far."""
        for line in self.log.read_text().splitlines():
            if line.startswith("{"):
                yield json.loads(line)

    def close(self) -> None:
        """Ask it to end; fails when it does not obey, or has complained of a fault of its own."""
        if self.process.status is None:
            status = self.process.stop()
            assert status == 0, f"ended with {status}: {self._tail()}"
        assert "Traceback" not in self.log.read_text(), self._tail()

    def kill(self) -> None:
        """End it as a node's crash does."""
        self.process.kill()
        assert self.process.status == -signal.SIGKILL

    def _wait_for_port(self) -> int:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            for line in self.logged():
                if line["msg"] == "serving":
                    return int(line["port"])
            assert self.process.status is None, f"ended with {self.process.status}: {self._tail()}"
            assert time.monotonic() < deadline, f"does not serve: {self._tail()}"
            time.sleep(INTERVAL)

    def _tail(self) -> str:
        return f"log: {self.process.tail()}"


def _digest(scrape: Scrape) -> str:
    pulls = "; ".join(str(pull) for pull in scrape.pulls) or "no pulls"
    return f"{pulls}; ended {scrape.ended}, in progress {scrape.in_progress}, unresolved {scrape.unresolved}"
