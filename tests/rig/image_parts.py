"""Images where no registry can be asked: a base out of Debian packages, wheels, our own wheel, the Containerfile."""

import hashlib
import io
import shutil
import sys
import tarfile
from pathlib import Path

import pip

from rig import caching, debian, needs
from rig.containerfile import Builder, Built, parse
from rig.images import Layer, sha256
from rig.processes import run

CHECKOUT = Path(__file__).parents[2]
CONTAINERFILE = CHECKOUT / "deploy/Containerfile"
PACKAGES = "opt/pulltrace"
OUTSIDE = {
    "PYTHONPATH": "/pip",
    "PIP_NO_INDEX": "1",
    "PIP_FIND_LINKS": "/wheels",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}
# What pip of the base would take for itself: Debian 13 has glibc 2.41.
TARGET = ("--python-version", "3.13", "--platform", "manylinux_2_34_x86_64", "--platform", "manylinux_2_28_x86_64",
    "--platform", "manylinux_2_17_x86_64", "--platform", "manylinux2014_x86_64")  # fmt: skip
MERGED = ("bin", "sbin", "lib", "lib64")


def base(tree: Path) -> Path:
    """Make this folder one like the files of `python:3.13-slim-trixie`: a Python, its libraries and a shell."""
    run(["cp", "-a", debian.unpacked(debian.PYTHON), tree], timeout=300)
    for name in MERGED:
        if not (tree / name).exists():
            (tree / name).symlink_to(f"usr/{name}")
    for name in ("dev", "proc", "sys", "tmp", "run", "usr/local/bin"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    shutil.rmtree(tree / "usr/share", ignore_errors=True)
    (tree / "usr/local/bin/python3").symlink_to("/usr/bin/python3.13")
    return tree


def wheelhouse(lock: Path) -> Path:
    """The wheels that a lock file names, for the Python of the base, by their hashes; kept in the cache."""
    name = hashlib.sha256(lock.read_bytes() + " ".join(TARGET).encode()).hexdigest()[:16]

    def download(incoming: Path) -> Path:
        content = incoming / "content"
        options = ("--quiet", "--require-hashes", "--no-deps", "--only-binary=:all:", *TARGET, "--dest", content)
        run([sys.executable, "-m", "pip", "download", *options, "--requirement", lock], timeout=300)
        return content

    return caching.kept(caching.folder() / "wheels" / f"{lock.stem}-{name}", lock, download)


def build_distribution(target: Path, *kinds: str, source: Path = CHECKOUT) -> list[Path]:
    """Build sdist or wheel (`--sdist`, `--wheel`) of a source tree as a release does; returns the files."""
    python = CHECKOUT / ".venv/bin/python"
    if not python.exists():
        needs.miss("`make .venv/ok` has the build backend")
    build: list[str | Path] = [python, "-m", "build", *kinds, "--no-isolation", "--outdir", target, source]
    run(["env", "SOURCE_DATE_EPOCH=1700000000", *build], timeout=300)
    return sorted(target.iterdir())


def fill_context(folder: Path) -> Path:
    """Put into a folder what an engine would be sent, the lock files and the wheel; returns the wheel."""
    shutil.copytree(CHECKOUT / "requirements", folder / "requirements")
    (wheel,) = build_distribution(folder / "dist", "--wheel")
    return wheel


def arguments(wheel: Path) -> dict[str, str]:
    """Those of the Containerfile."""
    version = wheel.name.split("-")[1]
    return {"VERSION": version, "REVISION": "0", "CREATED": "2026-01-01T00:00:00Z", "SOURCE": "pulltrace"}


def built(target: str, context: Path, folder: Path) -> Built:
    """The Containerfile's stage, built below `folder` from what `fill_context` has put together."""
    tree = base(folder / "base-of-all")
    # The base has pip, too; here it lies where only RUN is told to look for it.
    shutil.copytree(Path(pip.__path__[0]), tree / "pip/pip", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(wheelhouse(context / f"requirements/{target}.txt"), tree / "wheels")
    (wheel,) = (context / "dist").iterdir()
    stages = parse(CONTAINERFILE.read_text())
    result = Builder(stages, context, folder, tree, arguments(wheel), OUTSIDE).build(target)
    for name in ("pip", "wheels"):
        shutil.rmtree(result.tree / name)
    return result


def layer_of(tree: Path, at: str = "") -> Layer:
    """An uncompressed layer of a folder's files, owned by root, under a path without a leading slash."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.add(tree, arcname=at or ".", filter=_of_root)
    data = buffer.getvalue()
    return Layer(sha256(data), "none", data)


def _of_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    return entry
