"""The aggregator as a user runs it: a process with flags, read over HTTP. What it says is checked at every look."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from jsonschema import Draft202012Validator

from pulltrace_aggregator import wire
from rig.processes import Process
from rig.web import Answer, get

COMMAND = (sys.executable, "-m", "pulltrace_aggregator")
# A current folder that is a checkout must not get in the way of the package that is installed.
ENVIRONMENT = {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
INTERVAL = 0.05
START_TIMEOUT = 30.0
_SCHEMA = Draft202012Validator(dict(wire.schema()))

Document = dict[str, Any]


class RunningAggregator:
    """Serves on a free port of 127.0.0.1 once made. `log` is the file that it writes to."""

    def __init__(
        self, log: Path, *flags: str, environment: Mapping[str, str] | None = None, level: str = "debug"
    ) -> None:
        self.log = log
        usual = ("--web.listen-address=127.0.0.1:0", "--log.format=json", f"--log.level={level}")
        command = (*COMMAND, *usual, *flags)
        self.process = Process(command, log, {**ENVIRONMENT, **(environment or {})})
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

    def view(self, query: str = "") -> Document:
        """Read /v1/pulls; fails when it is not what its schema promises."""
        answer = self.get("/v1/pulls" + (f"?{query}" if query else ""))
        assert answer.status == 200, answer
        document: Document = json.loads(answer.body)
        _SCHEMA.validate(document)
        return document

    def metrics(self) -> str:
        answer = self.get("/metrics")
        assert answer.status == 200, answer
        return answer.body.decode()

    def wait(self, condition: Callable[[Document], object], timeout: float = 20, query: str = "") -> Document:
        """The first view of which the condition is true; fails with the last one after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not condition(view := self.view(query)):
            assert time.monotonic() < deadline, f"it did not happen in {timeout} s: {view}; {self._tail()}"
            time.sleep(INTERVAL)
        return view

    def wait_ready(self, timeout: float = 20) -> None:
        deadline = time.monotonic() + timeout
        while (answer := self.get("/-/ready")).status != 200:
            assert time.monotonic() < deadline, f"not ready: {answer.body!r}; {self._tail()}"
            time.sleep(INTERVAL)

    def logged(self) -> Iterator[Document]:
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
