"""A Go that is new enough: the machine's own, else Debian's, unpacked and not installed."""

import os
import re
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rig import debian
from rig.caching import Unavailable
from rig.processes import CommandFailed, run

DEBIAN = debian.Package("sid", "golang-1.26-go", also=("golang-1.26-src",))
ROOT = "usr/lib/go-1.26"


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A Go compiler."""

    program: Path
    version: str
    root: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment for its runs. GOTOOLCHAIN keeps it from fetching another Go."""
        own = {"GOROOT": str(self.root)} if self.root else {}
        return {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": "-buildvcs=false", **own}


@cache
def toolchain(needed: tuple[int, ...]) -> Toolchain:
    """A Go that is at least as new; raises Unavailable."""
    own = shutil.which("go")
    if own and (found := _version(Path(own))) and _numbers(found) >= needed:
        return Toolchain(Path(own), found)
    root = debian.unpacked(DEBIAN) / ROOT
    program = root / "bin/go"
    found = _version(program)
    if _numbers(found) < needed:
        raise Unavailable(f"Go {'.'.join(map(str, needed))} is needed, Debian has {found or 'none that runs here'}")
    return Toolchain(program, found, root)


def _version(program: Path) -> str:
    try:
        return run(["env", "GOTOOLCHAIN=local", program, "env", "GOVERSION"]).strip()
    except CommandFailed:
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"go(\d+(?:\.\d+)*)", version)
    return tuple(int(number) for number in found[1].split(".")) if found else ()
