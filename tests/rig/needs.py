"""What a test needs of the machine: skipped with a loud reason where it is missing, failed where CI promises it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from rig import debian, npm
from rig.caching import Unavailable
from rig.containerd import available
from rig.go_programs import build
from rig.go_programs.parts import Part


def containerd(label: str) -> None:
    """Skip the test unless this version of containerd runs here; fail it with CI=true."""
    if reason := available()[label]:
        miss(f"containerd {label}: {reason}")


def program(package: debian.Package) -> Path:
    """The program of a Debian package; skips or fails the test as above where it cannot be had."""
    return had(lambda: debian.unpacked(package) / package.program)


def built(part: Part) -> Path:
    return had(lambda: build.built(part))


def npm_file(package: npm.Package) -> Path:
    return had(lambda: npm.unpacked(package))


def had(get: Callable[[], Path]) -> Path:
    """What it answers; skips or fails the test as above where that cannot be had."""
    try:
        return get()
    except Unavailable as error:
        miss(str(error))


def node() -> Path:
    found = shutil.which("node")
    if not found:
        miss("node: not installed (Debian: apt-get install nodejs)")
    return Path(found)


def miss(reason: str) -> NoReturn:
    """Leave the test out, or fail it with CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"needed with CI=true: {reason}")
    pytest.skip(f"LEFT OUT: {reason}")
