"""What a program does before its modules are loaded. This module itself imports next to nothing."""

import gc
import os
import signal
from typing import Final

M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
M_ARENA_MAX: Final = -8

_DEFAULT_TRIM_BYTES: Final = 128 * 1024


GARBAGE_THRESHOLDS: Final = (5_000, 10, 100)
"""Those of Python 3.11 are 700, 10, 10."""


def exit_on_signals() -> None:
    """End this process at once with status 0 on SIGTERM and SIGINT, until the program sets its own handlers.

    Loading takes a second, and several under a CPU limit. Process 1 of a container ignores a signal without a handler:
    it would be killed when the grace period of its pod is over. Nothing is open yet that would have to be closed.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: os._exit(0))


def search_seldom_for_garbage() -> None:
    """Have Python search seldom for cycles of references among objects that are old.

    Nearly all objects here are values without cycles, freed at once. A search stops all threads: for 40 ms where there
    are a hundred thousand objects, and every second scrape of a large cluster made one.
    """
    gc.set_threshold(*GARBAGE_THRESHOLDS)


def return_large_blocks(large_bytes: int, arenas: int | None = None) -> None:
    """Have the C library return each freed block of this size to the system at once, and keep at most so many heaps.

    glibc raises the size by itself, up to 32 MiB, once a large block was freed. From then on each page of a scrape
    leaves a hole in the heap, which a small block soon keeps in use. Does nothing with another C library.
    """
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    parameters = {M_MMAP_THRESHOLD: large_bytes, M_TRIM_THRESHOLD: min(large_bytes, _DEFAULT_TRIM_BYTES)}
    if arenas:
        parameters[M_ARENA_MAX] = arenas
    for parameter, value in parameters.items():
        mallopt(ctypes.c_int(parameter), ctypes.c_int(value))
