"""What a test needs of the machine: skipped with a loud reason where it is missing, failed where CI promises it."""

import os
import shutil
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

from rig import debian, npm
from rig.containerd import available
from rig.go_programs import build
from rig.go_programs.parts import Part


def containerd(label: str) -> None:
    """Skip the test unless this version of containerd runs here; fail it with CI=true."""
    if reason := _containerd_reasons()[label]:
        miss(f"containerd {label}: {reason}")


def program(package: debian.Package) -> Path:
    """The program of a Debian package; skips or fails the test as above where it cannot be had."""
    try:
        return debian.unpacked(package) / package.program
    except debian.PackageUnavailable as error:
        miss(str(error))


def built(part: Part) -> Path:
    """The folder of programs that are built from their module; skips or fails the test as above where they are not."""
    try:
        return build.built(part)
    except build.BuildUnavailable as error:
        miss(str(error))


def npm_file(package: npm.Package) -> Path:
    """The file of an npm package that is used; skips or fails the test as above where it cannot be had."""
    try:
        return npm.unpacked(package)
    except npm.PackageUnavailable as error:
        miss(str(error))


def node() -> Path:
    """The JavaScript runtime of this machine; skips or fails the test as above where there is none."""
    found = shutil.which("node")
    if found is None:
        miss("node: not installed (Debian: apt-get install nodejs)")
    return Path(found)


def miss(reason: str) -> NoReturn:
    """Leave the test out, or fail it with CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"needed with CI=true: {reason}")
    pytest.skip(f"LEFT OUT: {reason}")


@cache
def _containerd_reasons() -> dict[str, str]:
    return available()
