"""`kubectl pulltrace` as a user has it, in the terminal of the demo."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from rig import watchdog
from rig.processes import CommandFailed

CLIENT: Final = (sys.executable, "-m", "pulltrace_kubectl")
LOOK: Final = 0.2
PATIENCE: Final = 10.0


def introduce(title: str, addresses: Iterable[tuple[str, str]], hints: Iterable[str]) -> None:
    """Print what is shown, and commands for another terminal."""
    lines = [title, *(f"  {name:12} {address}" for name, address in addresses), "In another terminal:"]
    sys.stdout.write("\n".join([*lines, *(f"  {hint}" for hint in hints)]) + "\n\n")
    sys.stdout.flush()


def view(urls: Sequence[str], over: threading.Event, broken: Callable[[], bool], duration: float | None) -> None:
    """Run the client until `over`, so many seconds, or its own end; raises CommandFailed where something breaks."""
    flags = [f"--url={url}" for url in urls]
    client = subprocess.Popen([*CLIENT, "--watch", "--all-namespaces", *flags], env=os.environ)
    watchdog.guard(client.pid)
    timer = threading.Timer(duration, over.set) if duration else None
    if timer:
        timer.start()
    try:
        while not over.wait(LOOK) and client.poll() is None:
            if broken():
                raise CommandFailed("the play broke off")
        if client.poll() not in (None, 0) and not over.is_set():
            raise CommandFailed(f"the client ended with status {client.returncode}")
    finally:
        if timer:
            timer.cancel()
        _end(client)


def _end(client: "subprocess.Popen[bytes]") -> None:
    if client.poll() is None:
        client.send_signal(signal.SIGINT)
    try:
        client.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        client.kill()
        client.wait()
