"""When files of configuration are read again, and what is in force meanwhile."""

import logging
import os
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from pulltrace.clock import Instant, Monotonic
from pulltrace.errors import ConfigError
from pulltrace.logs import LineFormatter, logfmt_line
from pulltrace.reread import Reread

pytestmark = pytest.mark.unit


@dataclass
class Hand:
    """A clock that is moved by hand. It begins long after any file was written."""

    wall: float = field(default_factory=lambda: time.time() + 60)
    monotonic: float = 0.0

    def now(self) -> Instant:
        return Instant(self.wall, Monotonic(self.monotonic))

    def after(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


@pytest.fixture
def clock() -> Hand:
    return Hand()


def read(path: Path) -> tuple[str, Collection[Path]]:
    """A file either holds a value, or names the file beside it that does: `see NAME`."""
    try:
        text = path.read_text()
        if not text.startswith("see "):
            return text, [path]
        other = path.with_name(text.removeprefix("see "))
        return other.read_text(), [path, other]
    except OSError as error:
        raise ConfigError([f"{error.filename}: {error.strerror}"]) from error


def write(path: Path, text: str) -> Path:
    """As whoever edits a file does: another file takes its name."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    fresh.replace(path)
    return path


def test_a_wrong_file_is_refused_at_the_start(tmp_path: Path, clock: Hand) -> None:
    with pytest.raises(ConfigError):
        Reread(tmp_path / "absent", read, clock)


@pytest.mark.parametrize("changed", [None, "config", "token"])
def test_files_are_read_again_when_any_of_them_has_changed(tmp_path: Path, clock: Hand, changed: str | None) -> None:
    write(tmp_path / "token", "one")
    config = Reread(write(tmp_path / "config", "see token"), read, clock)
    before = config.current()
    if changed:
        write(tmp_path / changed, (tmp_path / changed).read_text())
    clock.after(2)
    assert config.current() == before
    assert (config.current() is before) == (changed is None)


def test_a_mounted_secret_is_followed_through_its_symbolic_links(tmp_path: Path, clock: Hand) -> None:
    """Kubernetes puts the new files into a new folder and swaps a link to the folder."""
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "token").write_text(version)
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "token").symlink_to("..data/token")
    config = Reread(write(tmp_path / "config", "see token"), read, clock)
    assert config.current() == "one"
    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").replace(tmp_path / "..data")
    clock.after(2)
    assert config.current() == "two"


def test_files_are_looked_at_once_a_second_at_most(
    tmp_path: Path, clock: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Path] = []

    def look(path: Path) -> os.stat_result:
        looks.append(path)
        return path.stat()

    config = Reread(write(tmp_path / "config", "one"), read, clock)
    monkeypatch.setattr("pulltrace.reread.os", SimpleNamespace(stat=look))
    for step in (0.1, 0.4, 0.4, 0.2, 0.4, 0.7):
        clock.after(step)
        config.current()
    assert len(looks) == 2


def test_a_file_that_is_being_written_leaves_the_one_before_in_force(tmp_path: Path, clock: Hand) -> None:
    path = write(tmp_path / "config", "one")
    config = Reread(path, read, clock)
    clock.monotonic, clock.wall = 10, write(path, "").stat().st_ctime + 0.1
    assert config.current() == "one", "it is empty, for the moment"
    clock.after(0.5)
    assert config.current() == ""


@pytest.mark.parametrize("ahead", [-3600, 3600])
def test_a_change_is_not_waited_for_when_the_clock_was_stepped(tmp_path: Path, clock: Hand, ahead: float) -> None:
    path = write(tmp_path / "config", "one")
    config = Reread(path, read, clock)
    write(path, "two")
    clock.monotonic, clock.wall = 2, time.time() + ahead
    assert config.current() == "two"


def test_a_wrong_change_is_told_once_and_the_one_before_stays_until_it_is_mended(
    tmp_path: Path, clock: Hand, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    token = write(tmp_path / "token", "one")
    config = Reread(write(tmp_path / "config", "see token"), read, clock)
    token.unlink()
    for _ in range(3):
        clock.after(2)
        assert config.current() == "one"
        assert not config.last_reload_successful
    write(token, "two")
    clock.after(2)
    assert config.current() == "two"
    assert config.last_reload_successful
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert "token: No such file" in LineFormatter(logfmt_line).format(caplog.records[0])


def test_a_vanished_file_leaves_the_one_before_in_force(tmp_path: Path, clock: Hand) -> None:
    path = write(tmp_path / "config", "one")
    config = Reread(path, read, clock)
    path.unlink()
    clock.after(2)
    assert config.current() == "one"
    assert not config.last_reload_successful


def test_a_correction_in_a_file_that_was_never_read_is_seen(tmp_path: Path, clock: Hand) -> None:
    path = write(tmp_path / "config", "one")
    config = Reread(path, read, clock)
    write(path, "see token")
    clock.after(2)
    assert config.current() == "one"
    write(tmp_path / "token", "two")
    clock.after(2)
    assert config.current() == "two"


def test_a_change_while_the_files_are_read_is_seen(tmp_path: Path, clock: Hand) -> None:
    token = write(tmp_path / "token", "one")

    def read_then_changed(path: Path) -> tuple[str, Collection[Path]]:
        value, files = read(path)
        if value == "two":
            write(token, "three")
        return value, files

    config = Reread(write(tmp_path / "config", "see token"), read_then_changed, clock)
    write(token, "two")
    clock.after(2)
    assert config.current() == "two"
    clock.after(2)
    assert config.current() == "three"
