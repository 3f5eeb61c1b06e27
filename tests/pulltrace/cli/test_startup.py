"""What is asked of the C library."""

import ctypes
import gc

import pytest

from pulltrace.cli import startup

pytestmark = pytest.mark.unit


class Library:
    def __init__(self) -> None:
        self.asked: dict[int, int] = {}

    def mallopt(self, parameter: ctypes.c_int, value: ctypes.c_int) -> int:
        self.asked[parameter.value] = value.value
        return 1


def test_large_blocks_are_given_back_and_heaps_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    startup.return_large_blocks(65536, arenas=2)
    assert library.asked == {startup.M_MMAP_THRESHOLD: 65536, startup.M_TRIM_THRESHOLD: 65536, startup.M_ARENA_MAX: 2}


def test_old_objects_are_searched_seldom() -> None:
    before = gc.get_threshold()
    try:
        startup.search_seldom_for_garbage()
        assert gc.get_threshold() == startup.GARBAGE_THRESHOLDS
        assert gc.isenabled()
    finally:
        gc.set_threshold(*before)


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    startup.return_large_blocks(65536)
