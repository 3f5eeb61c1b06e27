"""Holds the cluster's namespaces and processes, and ends them all when its standard input closes.

It is a program of its own, `python supervisor.py FOLDER CGROUP`, and uses the standard library only. The process that
is started waits; a child of it is process 1 of new network, mount and process namespaces, and does what it is asked on
a socket in the folder. When the test run ends, however it does, standard input closes, process 1 ends, and the kernel
ends every process and every mount with it. The waiting one then removes the control groups and the folder.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.managers import BaseManager
from pathlib import Path

NEW_NAMESPACES = 0x40000000 | 0x00020000 | 0x20000000  # network, mount, process
CGROUPS = Path("/sys/fs/cgroup")
REMOVAL_TIMEOUT = 30.0
# A kubelet sets these for the whole machine unless it finds them so.
KERNEL = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


class Supervisor(BaseManager):
    """Serves `processes`, one of `Processes`, to who made the folder; its server runs in process 1."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder / "supervisor.sock"), b"the folder is for its owner alone")


Supervisor.register("processes")


def main(folder: Path, cgroup: str) -> int:
    """Wait for the end of the cluster and remove what outlives processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    middle = os.fork()
    if middle == 0:
        os._exit(_hold(folder))
    os.waitpid(middle, 0)
    remove_cgroups(cgroup)
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def _hold(folder: Path) -> int:
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_NAMESPACES):
        sys.stderr.write(f"no namespaces: {os.strerror(ctypes.get_errno())}\n")
        sys.stderr.flush()
        return 1
    first = os.fork()
    if first == 0:
        try:
            _serve(folder)
        finally:
            os._exit(1)
    os.waitpid(first, 0)
    return 0


def _serve(folder: Path) -> None:
    """Say which process this is, as it is seen from outside, once it can be asked."""
    own = os.readlink("/proc/self")  # noqa: PTH115
    _set_up(folder)
    processes = Processes()
    Supervisor.register("processes", lambda: processes, exposed=("start", "end", "status", "run"))
    server = Supervisor(folder).get_server()
    threading.Thread(target=processes.reap, daemon=True).start()
    threading.Thread(target=_end_with_input, daemon=True).start()
    os.write(1, f"{own}\n".encode())
    server.serve_forever()


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


def _set_up(folder: Path) -> None:
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # What nodes write is much, and goes with the namespace at once.
    (folder / "nodes").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "nodes", folder / "nodes"], check=True)
    values = folder / "sysctl"
    values.mkdir()
    for name, value in KERNEL.items():
        if (target := Path("/proc/sys", name)).exists():
            masked = values / name.replace("/", ".")
            masked.write_text(value)
            subprocess.run(["mount", "--bind", masked, target], check=True)


class Processes:
    """What runs in the namespaces, by name."""

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: set[int] = set()
        self._lock = threading.Lock()

    def start(self, name: str, command: list[str], log: str, environment: dict[str, str]) -> int:
        """Start a daemon; its process id in these namespaces."""
        with open(log, "ab") as output, self._lock:  # noqa: PTH123
            self._running[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **environment},
                start_new_session=True,
            )
            return self._running[name].pid

    def end(self, name: str, number: int, timeout: float) -> None:
        """Send a daemon a signal and wait for its end; raises TimeoutExpired."""
        self._running[name].send_signal(number)
        self._running[name].wait(timeout)

    def status(self, name: str) -> int | None:
        """What a daemon ended with; None while it runs."""
        return self._running[name].poll()

    def run(self, command: list[str], timeout: float, text: str) -> tuple[int, str, str]:
        """Run a command; its status, and what it wrote to standard output and error."""
        pipe = subprocess.PIPE
        with self._lock:
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
            self._commands.add(process.pid)
        try:
            output, complaint = process.communicate(text, timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        finally:
            self._commands.discard(process.pid)
        return process.returncode, output, complaint

    def reap(self) -> None:
        """Reap orphaned processes without end, as process 1 has to."""
        while True:
            time.sleep(1)
            with self._lock:
                own = {process.pid for process in self._running.values()} | self._commands
                for pid in _zombies():
                    if pid not in own:
                        with contextlib.suppress(ChildProcessError):
                            os.waitpid(pid, os.WNOHANG)


def _zombies() -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            if state == "Z" and parent == "1":
                yield int(path.parent.name)


def cgroups(name: str) -> list[Path]:
    """The control groups of this name and all below them, in every hierarchy; innermost first."""
    roots = [CGROUPS / name, *CGROUPS.glob(f"*/{name}")]
    return [Path(path) for root in roots for path, _, _ in os.walk(root, topdown=False)]


def remove_cgroups(name: str) -> None:
    deadline = time.monotonic() + REMOVAL_TIMEOUT
    while (groups := cgroups(name)) and time.monotonic() < deadline:
        for group in groups:
            with contextlib.suppress(OSError):
                group.rmdir()
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
