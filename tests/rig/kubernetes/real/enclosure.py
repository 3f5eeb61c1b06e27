"""Namespaces of a cluster's own, seen from the tests: start, signal and run in them, and connect into their network."""

import ctypes
import fcntl
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rig.closing import Closing
from rig.kubernetes.real.daemons import ClusterFailed
from rig.kubernetes.real.supervisor import Processes, Supervisor
from rig.processes import CommandFailed
from rig.tcp_proxy import Proxy

SUPERVISOR = Path(__file__).with_name("supervisor.py")
NEW_NETWORK = 0x40000000
DAEMON_TIMEOUT = 20.0
COMMAND_TIMEOUT = 60.0
END_TIMEOUT = 60.0
PAUSE = 0.05
TAIL = 4000
LOCK = Path("/run/pulltrace-tests-cluster.lock")
LOCK_TIMEOUT = 600.0
LOCK_PAUSE = 0.5


class EnclosureFailed(Exception):
    """The namespaces could not be made, or the one that holds them has gone."""


class ClusterRunning(Exception):
    """Another cluster kept the lock for too long; the text names its process."""


@contextmanager
def locked(timeout: float = LOCK_TIMEOUT) -> Iterator[int]:
    """An open file that holds the lock until all copies of it are closed; raises ClusterRunning.

    One cluster at a time on a machine: two share its cores and its inotify instances, and neither becomes ready.
    """
    with LOCK.open("a+") as file:
        deadline = time.monotonic() + timeout
        while not _locked(file.fileno()):
            if time.monotonic() > deadline:
                holder = LOCK.read_text().strip()
                raise ClusterRunning(
                    f"process {holder} has run a cluster on this machine for more than {timeout:.0f} s"
                )
            time.sleep(LOCK_PAUSE)
        LOCK.write_text(f"{os.getpid()}\n")
        yield file.fileno()


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Enclosure(Closing):
    """Everything that is started here ends when this is closed, or when the process that made it ends in any way."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ptc-", dir="/tmp"))
        self.cgroup = f"pulltrace-{self.folder.name}"
        # The lock is held until nothing is left of the enclosure.
        with locked() as lock, (self.folder / "supervisor.log").open("w+") as complaints:
            self._process = subprocess.Popen(
                [sys.executable, "-I", SUPERVISOR, self.folder, self.cgroup],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
                start_new_session=True,
                pass_fds=(lock,),
            )
            assert self._process.stdin
            assert self._process.stdout
            self._life = self._process.stdin
            with self._process.stdout as replies:
                first = replies.readline().strip()
            if not first:
                self._end()
                complaints.seek(0)
                raise EnclosureFailed(f"the supervisor ended: {complaints.read()}")
        self.network = Network(int(first))
        self._root = Path(f"/proc/{first}/root")
        supervisor = Supervisor(self.folder)
        supervisor.connect()
        self._processes: Processes = supervisor.processes()  # type: ignore[attr-defined] # registered by name

    def outside(self, path: Path) -> Path:
        """Where this process finds a file that only the enclosure's mounts show."""
        return self._root / path.relative_to("/")

    def start(self, name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> int:
        """Start a daemon under a name; its output goes to `<name>.log` in the folder."""
        return self._processes.start(name, _words(command), str(self._log(name)), dict(environment or {}))

    def end(self, name: str, number: int) -> None:
        """Send a daemon a signal that ends it, and wait for that."""
        self._processes.end(name, number, DAEMON_TIMEOUT)

    def run(self, command: Sequence[str | Path], text: str = "") -> str:
        """Run a command to its end with `text` as its input, and return its output; raises CommandFailed."""
        words = _words(command)
        status, output, complaint = self._processes.run(words, COMMAND_TIMEOUT, text)
        if status:
            raise CommandFailed(f"{' '.join(words)}: status {status}: {(complaint or output).strip()[-2000:]}")
        return output

    def wait_for(self, condition: Callable[[], bool], name: str, timeout: float) -> None:
        """Return when the condition is true; raises ClusterFailed when the daemon ends, or the time is over, first."""
        deadline = time.monotonic() + timeout
        while not condition():
            if self._processes.status(name) is not None or time.monotonic() > deadline:
                raise ClusterFailed(f"{name} did not come up: {self.tail(name)}")
            time.sleep(PAUSE)

    def tail(self, name: str) -> str:
        """The last of what a daemon has written."""
        path = self._log(name)
        return path.read_bytes()[-TAIL:].decode(errors="replace") if path.exists() else ""

    def close(self) -> None:
        """End everything and wait until nothing is left. May be called twice."""
        if not self._life.closed:
            self._end()
            self.network.close()

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _end(self) -> None:
        self._life.close()
        self._process.wait(END_TIMEOUT)


class Network:
    """The network namespace of a process."""

    def __init__(self, pid: int) -> None:
        self._here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self._there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        self._forwards: list[Proxy] = []

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Sockets that this thread makes meanwhile belong to the namespace, and stay there."""
        _enter(self._there)
        try:
            yield
        finally:
            _enter(self._here)

    def forward(self, host: str, port: int) -> int:
        """A port of 127.0.0.1 outside that leads to an address inside."""
        proxy = Proxy((host, port), self._connected)
        self._forwards.append(proxy)
        return proxy.port

    def close(self) -> None:
        for forward in self._forwards:
            forward.close()
        for descriptor in (self._here, self._there):
            os.close(descriptor)

    def _connected(self, address: tuple[str, int]) -> socket.socket:
        with self.inside():
            return socket.create_connection(address, timeout=10)


def _enter(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, NEW_NETWORK):
        raise EnclosureFailed(f"setns: {os.strerror(ctypes.get_errno())}")


def _words(command: Sequence[str | Path]) -> list[str]:
    return [str(word) for word in command]
