"""kube-apiserver and kubelet, built once from Debian's source package into the cache of `rig.debian`.

`python -m rig.kubernetes.build` builds what is missing, fetches etcd, and prints where it all is. No Debian release has
these programs as packages, but bookworm has their source with every dependency in it, and the compiler that goes with
it. Nothing is installed: the compiler is unpacked beside the source, and both go when the programs are there. Two cores
need about eleven minutes and 3 GB of disk for it.
"""

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from rig import debian
from rig.processes import CommandFailed, Process, run

SUITE = "bookworm"
SOURCE = "kubernetes"
ETCD = debian.Package(SUITE, "etcd-server", "usr/bin/etcd")
COMPILER = ("golang-1.19-go", "golang-1.19-src")
GO = "usr/lib/go-1.19/bin"
PROGRAMS = ("kube-apiserver", "kubelet")
RECIPE = 1
"""Part of the name in the cache: another way to build gets another number."""

BUILD_TIMEOUT = 2 * 3600.0
NEEDED = ("apt-get", "dpkg-deb", "make", "tar")

# The one use of rsync in the build is a copy; the real one would bring four libraries.
RSYNC = """#!/bin/sh
exec cp -p "$2" "$3"
"""
# Without it the build asks git, of which a source package has nothing.
VERSION_FILE = """KUBE_GIT_COMMIT=
KUBE_GIT_TREE_STATE=archive
KUBE_GIT_VERSION=v{version}
KUBE_GIT_MAJOR={major}
KUBE_GIT_MINOR={minor}
"""


class BuildUnavailable(Exception):
    """The programs cannot be built here; the text says what is missing or where it failed."""


def home() -> Path:
    """Where builds are kept."""
    return debian.cache_folder() / f"{SUITE}-built"


def cached() -> Path | None:
    """The folder that holds the programs, if they were built before; no network is used."""
    found = home().glob(f"{SOURCE}-*-{RECIPE}")
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def programs() -> Path:
    """The folder that holds the programs, built if they are not in the cache; raises BuildUnavailable.

    Processes that ask at once wait for the first one.
    """
    if folder := cached():
        return folder
    if missing := [name for name in NEEDED if not shutil.which(name)]:
        raise BuildUnavailable(f"{SOURCE} of {SUITE}: {', '.join(missing)} needed to build it")
    home().mkdir(parents=True, exist_ok=True)
    try:
        with debian._locked(home() / "lock"):
            return cached() or _built()
    except CommandFailed as error:
        raise BuildUnavailable(f"{SOURCE} of {SUITE}: {error}") from error


def _built() -> Path:
    with tempfile.TemporaryDirectory(dir=home(), prefix="build-") as name:
        work = Path(name)
        version, tree = _fetched(work)
        _make(work, tree)
        result = work / "programs"
        result.mkdir()
        for program in PROGRAMS:
            shutil.copy2(tree / "_output/bin" / program, result)
            run([result / program, "--version"])
        return result.rename(home() / f"{SOURCE}-{version}-{RECIPE}")


def _fetched(work: Path) -> tuple[str, Path]:
    """Source and compiler unpacked below `work`; returns Debian's version and the source's folder."""
    options = _apt_options()
    run(["apt-get", *options, "update", "-qq"], timeout=300)
    run(["apt-get", *options, "source", "--download-only", "-qq", SOURCE], timeout=900, cwd=work)
    run(["apt-get", *options, "download", "-qq", *COMPILER], timeout=900, cwd=work)
    for archive in work.glob("*.deb"):
        run(["dpkg-deb", "-x", archive, work / "compiler"], timeout=300)
    # Debian's patches concern kubectl alone.
    (work / "source").mkdir()
    original = next(work.glob(f"{SOURCE}_*.orig.tar.*"))
    run(["tar", "-xf", original, "-C", work / "source"], timeout=300)
    version = next(work.glob(f"{SOURCE}_*.dsc")).stem.split("_", 1)[1]
    return version, next((work / "source").iterdir())


def _apt_options() -> list[str]:
    options = debian._apt_options(home(), SUITE)
    sources = home() / "apt/suite.sources"
    sources.write_text(sources.read_text().replace("Types: deb\n", "Types: deb deb-src\n"))
    return options


def _make(work: Path, tree: Path) -> None:
    helpers = work / "helpers"
    helpers.mkdir()
    rsync, version_file = helpers / "rsync", work / "version"
    rsync.write_text(RSYNC)
    rsync.chmod(0o755)
    version_file.write_text(_version_file(tree.name.removeprefix(f"{SOURCE}-")))
    log = home() / f"{SOURCE}.log"
    log.unlink(missing_ok=True)
    environment = {
        "PATH": f"{helpers}:{work / 'compiler' / GO}:{os.environ['PATH']}",
        "HOME": str(work),
        "GOFLAGS": "-mod=vendor",
        "GOPROXY": "off",
        "CGO_ENABLED": "0",
        "KUBE_GIT_VERSION_FILE": str(version_file),
    }
    command = ["make", "-C", str(tree), "WHAT=" + " ".join(f"cmd/{program}" for program in PROGRAMS)]
    build = Process(command, log, environment)
    try:
        if build.wait(BUILD_TIMEOUT):
            raise CommandFailed(f"make failed, see {log}: {build.tail(2000)}")
    finally:
        _end_group(build)


def _end_group(build: Process) -> None:
    """End what make has started, too: a compiler outlives it."""
    try:
        os.killpg(build.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    build.kill()


def _version_file(version: str) -> str:
    major, minor, *_ = version.split(".")
    return VERSION_FILE.format(version=version, major=major, minor=minor)


def main() -> int:
    """Fetch etcd, build what is missing, and say where it is; status 1 when something cannot be had."""
    if not cached():
        print(f"building {', '.join(PROGRAMS)}: about eleven minutes on two cores", file=sys.stderr, flush=True)  # noqa: T201
    try:
        print(f"{ETCD}: in {debian.unpacked(ETCD)}")  # noqa: T201
        print(f"{SOURCE} of {SUITE}: {programs()}")  # noqa: T201
    except (BuildUnavailable, debian.PackageUnavailable) as error:
        print(f"cannot be had: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
