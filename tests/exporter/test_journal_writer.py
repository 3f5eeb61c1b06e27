"""Lines that leave for a reader who may be slow, stand still or be gone."""

import errno
import fcntl
import logging
import os
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pulltrace.clock import SystemClock
from pulltrace_exporter.journal import NonblockingWriter

pytestmark = pytest.mark.unit

PIPE_BYTES = 4 * 4096
LINE = "x" * 99 + "\n"
FULL = "the journal cannot be written, its lines are dropped"
AGAIN = "the journal is written again"


@contextmanager
def a_pipe() -> Iterator[tuple[int, int]]:
    """Descriptors to read from and to write to, with room for a few pages."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    with os.fdopen(reader, "rb"), os.fdopen(writer, "wb"):
        yield reader, writer


def a_journal(descriptor: int, capacity: int = 100_000) -> NonblockingWriter:
    return NonblockingWriter(descriptor, SystemClock(), capacity)


def take(reader: int) -> str:
    """What can be read at once."""
    size = int.from_bytes(fcntl.ioctl(reader, termios.FIONREAD, bytes(4)), sys.byteorder)
    return os.read(reader, size).decode() if size else ""


def drain(reader: int, journal: NonblockingWriter) -> str:
    """All that is read from looks that write nothing new, until nothing comes."""
    came = ""
    while piece := take(reader):
        came += piece
        journal.write()
    return came


def said(logs: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in logs.records]


def fields(record: logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = vars(record)["pulltrace_fields"]
    return found


def test_lines_come_out_whole_and_in_order_when_the_reader_takes_its_time(caplog: pytest.LogCaptureFixture) -> None:
    lines = [f"{number:099d}\n" for number in range(500)]
    with a_pipe() as (reader, writer):
        journal = a_journal(writer)
        for line in lines:
            journal.write(line)
        assert drain(reader, journal) == "".join(lines)
    assert said(caplog) == []


def test_more_than_the_pipe_holds_goes_to_a_reader_that_reads() -> None:
    with a_pipe() as (reader, writer):
        program = "import sys; sys.exit(len(sys.stdin.buffer.read(50_000)) != 50_000)"
        with subprocess.Popen([sys.executable, "-c", program], stdin=reader) as process:
            journal = a_journal(writer)
            journal.write(LINE * 500)
            journal.close(10)
            assert process.wait(10) == 0


def test_lines_that_wait_are_written_before_the_end() -> None:
    with a_pipe() as (reader, writer):
        journal = a_journal(writer)
        journal.write(LINE * 60)
        came = take(reader)
        journal.close(10)
        assert came + take(reader) == LINE * 60


def test_a_reader_that_stands_still_costs_lines_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with a_pipe() as (reader, writer):
        journal = a_journal(writer, capacity=5000)
        for _ in range(200):
            journal.write(LINE * 5)
        assert said(caplog) == [FULL]
        came = drain(reader, journal)
        journal.write("after\n")
        assert take(reader) == "after\n"
    assert said(caplog) == [FULL, AGAIN]
    assert set(came.splitlines(keepends=True)) == {LINE}
    assert came.count("\n") + fields(caplog.records[1])["dropped"] == 200 * 5


def test_a_reader_that_is_gone_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb"):
        journal = a_journal(writer)
        for _ in range(3):
            journal.write(LINE)
        journal.close(10)
    assert said(caplog) == [FULL]


def test_a_descriptor_that_does_not_block_loses_nothing() -> None:
    with a_pipe() as (reader, writer):
        os.set_blocking(writer, False)
        journal = a_journal(writer)
        journal.write(LINE * 200)
        assert drain(reader, journal) == LINE * 200


def test_a_line_that_was_cut_off_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full in the middle of a line, and has room again."""
    file, write = tmp_path / "journal", os.write

    def no_room(_descriptor: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def little_room(descriptor: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", no_room)
        return write(descriptor, data[:150])

    with file.open("wb") as stream:
        journal = a_journal(stream.fileno())
        monkeypatch.setattr(os, "write", little_room)
        journal.write(LINE * 3)
        journal.write(LINE)
        monkeypatch.setattr(os, "write", write)
        journal.write("after\n")
    assert file.read_text().splitlines() == [LINE.strip(), "x" * 50, "after"]


@pytest.mark.parametrize("text", ["\u00fc\n", "\udcff\n"])
def test_no_character_ends_it(text: str) -> None:
    with a_pipe() as (reader, writer):
        journal = a_journal(writer)
        journal.write(text)
        journal.write(LINE)
        assert take(reader).endswith("\n" + LINE)
