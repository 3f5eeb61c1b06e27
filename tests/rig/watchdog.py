"""Ends what this process has started, should it be killed: a helper that notices when its owner is gone.

The owner holds the other end of a pipe, which the kernel closes however it dies. A signal at the parent's death
(PR_SET_PDEATHSIG) would come when the thread ends that started the program.
"""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

PATIENCE: Final = 5.0
"""Seconds that a program has between SIGTERM and SIGKILL."""
LOOK: Final = 0.05

_lock = threading.Lock()
_pipes: dict[int, int] = {}
"""The pipe to the helper by the owner's process id: a fork has none yet."""


def guard(pid: int) -> None:
    with _lock:
        pipe = _pipes.get(os.getpid())
        if pipe is None:
            pipe = _pipes[os.getpid()] = _start()
        os.write(pipe, f"{pid}\n".encode())


def forget(pid: int) -> None:
    """Guard a process no longer: it has ended, and its id may be given to another one."""
    with _lock:
        pipe = _pipes.get(os.getpid())
        if pipe is not None:
            os.write(pipe, f"-{pid}\n".encode())


def _start() -> int:
    reader, writer = os.pipe()
    helper = subprocess.Popen(
        [sys.executable, "-S", "-E", __file__],
        stdin=reader,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    # It outlives its owner on purpose: nobody waits for it.
    helper.returncode = 0
    os.close(reader)
    return writer


def main() -> None:
    """Keep the list until the owner is gone, then end what is on it."""
    guarded: dict[int, str] = {}
    for line in sys.stdin:
        pid = int(line)
        if pid > 0:
            guarded[pid] = _started(pid)
        else:
            guarded.pop(-pid, None)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in _alive(guarded):
            _kill(pid, number)
        deadline = time.monotonic() + PATIENCE
        while _alive(guarded) and time.monotonic() < deadline:
            select.select([], [], [], LOOK)


def _alive(guarded: dict[int, str]) -> list[int]:
    return [pid for pid, started in guarded.items() if started and _started(pid) == started]


def _started(pid: int) -> str:
    """When the process began, in the kernel's ticks; empty where there is none, or a dead one."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _kill(pid: int, number: int) -> None:
    for end in (os.killpg, os.kill):
        try:
            end(pid, number)
        except OSError:
            continue


if __name__ == "__main__":
    main()
