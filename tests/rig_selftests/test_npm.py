"""What comes from npm is the archive that is named, or nothing."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from rig import npm
from rig.caching import Unavailable

pytestmark = pytest.mark.unit

NPM = """#!/bin/sh
mkdir package && echo hello > package/file && tar -czf tool-1.tgz package && rm -r package
"""
PACKAGE = npm.Package("@scope/tool", "1", "AAAA", "file")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose npm brings an archive of its own."""
    program = tmp_path / "bin/npm"
    program.parent.mkdir()
    program.write_text(NPM)
    program.chmod(0o755)
    monkeypatch.setenv("PULLTRACE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return tmp_path


def test_an_archive_with_another_hash_is_refused_and_leaves_nothing(machine: Path) -> None:
    with pytest.raises(Unavailable, match=r"@scope/tool@1 of npm: another archive than expected"):
        npm.unpacked(PACKAGE)
    assert [path.suffix for path in (machine / "cache/npm").iterdir()] == [".lock"]


def test_the_archive_is_unpacked_and_used_again_without_npm(
    machine: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = replace(PACKAGE, sha512=_hash_of_what_npm_brings(tmp_path, monkeypatch))
    file = npm.unpacked(package)
    assert file.read_text() == "hello\n"
    monkeypatch.setenv("PATH", "")
    assert npm.unpacked(package) == file


def test_without_npm_the_reason_says_what_to_install(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unavailable, match="apt-get install npm"):
        npm.unpacked(PACKAGE)


def _hash_of_what_npm_brings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An archive holds times: make it once, and let npm bring that very file."""
    subprocess.run(["npm"], cwd=folder, check=True)
    archive = folder / "tool-1.tgz"
    (folder / "bin/npm").write_text(f"#!/bin/sh\ncp {archive} .\n")
    with pytest.raises(Unavailable) as refused:
        npm.unpacked(PACKAGE)
    return str(refused.value).rsplit(" ", 1)[1]
