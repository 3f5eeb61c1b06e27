"""Builds the programs once from pinned Go modules into the cache.

`python -m rig.go_programs.build [PART …]` builds what is missing and says where everything is. The name of a build
holds the hash of all that it is made from, so that a changed pin, flag or compiler is another build. Nothing is
installed.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rig import caching, debian
from rig.caching import Unavailable
from rig.go_programs.parts import EVERYTHING, Part
from rig.go_programs.toolchain import Toolchain, toolchain

JOBS = 2
TIMEOUT = 3600.0
SECCOMP = debian.Package("bookworm", "libseccomp-dev")
ZLIB = debian.Package("bookworm", "zlib1g-dev")
LIBRARY = "usr/lib/x86_64-linux-gnu"
# Answers what Go asks of pkg-config for libseccomp, the only library that is asked for so.
PKG_CONFIG = """#!/bin/sh
case "$1" in
  --cflags) echo "-I{root}/usr/include" ;;
  *) echo "-L{root}/{library} -lseccomp" ;;
esac
"""


def home() -> Path:
    return caching.folder() / "go"


def programs(part: Part) -> Path:
    """The folder of the part's programs, built if they are not in the cache; raises Unavailable."""
    go = toolchain(part.needed_go)
    target = home() / f"{part.name}-{part.version}-{part.key(go.version)}"
    return caching.kept(target, part.name, lambda work: _build(part, go, work))


def built(part: Part) -> Path:
    """The folder of the programs in the cache; raises Unavailable where they were not built: no test builds."""
    if not is_cached(part):
        raise Unavailable(f"{part.name} {part.version}: not built; `make packages` builds it")
    return programs(part)


def reason_missing(*parts: Part) -> str:
    """Why a part cannot be had without building it; empty where all can."""
    try:
        for part in parts:
            built(part)
    except Unavailable as error:
        return str(error)
    return ""


def is_cached(part: Part) -> bool:
    """Whether the programs are there; raises Unavailable where no Go is."""
    return (home() / f"{part.name}-{part.version}-{part.key(toolchain(part.needed_go).version)}").is_dir()


def all_programs(parts: Iterable[Part]) -> dict[str, Path]:
    """The folders of several parts by name, two built at a time, with a line for each on standard error."""
    with ThreadPoolExecutor(JOBS) as pool:
        built = {part.name: pool.submit(_told, part) for part in parts}
        try:
            return {name: future.result() for name, future in built.items()}
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _told(part: Part) -> Path:
    if is_cached(part):
        return programs(part)
    title, begun = f"{part.name} {part.version}", time.monotonic()
    print(f"{title}: building, about {part.estimate} on two cores", file=sys.stderr, flush=True)  # noqa: T201
    result = programs(part)
    print(f"{title}: built in {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)  # noqa: T201
    return result


def _build(part: Part, go: Toolchain, work: Path) -> Path:
    (work / "source").mkdir()
    for path in part.files:
        shutil.copy2(path, work / "source")
    result = work / "programs"
    result.mkdir()
    _go(part, go, work, ["build", "-trimpath", *_flags(part), "-o", f"{result}/", *part.packages])
    if part.rename:
        (only,) = result.iterdir()
        only.rename(result / part.rename)
    for other in part.names:
        (result / other).symlink_to(part.rename)
    if part.data:
        shutil.copytree(_module_folder(part, go, work) / part.data, result / "data")
    return result


def _module_folder(part: Part, go: Toolchain, work: Path) -> Path:
    command = [str(go.program), "list", "-m", "-f", "{{.Dir}}", part.module]
    found = subprocess.run(command, cwd=work / "source", env=go.environment, capture_output=True, text=True, check=True)
    return Path(found.stdout.strip())


def _flags(part: Part) -> list[str]:
    tags = ["-tags", part.tags] if part.tags else []
    return [*tags, "-ldflags", part.filled_ldflags]


def _go(part: Part, go: Toolchain, work: Path, words: list[str]) -> None:
    environment = {**go.environment, "CGO_ENABLED": "1" if part.cgo else "0"}
    if part.cgo:
        environment.update(_c_libraries(part, work))
    log = home() / f"{part.name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [go.program, *words],
            cwd=work / "source",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        status = process.wait(TIMEOUT)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)  # compilers outlive it
        process.wait()
        raise
    if status:
        raise Unavailable(f"{part.name}: go build failed, see {log}: {log.read_text()[-1500:]}")


def _c_libraries(part: Part, work: Path) -> dict[str, str]:
    """What the C compiler and the linker need for the library of the part."""
    if not shutil.which("gcc"):
        raise Unavailable(f"{part.name}: gcc is needed to build it")
    root = debian.unpacked(ZLIB if part.zlib else SECCOMP)
    if part.zlib:
        headers = (root / "usr/include", root / "usr/include/x86_64-linux-gnu")
        flags = " ".join(f"-I{folder}" for folder in headers)
        return {"CGO_CFLAGS": f"-O2 -g {flags}", "CGO_LDFLAGS": f"-L{root / LIBRARY}"}
    script = work / "pkg-config"
    script.write_text(PKG_CONFIG.format(root=root, library=LIBRARY))
    script.chmod(0o755)
    return {"PKG_CONFIG": str(script)}


def main(names: list[str]) -> int:
    """Build everything, or the named parts; status 1 when something cannot be had, 2 when no part has such a name."""
    known = {part.name: part for part in EVERYTHING}
    if unknown := [name for name in names if name not in known]:
        print(f"no such part: {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)  # noqa: T201
        return 2
    try:
        for name, folder in all_programs([known[name] for name in names] or EVERYTHING).items():
            print(f"{name}: {folder}")  # noqa: T201
    except Unavailable as error:
        print(f"cannot be had: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
