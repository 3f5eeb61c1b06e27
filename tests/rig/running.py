"""A program of the project as a user runs it: a process with flags, read over HTTP."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rig.closing import Closing
from rig.processes import Process
from rig.web import Answer, get

INTERVAL = 0.05
START_TIMEOUT = 90.0
# A current folder that is a checkout must not get in the way of the package that is installed. What a program that
# crashes, or does not end, was doing is in its log.
ENVIRONMENT = {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}
EXPORTER = (sys.executable, "-m", "pulltrace_exporter")
AGGREGATOR = (sys.executable, "-m", "pulltrace_aggregator")


def run_to_end(command: Sequence[str], *flags: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a program with flags that it answers, or refuses, at once."""
    environment = {**os.environ, **ENVIRONMENT, "KUBECONFIG": "", "HOME": "/nonexistent", **environ}
    return subprocess.run([*command, *flags], env=environment, capture_output=True, text=True, timeout=90, check=False)


def assert_refused(answer: subprocess.CompletedProcess[str], program: str, wrong: Sequence[str]) -> None:
    """The program refused its configuration, with one line for each of these and no others."""
    assert (answer.returncode, answer.stdout) == (2, "")
    lines = answer.stderr.splitlines()
    assert all(line.startswith(f"{program}: ") for line in lines)
    assert [sum(part in line for line in lines) for part in wrong] == [1] * len(wrong), answer.stderr
    assert len(lines) == len(wrong)


class Running(Closing):
    """Serves on 127.0.0.1 once made, on a free port unless told. `log` is the file that it writes to."""

    tls: ssl.SSLContext | None = None
    """How to ask one that serves TLS."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *flags: str,
        port: int = 0,
        level: str = "debug",
        environment: Mapping[str, str] | None = None,
        stdout: int | None = None,
    ) -> None:
        self.log = log
        usual = (f"--web.listen-address=127.0.0.1:{port}", "--log.format=json", f"--log.level={level}")
        together = {**ENVIRONMENT, **(environment or {})}
        self.process = Process((*command, *usual, *flags), log, together, stdout=stdout)
        try:
            self.port = self._wait_for_port()
        except BaseException:
            self.process.kill()
            raise

    def get(self, path: str, **headers: str) -> Answer:
        return get(self.port, path, tls=self.tls, **headers)

    def read(self, path: str) -> str:
        """What it answers; fails unless the status is 200."""
        answer = self.get(path)
        assert answer.status == 200, answer
        return answer.body.decode()

    def logged(self) -> Iterator[dict[str, Any]]:
        for line in self.log.read_text().splitlines():
            if line.startswith("{"):
                yield json.loads(line)

    def close(self) -> None:
        """Ask it to end; fails when it does not obey, or has complained of a fault of its own."""
        if self.process.status is None:
            status = self.process.stop()
            assert status == 0, f"ended with {status}: {self.tail()}"
        assert "Traceback" not in self.log.read_text(), self.tail()

    def seconds_to_end(self, number: signal.Signals = signal.SIGTERM) -> float:
        """How long it takes to end in order after this signal."""
        began = time.monotonic()
        os.kill(self.process.pid, number)
        status = self.process.wait(10)
        assert status == 0, f"ended with {status}: {self.tail()}"
        return time.monotonic() - began

    def kill(self) -> None:
        self.process.kill()

    def tail(self) -> str:
        return f"log: {self.process.tail()}"

    def _wait_for_port(self) -> int:
        def serving() -> list[int]:
            return [int(line["port"]) for line in self.logged() if line.get("msg") == "serving"]

        return self.process.wait_for(serving, "does not serve", START_TIMEOUT)[0]
