"""One cluster at a time on a machine: two share its cores and its inotify instances, and neither becomes ready."""

import fcntl
import os
import time
from pathlib import Path

PATH = Path("/run/pulltrace-tests-cluster.lock")
TIMEOUT = 600.0
PAUSE = 0.5


class ClusterRunning(Exception):
    """Another cluster kept the lock for too long; the text names its process."""


def take(timeout: float = TIMEOUT) -> int:
    """An open file that holds the lock until all copies of it are closed; raises ClusterRunning."""
    descriptor = os.open(PATH, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + timeout
    while not _locked(descriptor):
        if time.monotonic() > deadline:
            holder = PATH.read_text().strip()
            os.close(descriptor)
            raise ClusterRunning(f"process {holder} has run a cluster on this machine for more than {timeout:.0f} s")
        time.sleep(PAUSE)
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
