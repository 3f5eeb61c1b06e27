"""Programs that tests start: their output kept in a file, their end certain and by process id.

They end as well when whoever started them is killed or hung up: see `rig.watchdog`.
"""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from rig import watchdog

T = TypeVar("T")
INTERVAL = 0.05
ABORT_TIMEOUT = 5.0
PORTS: Final = range(12_000, 30_000)
"""Outside the kernel's usual range of ports for connections, and for servers that ask for any port."""


class CommandFailed(Exception):
    """A program ended with an error, or not in time; the text holds what it wrote."""


class Process:
    """A running program in a session of its own, so that a Ctrl-C in the terminal leaves its end to its owner."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        environment: Mapping[str, str] | None = None,
        within: Sequence[str] = (),
        stdout: int | None = None,
    ) -> None:
        """`within` are the words of a program that becomes this one elsewhere, as `nsenter` without a fork does.

        `stdout` is a descriptor for its standard output, which goes to `log` as well otherwise.
        """
        self.name = Path(command[0]).name
        self._log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                [*within, *(str(part) for part in command)],
                stdin=subprocess.DEVNULL,
                stdout=output if stdout is None else stdout,
                stderr=output,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        watchdog.guard(self._popen.pid)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def status(self) -> int | None:
        """What it ended with, a signal's number negative; None while it runs."""
        status = self._popen.poll()
        if status is not None:
            watchdog.forget(self._popen.pid)
        return status

    def wait_for(
        self, condition: Callable[[], T], what: str, timeout: float, failed: type[Exception] = CommandFailed
    ) -> T:
        """The first true answer of the condition; raises `failed` when the program ends, or the time is over, first."""
        deadline = time.monotonic() + timeout
        while not (answer := condition()):
            ended = self.status is not None
            if ended or time.monotonic() > deadline:
                raise failed(f"{self.name} {'ended' if ended else what}: {self.tail()}")
            time.sleep(INTERVAL)
        return answer

    def wait(self, timeout: float = 30) -> int:
        """Return its exit status. Ends it after `timeout` seconds and raises CommandFailed."""
        try:
            return self._ended(timeout)
        except subprocess.TimeoutExpired as error:
            self._abort()
            raise CommandFailed(f"{self.name} still ran after {timeout} s: {self.tail()}") from error

    def kill(self) -> None:
        """End it at once and wait for that. May be called twice."""
        self._popen.kill()
        self._ended(None)

    def stop(self, timeout: float = 30) -> int:
        """Ask it to end, wait, and return its exit status; kills it when it does not obey."""
        self._popen.send_signal(signal.SIGTERM)
        try:
            return self._ended(timeout)
        except subprocess.TimeoutExpired:
            self._abort()
            raise CommandFailed(f"{self.name} ignored SIGTERM for {timeout} s: {self.tail()}") from None

    def _abort(self) -> None:
        """End it so that it can write first where each of its threads is, as Go and Python do."""
        self._popen.send_signal(signal.SIGABRT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._ended(ABORT_TIMEOUT)
        self.kill()

    def _ended(self, timeout: float | None) -> int:
        status = self._popen.wait(timeout)
        watchdog.forget(self._popen.pid)
        return status

    def tail(self, size: int = 16_000) -> str:
        return self._log.read_bytes()[-size:].decode(errors="replace")


@contextlib.contextmanager
def paused(pid: int) -> Iterator[None]:
    """A program gets no processor time during the block, as on a node that is very busy."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def run(command: Sequence[str | Path], *, timeout: float = 60, cwd: Path | None = None) -> str:
    """Run a program to its end and return its standard output; raises CommandFailed with what it complained of."""
    words = [str(part) for part in command]
    try:
        result = subprocess.run(words, capture_output=True, text=True, timeout=timeout, cwd=cwd, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandFailed(f"{words[0]}: {error}") from error
    if result.returncode:
        complaint = (result.stderr or result.stdout).strip()[-2000:]
        raise CommandFailed(f"{' '.join(words)}: status {result.returncode}: {complaint}")
    return result.stdout


def free_port() -> int:
    """A port of 127.0.0.1 that is free, and most likely still is when a program is started on it."""
    # Not the shared generator: hypothesis gives it the same seed in each process.
    for port in random.SystemRandom().sample(PORTS, 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise OSError(f"no free port among 100 of {PORTS}")
