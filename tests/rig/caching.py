"""What tests fetch or build once and keep, outside the checkout: what lies there is used without asking the network."""

import fcntl
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from rig.processes import CommandFailed

T = TypeVar("T")


class Unavailable(Exception):
    """Something cannot be had here; the text names it and says why."""


def folder() -> Path:
    """$PULLTRACE_CACHE, else `pulltrace` in the user's cache."""
    if chosen := os.environ.get("PULLTRACE_CACHE"):
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "pulltrace"


@contextmanager
def filling(lock: Path, what: object) -> Iterator[Path]:
    """A folder to make something in, beside the lock, for one process at a time; raises Unavailable."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held, tempfile.TemporaryDirectory(dir=lock.parent, prefix="incoming-") as name:
        fcntl.flock(held, fcntl.LOCK_EX)
        try:
            yield Path(name)
        except CommandFailed as error:
            raise Unavailable(f"{what}: {error}") from error


def kept(target: Path, what: object, make: Callable[[Path], Path]) -> Path:
    """The target. Where it is not there yet, `make` is given a folder and answers what becomes of it."""
    if not target.exists():
        with filling(target.with_name(f"{target.name}.lock"), what) as incoming:
            if not target.exists():
                make(incoming).rename(target)
    return target


def show(wanted: Iterable[T], had: Callable[[T], Path]) -> int:
    """Fetch everything and say where it is; status 1 when something cannot be had."""
    status = 0
    for each in wanted:
        try:
            print(f"{each}: {had(each)}")  # noqa: T201
        except Unavailable as error:
            status = 1
            print(f"cannot be had: {error}", file=sys.stderr)  # noqa: T201
    return status
