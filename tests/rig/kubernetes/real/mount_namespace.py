"""Where a node's daemons run without touching the machine: a mount namespace, and a place among the control groups.

A kubelet writes to places that no flag moves: it sets kernel parameters, makes a folder for device plugins below
/var/lib, and keeps the logs of pods below /var/log, where it deletes those of pods it does not know. In the namespace
copies stand there instead. What is mounted there is seen by nobody else and goes with the last process in it.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from rig.closing import Closing
from rig.kubernetes.real.supervisor import KERNEL, cgroups
from rig.processes import CommandFailed, Process

# What holds the namespace names the folder, as everything in it does.
SCRIPT = """\
set -e
cd "$0"
mount --bind log /var/log
mount --bind lib /var/lib
for name in "$@"; do
    mkdir -p "sys/${name%/*}"
    cat "/proc/sys/$name" > "sys/$name"
    mount --bind "sys/$name" "/proc/sys/$name"
done
touch ready
exec tail -f "$0/ready"
"""
INTERVAL = 0.02
TIMEOUT = 20.0


class MountNamespace(Closing):
    """`within` starts a program in it; `close` ends what runs in its control group, or has its folder in its command.

    The folder is the caller's, who removes it afterwards; `cgroup` is the parent that a kubelet gives to its pods.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cgroup = f"/{folder.name}"
        for name in ("log", "lib"):
            (folder / name).mkdir()
        command: list[str | Path] = ["unshare", "--mount", "sh", "-c", SCRIPT, folder, *KERNEL]
        self._holder = Process(command, folder / "namespace.log")
        try:
            for hierarchy in _hierarchies():
                (hierarchy / folder.name).mkdir(exist_ok=True)
            self._holder.wait_for((folder / "ready").exists, "makes no mount namespace", TIMEOUT)
        except BaseException:
            self.close()
            raise
        self.within = ("nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt")

    def close(self) -> None:
        """Whatever still runs in it; may be called twice."""
        self._holder.kill()
        deadline = time.monotonic() + TIMEOUT
        while left := self._end():
            if time.monotonic() > deadline:
                raise CommandFailed(f"this does not end: {left}")
            time.sleep(INTERVAL)

    def _end(self) -> list[str]:
        """Kill what runs and remove the groups where nothing does; returns what was there."""
        groups = cgroups(self.folder.name)
        running = {*self._named(), *_members(groups)}
        for pid in running:
            with contextlib.suppress(ProcessLookupError):  # it went by itself
                os.kill(pid, signal.SIGKILL)
        for group in () if running else groups:
            with contextlib.suppress(OSError):  # the last of its processes is not quite gone
                group.rmdir()
        return [*map(str, sorted(running)), *map(str, groups)]

    def _named(self) -> Iterator[int]:
        """Daemons, and shims that outlive theirs: containerd gives them the path of its socket."""
        wanted = f"{self.folder}/".encode()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # ended meanwhile
                if wanted in (process / "cmdline").read_bytes():
                    yield int(process.name)


def _members(groups: Iterable[Path]) -> Iterator[int]:
    for group in groups:
        with contextlib.suppress(OSError):  # gone meanwhile
            yield from [int(pid) for pid in (group / "cgroup.procs").read_text().split()]


def _hierarchies() -> Iterator[Path]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, source = line.partition(" - ")
        if source.split()[0] in ("cgroup", "cgroup2"):
            yield Path(mount.split()[4])
