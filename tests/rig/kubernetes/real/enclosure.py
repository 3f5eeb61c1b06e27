"""Namespaces of a cluster's own, seen from the tests: start, signal and run in them, and connect into their network."""

import ctypes
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from rig.closing import Closing
from rig.kubernetes.real.daemons import ClusterFailed
from rig.processes import CommandFailed

SUPERVISOR = Path(__file__).with_name("supervisor.py")
NEW_NETWORK = 0x40000000
ANSWER_TIMEOUT = 30.0
END_TIMEOUT = 60.0
PAUSE = 0.05


class EnclosureFailed(Exception):
    """The namespaces could not be made, or the one that holds them has gone."""


class Enclosure(Closing):
    """Everything that is started here ends when this is closed, or when the process that made it ends in any way."""

    def __init__(self, held: int) -> None:
        """`held` is an open file that stays open until nothing is left of the enclosure: the lock of a cluster."""
        self.folder = Path(tempfile.mkdtemp(prefix="ptc-", dir="/tmp"))
        self.cgroup = f"pulltrace-{self.folder.name}"
        self._numbers = count()
        self._answers: dict[int, Future[Any]] = {}
        self._lock = threading.Lock()
        with (self.folder / "supervisor.log").open("wb") as complaints:
            self._process = subprocess.Popen(
                [sys.executable, "-I", SUPERVISOR, self.folder, self.cgroup],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
                start_new_session=True,
                pass_fds=(held,),
            )
        assert self._process.stdin
        assert self._process.stdout
        self._requests, self._replies = self._process.stdin, self._process.stdout
        first = json.loads(self._replies.readline() or '{"error": "the supervisor ended"}')
        if "init" not in first:
            self._end()
            raise EnclosureFailed(first["error"])
        self.network = Network(first["init"])
        self._root = Path(f"/proc/{first['init']}/root")
        self._reader = threading.Thread(target=self._read, name="enclosure")
        self._reader.start()

    def outside(self, path: Path) -> Path:
        """Where this process finds a file that only the enclosure's mounts show."""
        return self._root / path.relative_to("/")

    def start(self, name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> int:
        """Start a daemon under a name; its output goes to `<name>.log` in the folder."""
        pid: int = self._ask(
            "start", name=name, command=_words(command), log=str(self.log(name)), environment=dict(environment or {})
        )
        return pid

    def signal(self, name: str, number: int) -> None:
        """Send a daemon a signal."""
        self._ask("signal", name=name, which=number)

    def end(self, name: str, number: int, timeout: float = 20) -> int:
        """Send a daemon a signal that ends it, and wait for that; what it ended with."""
        self.signal(name, number)
        status: int = self._ask("wait", patience=timeout + 5, name=name, timeout=timeout)
        return status

    def status(self, name: str) -> int | None:
        """What a daemon ended with; None while it runs."""
        status: int | None = self._ask("status", name=name)
        return status

    def run(self, command: Sequence[str | Path], *, timeout: float = 60, text: str = "") -> str:
        """Run a command to its end with `text` as its input, and return its output; raises CommandFailed."""
        words = _words(command)
        answer = self._ask("run", patience=timeout + 5, command=words, timeout=timeout, text=text)
        if answer["status"]:
            complaint = (answer["complaint"] or answer["output"]).strip()[-2000:]
            raise CommandFailed(f"{' '.join(words)}: status {answer['status']}: {complaint}")
        output: str = answer["output"]
        return output

    def wait_for(self, condition: Callable[[], bool], name: str, timeout: float) -> None:
        """Return when the condition is true; raises ClusterFailed when the daemon ends, or the time is over, first."""
        deadline = time.monotonic() + timeout
        while not condition():
            if self.status(name) is not None or time.monotonic() > deadline:
                raise ClusterFailed(f"{name} did not come up: {self.tail(name)}")
            time.sleep(PAUSE)

    def log(self, name: str) -> Path:
        """What a daemon has written."""
        return self.folder / f"{name}.log"

    def tail(self, name: str) -> str:
        """The last of it."""
        path = self.log(name)
        return path.read_bytes()[-4000:].decode(errors="replace") if path.exists() else ""

    def close(self) -> None:
        """End everything and wait until nothing is left. May be called twice."""
        if not self._requests.closed:
            self._end()
            self._reader.join()
            self.network.close()
            self._replies.close()

    def _end(self) -> None:
        self._requests.close()
        self._process.wait(END_TIMEOUT)

    def _ask(self, do: str, *, patience: float = ANSWER_TIMEOUT, **request: Any) -> Any:
        number = next(self._numbers)
        future: Future[Any] = Future()
        self._answers[number] = future
        line = json.dumps({"number": number, "do": do, **request})
        with self._lock:
            self._requests.write(line + "\n")
            self._requests.flush()
        answer = future.result(patience)
        if "error" in answer:
            raise EnclosureFailed(f"{do} {request.get('name') or request.get('command')}: {answer['error']}")
        return answer["result"]

    def _read(self) -> None:
        for line in self._replies:
            answer = json.loads(line)
            self._answers.pop(answer["number"]).set_result(answer)
        for future in self._answers.values():
            future.set_result({"error": "the supervisor has ended"})


class Network:
    """The network namespace of a process."""

    def __init__(self, pid: int) -> None:
        self._here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self._there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        self._forwards: list[Forward] = []

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Sockets that this thread makes meanwhile belong to the namespace, and stay there."""
        _enter(self._there)
        try:
            yield
        finally:
            _enter(self._here)

    def forward(self, host: str, port: int) -> "Forward":
        """A port of 127.0.0.1 outside that leads to an address inside."""
        made = Forward(self, host, port)
        self._forwards.append(made)
        return made

    def close(self) -> None:
        """End the forwards."""
        for forward in self._forwards:
            forward.close()
        for descriptor in (self._here, self._there):
            os.close(descriptor)


class Forward:
    """Listens on a free port of 127.0.0.1 and connects what comes to an address in a namespace."""

    def __init__(self, network: Network, host: str, port: int) -> None:
        self._network = network
        self.target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, name=f"forward-{port}")
        self._thread.start()

    def close(self) -> None:
        """End it and its connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for each in list(self._open):
            _shut(each)

    def _accept(self) -> None:
        while True:
            try:
                outer, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(outer,), daemon=True).start()

    def _relay(self, outer: socket.socket) -> None:
        with outer:
            try:
                with self._network.inside():
                    inner = socket.create_connection(self.target, timeout=10)
            except OSError:
                return
            inner.settimeout(None)
            with inner:
                self._open |= {outer, inner}
                back = threading.Thread(target=_copy, args=(inner, outer), daemon=True)
                back.start()
                _copy(outer, inner)
                back.join()
                self._open -= {outer, inner}


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        _shut(source)
    try:
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return  # closed by the other side


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _enter(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, NEW_NETWORK):
        raise EnclosureFailed(f"setns: {os.strerror(ctypes.get_errno())}")


def _words(command: Sequence[str | Path]) -> list[str]:
    return [str(word) for word in command]
