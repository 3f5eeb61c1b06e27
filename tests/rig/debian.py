"""Real daemons out of Debian packages, of several releases side by side, unpacked into a cache and never installed.

`python -m rig.debian` fetches what is in `EVERYTHING` and prints where it is; other packages are fetched when they are
first used. apt works on a state of its own with the machine's own Debian mirror, proxy and keyring, so nothing of the
machine's package management changes. Versions are whatever a release has on the day.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rig import caching
from rig.caching import Unavailable
from rig.processes import run

ETC = Path("/etc/apt")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
FALLBACK = "http://deb.debian.org/debian"
SECURITY = re.compile(r"security", re.IGNORECASE)
RELEASES = {"oldstable", "stable", "testing", "unstable", "sid", "bullseye", "bookworm", "trixie", "forky", "duke"}


@dataclass(frozen=True, slots=True)
class Package:
    """A package of a release, and the program in it that tells whether it works here, when it is run so."""

    suite: str
    name: str
    program: str = ""
    """Empty for what runs in chroot only."""
    trial: tuple[str, ...] = ("--version",)
    also: tuple[str, ...] = ()
    """Further packages that are unpacked into the same folder."""

    def __str__(self) -> str:
        return f"{self.name} of {self.suite}"


CONTAINERD = {
    "1.6": Package("bookworm", "containerd", "usr/bin/containerd"),
    "1.7": Package("trixie", "containerd", "usr/bin/containerd"),
    "2.1": Package("sid", "containerd", "usr/bin/containerd"),
}
RUNC = Package("bookworm", "runc", "usr/sbin/runc")
BUSYBOX = Package("bookworm", "busybox-static", "bin/busybox", trial=("true",))
PROMTOOL = Package("sid", "promtool", "usr/bin/promtool")
PROMETHEUS = Package("sid", "prometheus", "usr/bin/prometheus")
PYTHON = Package(
    "trixie",
    "python3.13-minimal",
    also=(
        "libpython3.13-minimal", "libpython3.13-stdlib", "libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libexpat1",
        "libssl3t64", "libzstd1", "libffi8", "libbz2-1.0", "liblzma5", "dash", "ca-certificates",
    ),
)  # fmt: skip
"""What the base of our images has, as far as our programs need it: the same release of Debian, the same Python."""
# The oldest Prometheus that our rules and queries promise to run on; its package has its own promtool.
PROMETHEUS_OLD = Package("bookworm", "prometheus", "usr/bin/prometheus")
PROMTOOL_OLD = Package("bookworm", "prometheus", "usr/bin/promtool")
ALERTMANAGER = Package("sid", "prometheus-alertmanager", "usr/bin/prometheus-alertmanager")
AMTOOL = Package("sid", "prometheus-alertmanager", "usr/bin/amtool")
EVERYTHING = (*CONTAINERD.values(), RUNC, BUSYBOX, PROMTOOL, PROMETHEUS, PROMETHEUS_OLD, ALERTMANAGER, PYTHON)


def cached(package: Package) -> Path | None:
    """The folder of the package in the cache, the newest if there are several."""
    found = (caching.folder() / package.suite).glob(f"{package.name}-[0-9]*")
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def unpacked(package: Package) -> Path:
    """The folder of the package, fetched if it is not in the cache; raises Unavailable.

    Processes that ask at once wait for the first one and share what it fetched.
    """
    if folder := cached(package):
        return folder
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise Unavailable(f"{package}: apt-get and dpkg-deb are needed to fetch it")
    with caching.filling(caching.folder() / package.suite / "lock", package) as incoming:
        return cached(package) or _fetch(package, incoming)


def version(folder: Path) -> str:
    return folder.name.split("-", 1)[1]


def _fetch(package: Package, incoming: Path) -> Path:
    home = incoming.parent
    options = _apt_options(home, package.suite)
    run(["apt-get", *options, "update", "-qq"], timeout=300)
    run(["apt-get", *options, "download", "-qq", package.name, *package.also], timeout=600, cwd=incoming)
    archive = next(incoming.glob(f"{package.name}_*.deb"))
    content = incoming / "content"
    for each in incoming.glob("*.deb"):
        run(["dpkg-deb", "-x", each, content], timeout=300)
    if package.program:
        run([content / package.program, *package.trial])
    return content.rename(home / f"{package.name}-{archive.name.split('_')[1]}")


def _apt_options(home: Path, suite: str) -> list[str]:
    """An apt of our own: its state, its sources and no pins, under the machine's configuration of the network."""
    state, cache, sources = home / "apt/state", home / "apt/cache", home / "apt/suite.sources"
    (state / "lists/partial").mkdir(parents=True, exist_ok=True)
    (cache / "archives/partial").mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    sources.write_text(machine_source().for_suite(suite))
    settings = {
        "Dir::State": state,
        "Dir::State::status": state / "status",
        "Dir::Cache": cache,
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "APT::Default-Release": "",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Retries": "2",
    }
    return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]


@dataclass(frozen=True, slots=True)
class Source:
    """Where Debian comes from, and the keyring that vouches for it."""

    uris: str
    signed_by: str

    def for_suite(self, suite: str) -> str:
        """The entry for one release, as apt reads it from a `.sources` file."""
        entry = f"Types: deb\nURIs: {self.uris}\nSuites: {suite}\nComponents: main\n"
        return entry + (f"Signed-By: {self.signed_by}\n" if self.signed_by else "")


def machine_source(etc: Path = ETC) -> Source:
    """The machine's own entry for Debian's main archive, else the archive's own address."""
    keyring = str(KEYRING) if KEYRING.exists() else ""
    return next(_sources(etc, keyring), Source(FALLBACK, keyring))


def _sources(etc: Path, keyring: str) -> Iterator[Source]:
    for path in sorted((etc / "sources.list.d").glob("*.sources")):
        yield from _stanzas(path.read_text(), keyring)
    for path in (etc / "sources.list", *sorted((etc / "sources.list.d").glob("*.list"))):
        if path.exists():
            yield from _lines(path.read_text(), keyring)


def _stanzas(text: str, keyring: str) -> Iterator[Source]:
    """Entries of the format deb822 (sources.list(5)) that are Debian's main archive."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", lines):
        fields = {key.lower(): value.strip() for key, value in re.findall(r"^([\w-]+):(.*)$", stanza, re.MULTILINE)}
        enabled = fields.get("enabled", "yes").lower() not in ("no", "false", "0")
        uris, suites = fields.get("uris", ""), fields.get("suites", "").split()
        if enabled and "deb" in fields.get("types", "").split() and _is_debian(uris, suites, fields.get("components")):
            yield Source(uris, fields.get("signed-by") or keyring)


def _lines(text: str, keyring: str) -> Iterator[Source]:
    pattern = r"^deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.*)$"
    for match in re.finditer(pattern, text, re.MULTILINE):
        if _is_debian(match["uri"], [match["suite"]], match["components"]):
            signed = re.search(r"signed-by=(\S+)", match["options"] or "")
            yield Source(match["uri"], signed[1] if signed else keyring)


def _is_debian(uris: str, suites: list[str], components: str | None) -> bool:
    main = "main" in (components or "").split()
    return bool(uris) and main and not SECURITY.search(uris) and bool(RELEASES.intersection(suites))


if __name__ == "__main__":
    sys.exit(caching.show(EVERYTHING, unpacked))
