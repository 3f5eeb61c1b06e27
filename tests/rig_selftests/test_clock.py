"""Stepping the clock of one process."""

import sys
import time
from pathlib import Path

import pytest

from rig import clock, needs
from rig.processes import Process

pytestmark = pytest.mark.integration

TELL = """
import ctypes, time

library = ctypes.CDLL(None)
while True:
    print(time.time(), time.clock_gettime(5), library.time(None), time.monotonic(), flush=True)
    time.sleep(0.02)
"""


def test_the_wall_clock_of_one_process_is_stepped_and_set_right_again(tmp_path: Path) -> None:
    if reason := clock.reason_missing():
        needs.miss(reason)
    log = tmp_path / "log"
    process = Process([sys.executable, "-c", TELL], log)

    def difference() -> float:
        """Seconds by which its next line is ahead of our clock."""
        begun = log.stat().st_size
        process.wait_for(lambda: log.read_bytes()[begun:].count(b"\n") > 2, "tells no time", 30)
        assert process.status is None, process.tail()
        wall, coarse, whole, monotonic = map(float, log.read_text().splitlines()[-2].split())
        assert abs(wall - coarse) < 5
        assert abs(wall - whole) < 5
        assert abs(monotonic - time.monotonic()) < 30
        return wall - time.time()

    try:
        assert difference() == pytest.approx(0, abs=30)
        for seconds in (3600, -3600):
            with clock.stepped(seconds, process.pid):
                assert difference() == pytest.approx(seconds, abs=30)
            assert difference() == pytest.approx(0, abs=30)
    finally:
        process.kill()
