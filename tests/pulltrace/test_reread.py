"""When files of configuration are read again, and what is in force meanwhile."""

import logging
import os
import time
from collections.abc import Collection
from pathlib import Path
from types import SimpleNamespace

import pytest

from pulltrace.errors import ConfigError
from pulltrace.logs import LineFormatter, logfmt_line
from pulltrace.reread import Reread
from rig.sample_views import FixedClock
from rig.web import put

pytestmark = pytest.mark.unit


class Hand(FixedClock):
    """A clock that is moved by hand."""

    def after(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


@pytest.fixture
def clock() -> Hand:
    """It begins long after any file was written."""
    return Hand(time.time() + 60)


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


def test_a_wrong_file_is_refused_at_the_start(tmp_path: Path, clock: Hand) -> None:
    with pytest.raises(ConfigError):
        Reread(tmp_path / "absent", read, clock)


@pytest.mark.parametrize("changed", [None, "config", "token"])
def test_files_are_read_again_when_any_of_them_has_changed(tmp_path: Path, clock: Hand, changed: str | None) -> None:
    put(tmp_path / "token", "one")
    config = Reread(put(tmp_path / "config", "see token"), read, clock)
    before = config.current()
    if changed:
        put(tmp_path / changed, (tmp_path / changed).read_text())
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
    config = Reread(put(tmp_path / "config", "see token"), read, clock)
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

    config = Reread(put(tmp_path / "config", "one"), read, clock)
    monkeypatch.setattr("pulltrace.reread.os", SimpleNamespace(stat=look))
    for step in (0.1, 0.4, 0.4, 0.2, 0.4, 0.7):
        clock.after(step)
        config.current()
    assert len(looks) == 2


def test_a_file_that_is_being_written_leaves_the_one_before_in_force(tmp_path: Path, clock: Hand) -> None:
    path = put(tmp_path / "config", "one")
    config = Reread(path, read, clock)
    clock.monotonic, clock.wall = 10, put(path, "").stat().st_ctime + 0.1
    assert config.current() == "one", "it is empty, for the moment"
    clock.after(0.5)
    assert config.current() == ""


@pytest.mark.parametrize("ahead", [-3600, 3600])
def test_a_change_is_not_waited_for_when_the_clock_was_stepped(tmp_path: Path, clock: Hand, ahead: float) -> None:
    path = put(tmp_path / "config", "one")
    config = Reread(path, read, clock)
    put(path, "two")
    clock.monotonic, clock.wall = 2, time.time() + ahead
    assert config.current() == "two"


@pytest.mark.parametrize("gone", ["config", "token"])
def test_a_wrong_change_is_told_once_and_the_one_before_stays_until_it_is_mended(
    tmp_path: Path, clock: Hand, caplog: pytest.LogCaptureFixture, gone: str
) -> None:
    caplog.set_level(logging.INFO)
    put(tmp_path / "token", "one")
    config = Reread(put(tmp_path / "config", "see token"), read, clock)
    (tmp_path / gone).unlink()
    for _ in range(3):
        clock.after(2)
        assert config.current() == "one"
        assert not config.last_reload_successful
    put(tmp_path / gone, "two")
    clock.after(2)
    assert config.current() == "two"
    assert config.last_reload_successful
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert f"{gone}: No such file" in LineFormatter(logfmt_line).format(caplog.records[0])


def test_a_correction_in_a_file_that_was_never_read_is_seen(tmp_path: Path, clock: Hand) -> None:
    path = put(tmp_path / "config", "one")
    config = Reread(path, read, clock)
    put(path, "see token")
    clock.after(2)
    assert config.current() == "one"
    put(tmp_path / "token", "two")
    clock.after(2)
    assert config.current() == "two"


def test_a_change_while_the_files_are_read_is_seen(tmp_path: Path, clock: Hand) -> None:
    token = put(tmp_path / "token", "one")

    def read_then_changed(path: Path) -> tuple[str, Collection[Path]]:
        value, files = read(path)
        if value == "two":
            put(token, "three")
        return value, files

    config = Reread(put(tmp_path / "config", "see token"), read_then_changed, clock)
    put(token, "two")
    clock.after(2)
    assert config.current() == "two"
    clock.after(2)
    assert config.current() == "three"
