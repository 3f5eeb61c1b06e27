"""Which socket may be opened.

The exporter runs as root on every node: a wrong path must not make it talk to whatever listens there.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pulltrace.clock import NodeTime
from pulltrace_exporter.errors import UnsafeSocketError

KNOWN_SOCKETS = (
    Path("/run/containerd/containerd.sock"),
    Path("/run/k3s/containerd/containerd.sock"),
    Path("/run/k0s/containerd.sock"),
    Path("/var/snap/microk8s/common/run/containerd.sock"),
)
"""Where containerd's own package, k3s and RKE2, k0s, and MicroK8s put it."""

KNOWN_DIRECTORIES = tuple(path.parent for path in KNOWN_SOCKETS)


def find_socket() -> Path:
    """The first known socket that exists, else the first known path: it may come later."""
    return next((path for path in KNOWN_SOCKETS if path.exists()), KNOWN_SOCKETS[0])


def check_directory(address: Path, allowed: Iterable[Path]) -> Path:
    """The real path that `address` leads to; raises UnsafeSocketError unless it lies under an allowed directory."""
    real = Path(os.path.realpath(address))
    directories = [Path(os.path.realpath(directory)) for directory in (*KNOWN_DIRECTORIES, *allowed)]
    if any(real.is_relative_to(directory) for directory in directories):
        return real
    known = ", ".join(str(directory) for directory in dict.fromkeys((*KNOWN_DIRECTORIES, *allowed)))
    leads = "" if real == address else f" leads to {real}, which"
    raise UnsafeSocketError(
        f"containerd socket {address}{leads} lies under none of the directories allowed ({known}); "
        "allow its directory with --containerd.allow-directory if it is containerd's"
    )


@dataclass(frozen=True, slots=True)
class SocketFile:
    """A socket that may be opened; two that are equal have the same daemon behind them.

    containerd makes the file anew when it starts, so its modification time is the daemon's start (Unix time). The
    change time is not: chmod changes it.
    """

    path: Path
    inode: int
    made_at: NodeTime

    def is_still_at(self, address: Path) -> bool:
        """Whether the address still leads to it and it may still be opened. Reads only the file's status."""
        try:
            status = address.stat()
        except OSError:
            return False
        return (status.st_ino, status.st_mtime) == (self.inode, self.made_at) and not _fault(status)


def check_socket(address: Path, allowed: Iterable[Path]) -> SocketFile | None:
    """The socket at `address`; None when there is none yet.

    Raises UnsafeSocketError unless it is a socket that belongs to root or to this user and that others cannot write
    to, or when it cannot be examined. Raises PermissionError when that or opening it is not permitted.
    """
    real = check_directory(address, allowed)
    try:
        status = real.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        raise
    except OSError as error:
        raise UnsafeSocketError(f"containerd socket {address} cannot be examined: {error.strerror}") from None
    fault = _fault(status)
    if fault:
        raise UnsafeSocketError(f"containerd socket {address} {fault}")
    if not os.access(real, os.R_OK | os.W_OK):
        raise PermissionError(f"no permission to open containerd socket {address}; run the exporter as root")
    return SocketFile(real, status.st_ino, NodeTime(status.st_mtime))


def _fault(status: os.stat_result) -> str:
    if not stat.S_ISSOCK(status.st_mode):
        return "is not a socket"
    if status.st_uid not in (0, os.geteuid()):
        return f"belongs to user {status.st_uid}, not to root or to the exporter's own user"
    if status.st_mode & stat.S_IWOTH:
        mode = stat.S_IMODE(status.st_mode)
        return f"can be written to by every user (mode {mode:04o}): anybody may be answering there"
    return ""
