"""The wall clock of a running process, stepped for it alone: the clock of the machine is everybody's.

A program asks the time in the vDSO, code that the kernel maps into each process. Here this code of one process is
replaced by calls of the kernel, to whose answer a number of seconds is added. So it works for programs in Go as well,
which do not use the C library whose functions `faketime` replaces. What the kernel stamps itself, as the times of
files, is not stepped.
"""

import ctypes
import os
import platform
import signal
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

SECONDS: Final = 64
"""Where the number stands, counted from the start of the code for `clock_gettime`, which is longer."""
DYNAMIC_SYMBOLS: Final = 11
"""The type of a section."""
TIMEOUT: Final = 10.0
INTERVAL: Final = 0.005

# Each ends by adding the number to what the kernel has answered. The four bytes after each opcode that reads the number
# are its distance from the next instruction.
CODE: Final[Mapping[str, tuple[str, str]]] = {
    # clock_gettime(edi, rsi): only CLOCK_REALTIME (0) and CLOCK_REALTIME_COARSE (5)
    "clock_gettime": ("b8e4000000 0f05 85ff 7406 83ff05 7401 c3 488b0d", "48010e c3"),
    # gettimeofday(rdi, rsi); the first may be null
    "gettimeofday": ("b860000000 0f05 488b0d", "4885ff 7403 48010f c3"),
    # time(rdi); may be null
    "time": ("b8c9000000 0f05 480305", "4885ff 7403 488907 c3"),
}


class NoClock(Exception):
    """The clock of a process cannot be stepped here."""


def reason_missing() -> str:
    """Why no clock can be stepped here; empty where it can."""
    return "" if platform.machine() == "x86_64" and os.geteuid() == 0 else "stepping clocks needs x86_64 and root"


@contextmanager
def stepped(seconds: int, *pids: int) -> Iterator[None]:
    """The processes' clocks show so much more meanwhile. They must run, and not be stopped."""
    numbers = [_place(pid) for pid in pids]
    try:
        for pid, at in zip(pids, numbers, strict=True):
            _write(pid, at, struct.pack("<q", seconds))
        yield
    finally:
        for pid, at in zip(pids, numbers, strict=True):
            _write(pid, at, struct.pack("<q", 0))


def _place(pid: int) -> int:
    """Give a process the code, whether it has it or not; the address of the number."""
    start, functions = _vdso(pid), _functions()
    number = start + functions["clock_gettime"][0] + SECONDS
    code = {start + functions[name][0]: _code(name, functions[name][0]) for name in CODE}
    places = [functions[name] for name in CODE]
    with _stopped_outside(pid, [(start + place, start + place + extent) for place, extent in places]):
        _write(pid, number, struct.pack("<q", 0))
        for at, each in code.items():
            _write(pid, at, each)
    return number


def _code(name: str, start: int) -> bytes:
    before, after = map(bytes.fromhex, CODE[name])
    number = _functions()["clock_gettime"][0] + SECONDS
    return before + struct.pack("<i", number - (start + len(before) + 4)) + after


@contextmanager
def _stopped_outside(pid: int, ranges: list[tuple[int, int]]) -> Iterator[None]:
    """No thread of the process runs meanwhile, or would go on in one of these ranges."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        os.kill(pid, signal.SIGSTOP)
        try:
            positions = [_position(task) for task in Path(f"/proc/{pid}/task").iterdir()]
            if not any(at is None or low <= at < high for at in positions for low, high in ranges):
                yield
                return
        finally:
            os.kill(pid, signal.SIGCONT)
        if time.monotonic() > deadline:
            raise NoClock(f"process {pid} does not stop at another place")
        time.sleep(INTERVAL)


def _position(task: Path) -> int | None:
    """Where a thread that is stopped will go on; None for one that still runs."""
    words = (task / "syscall").read_text().split()
    stopped = (task / "stat").read_text().rpartition(")")[2].split()[0] in "Tt"
    return int(words[-1], 16) if stopped and words[0] != "running" else None


def _write(pid: int, at: int, what: bytes) -> None:
    with Path(f"/proc/{pid}/mem").open("r+b", buffering=0) as memory:
        memory.seek(at)
        memory.write(what)


def _vdso(pid: int | str) -> int:
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        if line.endswith("[vdso]"):
            return int(line.partition("-")[0], 16)
    raise NoClock(f"process {pid} has no vDSO")


@cache
def _functions() -> dict[str, tuple[int, int]]:
    """Place and size of the functions in the vDSO, which is the same file in all processes."""
    if reason := reason_missing():
        raise NoClock(reason)
    start = _vdso("self")
    # An ELF file: its header says where the table of sections is, which stands at the end.
    (table,) = struct.unpack("<Q", ctypes.string_at(start + 40, 8))
    size, count = struct.unpack("<HH", ctypes.string_at(start + 58, 4))
    file = ctypes.string_at(start, table + size * count)
    sections = [struct.unpack_from("<IIQQQQI", file, table + size * number) for number in range(count)]
    _, _, _, _, first, length, link = next(section for section in sections if section[1] == DYNAMIC_SYMBOLS)
    names = sections[link][4]
    found: dict[str, tuple[int, int]] = {}
    for name, _, _, _, place, extent in struct.iter_unpack("<IBBHQQ", file[first : first + length]):
        text = file[names + name : file.index(b"\0", names + name)].decode()
        found[text.removeprefix("__vdso_")] = place, extent
    for name, parts in CODE.items():
        needed = SECONDS + 8 if name == "clock_gettime" else len(bytes.fromhex("".join(parts))) + 4
        if found[name][1] < needed:
            raise NoClock(f"{name} of the vDSO has {found[name][1]} bytes, and {needed} are needed")
    return found
