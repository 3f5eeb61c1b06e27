"""How exporters are asked, and when the files that say so are read again."""

import logging
import os
from pathlib import Path

import pytest

from pulltrace.clock import Instant, Monotonic
from pulltrace.errors import ConfigError
from pulltrace_aggregator.exporters.http_config import HttpAccess
from rig.pki import Authority

pytestmark = pytest.mark.unit

CA = Authority()


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.monotonic = 100.0

    def now(self) -> Instant:
        return Instant(0.0, Monotonic(self.monotonic))


def write(path: Path, text: str) -> Path:
    """As whoever edits a file does: another file takes its name."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    fresh.replace(path)
    return path


def after_a_while(clock: Hand) -> None:
    clock.monotonic += 1.5


def test_without_a_file_there_is_nothing_to_show() -> None:
    session = HttpAccess(None, Hand()).current()
    assert (session.https, session.authorization, session.server_name) == (False, "", "")


def test_a_wrong_file_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        HttpAccess(write(tmp_path / "http.yml", "a: b\n"), Hand())


def test_files_are_looked_at_once_a_second(tmp_path: Path) -> None:
    clock = Hand()
    path = write(tmp_path / "http.yml", "authorization:\n  credentials: one\n")
    access = HttpAccess(path, clock)
    first = access.current()
    write(path, "authorization:\n  credentials: two\n")
    clock.monotonic += 0.9
    assert access.current() is first
    clock.monotonic += 0.2
    assert access.current().authorization == "Bearer two"
    assert access.current().generation > first.generation


@pytest.mark.parametrize("name", ["password", "ca.crt", "http.yml"])
def test_any_of_the_files_counts(tmp_path: Path, name: str) -> None:
    clock = Hand()
    CA.write(tmp_path)
    (tmp_path / "password").write_text("one")
    path = write(
        tmp_path / "http.yml",
        "tls_config:\n  ca_file: ca.crt\nbasic_auth:\n  username: a\n  password_file: password\n",
    )
    access = HttpAccess(path, clock)
    before = access.current(), access.context()
    after_a_while(clock)
    assert (access.current(), access.context()) == before
    changed = tmp_path / name
    write(changed, changed.read_text() + "\n")
    after_a_while(clock)
    assert access.current().generation == before[0].generation + 1
    assert access.context() is not before[1]


def test_a_secret_that_kubernetes_swaps_is_read_again(tmp_path: Path) -> None:
    clock = Hand()
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "token").write_text(version)
    (tmp_path / "..data").symlink_to("v1")
    (tmp_path / "token").symlink_to("..data/token")
    access = HttpAccess(write(tmp_path / "http.yml", "authorization:\n  credentials_file: token\n"), clock)
    assert access.current().authorization == "Bearer v1"
    (tmp_path / "..new").symlink_to("v2")
    (tmp_path / "..new").replace(tmp_path / "..data")
    after_a_while(clock)
    assert access.current().authorization == "Bearer v2"


def test_a_wrong_change_is_told_once_and_the_one_before_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Hand()
    path = write(tmp_path / "http.yml", "authorization:\n  credentials_file: token\n")
    token = write(tmp_path / "token", "one")
    access = HttpAccess(path, clock)
    token.unlink()
    for _ in range(3):
        after_a_while(clock)
        assert access.current().authorization == "Bearer one"
        assert not access.last_reload_successful
    write(token, "two")
    after_a_while(clock)
    assert access.current().authorization == "Bearer two"
    assert access.last_reload_successful
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


def test_a_correction_in_a_file_that_was_never_read_is_seen(tmp_path: Path) -> None:
    clock = Hand()
    path = write(tmp_path / "http.yml", "authorization:\n  credentials: one\n")
    access = HttpAccess(path, clock)
    write(path, "authorization:\n  credentials_file: token\n")
    after_a_while(clock)
    assert access.current().authorization == "Bearer one"
    write(tmp_path / "token", "two")
    after_a_while(clock)
    assert access.current().authorization == "Bearer two"


def test_a_change_while_the_files_are_read_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Hand()
    token = write(tmp_path / "token", "one")
    path = write(tmp_path / "http.yml", "authorization:\n  credentials_file: token\n")
    access = HttpAccess(path, clock)
    reads = Path.read_text

    def read_then_changed(file: Path, *arguments: str) -> str:
        text = reads(file, *arguments)
        if file == token and text == "two":
            write(token, "three")
        return text

    monkeypatch.setattr(Path, "read_text", read_then_changed)
    write(token, "two")
    after_a_while(clock)
    assert access.current().authorization == "Bearer two"
    after_a_while(clock)
    assert access.current().authorization == "Bearer three"


def test_the_credentials_are_not_shown(tmp_path: Path) -> None:
    access = HttpAccess(write(tmp_path / "http.yml", "authorization:\n  credentials: geheim\n"), Hand())
    assert "geheim" not in repr(access.current())
    assert os.fspath(tmp_path) not in repr(access.current())
