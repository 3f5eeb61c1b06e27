"""Packages come from the machine's own mirror, whatever form its entry has."""

from pathlib import Path

import pytest

from rig import debian
from rig.caching import Unavailable

pytestmark = pytest.mark.unit

DEB822 = """\
# the machine's own
Types: deb
URIs: http://deb.example/security
Suites: bookworm-security
Components: main

Types: deb deb-src
# a remark
URIs: http://deb.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /etc/own.gpg
"""


LINES = """\
# deb http://off.example/ sid main
deb http://other.example/apt stable-extra main
deb [arch=amd64 signed-by=/k.gpg] http://two.example/debian sid main contrib
"""


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text", "uris", "keyring"),
    [
        ("sources.list.d/debian.sources", DEB822, "http://deb.example/debian", "/etc/own.gpg"),
        ("sources.list", "deb http://one.example/debian/ trixie main\n", "http://one.example/debian/", None),
        ("sources.list.d/x.list", LINES, "http://two.example/debian", "/k.gpg"),
    ],
)
def test_the_machines_entry_is_found(etc: Path, name: str, text: str, uris: str, keyring: str | None) -> None:
    (etc / name).write_text(text)
    source = debian.machine_source(etc)
    assert source.uris == uris
    if keyring:
        assert source.signed_by == keyring


def test_a_disabled_entry_is_passed_over(etc: Path) -> None:
    (etc / "sources.list.d/debian.sources").write_text(DEB822 + "Enabled: no\n")
    assert debian.machine_source(etc).uris == debian.FALLBACK


def test_the_entry_is_turned_to_another_release() -> None:
    text = debian.Source("http://deb.example/debian", "/k.gpg").for_suite("sid")
    assert "Suites: sid\n" in text
    assert "URIs: http://deb.example/debian\n" in text
    assert "Signed-By: /k.gpg\n" in text


def test_a_cached_package_is_used_without_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "sid" / "containerd-9.9-1"
    folder.mkdir(parents=True)
    monkeypatch.setenv("PULLTRACE_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    assert debian.unpacked(debian.CONTAINERD["2.1"]) == folder
    assert debian.version(folder) == "9.9-1"


def test_what_cannot_be_had_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULLTRACE_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unavailable, match="containerd of sid: apt-get"):
        debian.unpacked(debian.CONTAINERD["2.1"])
