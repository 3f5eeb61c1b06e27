"""A network of a test's own: a loopback that nobody else uses, on which packets can be lost."""

import ctypes
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rig.kubernetes.real.control_plane import nft
from rig.kubernetes.real.enclosure import NEW_NETWORK
from rig.processes import run

TABLE = "loss"


class NoNetwork(Exception):
    """The kernel gives no network namespace."""


@contextmanager
def own_network(folder: Path) -> Iterator["Network"]:
    """Sockets that this thread makes meanwhile, and the programs and threads that it starts, are in the network."""
    library = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if library.unshare(NEW_NETWORK):
            raise NoNetwork(os.strerror(ctypes.get_errno()))
        try:
            # Packets of the usual size, none of them a bundle: else one would be 64 KiB.
            run(["ip", "link", "set", "lo", "mtu", "1500", "gso_max_segs", "1", "up"])
            yield Network(folder)
        finally:
            library.setns(before, NEW_NETWORK)
    finally:
        os.close(before)


class Network:
    """What can be done to it, from the thread that is in it. The folder is for files of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def lossy(self, one_of: int, port: int) -> Iterator[Callable[[], int]]:
        """One of so many packets from, and to, a port is lost meanwhile; gives what counts those that were.

        They are counted, not drawn: a packet that chance takes away ten times is sent again after minutes only.
        """
        program, rules = nft(self._folder), self._folder / "rules"
        # Where they come in: the sender is told of what is dropped where it goes out.
        lose = f"numgen inc mod {one_of} == 0 counter drop"
        chain = f"type filter hook input priority 0\ntcp dport {port} {lose}\ntcp sport {port} {lose}"
        rules.write_text(f"table ip {TABLE} {{\nchain input {{\n{chain}\n}}\n}}\n")
        run([program, "-f", rules])
        try:
            yield lambda: sum(map(int, re.findall(r"packets (\d+)", run([program, "list", "table", "ip", TABLE]))))
        finally:
            run([program, "delete", "table", "ip", TABLE])
