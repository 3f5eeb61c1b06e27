"""Lines that leave for a reader who may be slow, stand still or be gone."""

import errno
import fcntl
import logging
import os
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pulltrace_exporter.outlet import Outlet

pytestmark = pytest.mark.unit

PIPE_BYTES = 4096
LINE = "x" * 99 + "\n"


@contextmanager
def a_pipe() -> Iterator[tuple[int, int]]:
    """Descriptors to read from and to write to, with room for a page."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    with os.fdopen(reader, "rb"), os.fdopen(writer, "wb"):
        yield reader, writer


@contextmanager
def an_outlet(descriptor: int, capacity: int = 100_000) -> Iterator[Outlet]:
    outlet = Outlet(descriptor, capacity)
    outlet.start()
    yield outlet
    outlet.close(0)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def read(reader: int, size: int) -> str:
    """So many bytes; waits until they come."""
    data = b""
    while len(data) < size:
        data += os.read(reader, size - len(data))
    return data.decode()


def waiting(reader: int) -> int:
    """Bytes that can be read at once."""
    return int.from_bytes(fcntl.ioctl(reader, termios.FIONREAD, bytes(4)), sys.byteorder)


def drops(logs: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in logs.records]


def said(record: logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = vars(record)["pulltrace_fields"]
    return found


def test_lines_come_out_whole_and_in_order_however_slow_the_reader_is() -> None:
    lines = [f"{number:099d}\n" for number in range(500)]
    with a_pipe() as (reader, writer), an_outlet(writer) as outlet:
        for line in lines:
            outlet.write(line)
        assert read(reader, 50_000) == "".join(lines)


def test_what_waits_is_written_before_the_end() -> None:
    with a_pipe() as (reader, writer):
        with an_outlet(writer) as outlet:
            outlet.write(LINE * 3)
            outlet.close(10)
        assert read(reader, 300) == LINE * 3


def test_a_reader_that_stands_still_costs_lines_and_no_time(caplog: pytest.LogCaptureFixture) -> None:
    with a_pipe() as (reader, writer), an_outlet(writer, capacity=5000) as outlet:
        outlet.write("x" * (PIPE_BYTES - 1) + "\n")
        wait_for(lambda: waiting(reader) == PIPE_BYTES)
        for _ in range(200):
            outlet.write(LINE * 5)
        assert drops(caplog) == ["the journal cannot be written, its lines are dropped"]
        read(reader, PIPE_BYTES)
        came = ""
        while len(caplog.records) != 2:
            came += read(reader, waiting(reader))
        outlet.write("after\n")
        while not came.endswith("after\n"):
            came += read(reader, 1)
    assert drops(caplog)[1:] == ["the journal is written again"]
    whole = came.removesuffix("after\n").splitlines(keepends=True)
    assert set(whole) == {LINE}
    assert len(whole) + said(caplog.records[1])["dropped"] == 200 * 5


def test_a_reader_that_is_gone_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb"), an_outlet(writer) as outlet:
        for _ in range(3):
            outlet.write(LINE)
            wait_for(lambda: caplog.records)
        outlet.close(10)
    assert drops(caplog) == ["the journal cannot be written, its lines are dropped"]


def test_a_descriptor_that_does_not_block_loses_nothing() -> None:
    with a_pipe() as (reader, writer), an_outlet(writer) as outlet:
        os.set_blocking(writer, False)
        outlet.write(LINE * 200)
        assert read(reader, 20_000) == LINE * 200


def test_a_line_that_was_cut_off_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full in the middle of a line, and has room again."""
    file, write, room = tmp_path / "journal", os.write, iter([150])

    def full(descriptor: int, data: memoryview) -> int:
        if len(data) <= (left := next(room, len(data))):
            return write(descriptor, data)
        monkeypatch.setattr(os, "write", no_room)
        return write(descriptor, data[:left])

    def no_room(_descriptor: int, _data: memoryview) -> int:
        monkeypatch.setattr(os, "write", write)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with file.open("wb") as stream, an_outlet(stream.fileno()) as outlet:
        outlet.write(LINE * 3)
        wait_for(lambda: os.write is write)
        outlet.write("after\n")
        outlet.close(10)
    assert file.read_text().splitlines() == [LINE.strip(), "x" * 50, "after"]


@pytest.mark.parametrize("text", ["\u00fc\n", "\udcff\n"])
def test_no_character_ends_it(text: str) -> None:
    with a_pipe() as (reader, writer), an_outlet(writer) as outlet:
        outlet.write(text)
        outlet.write(LINE)
        outlet.close(10)
        assert read(reader, waiting(reader)).endswith(LINE)
