"""How the C library keeps memory: what a large page or a burst of pulls needed for a moment is given back."""

import ctypes
from typing import Final

M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
M_ARENA_MAX: Final = -8

LARGE_BYTES: Final = 64 * 1024
ARENAS: Final = 2


def keep_small() -> None:
    """Give large blocks a mapping of their own, and threads a common heap.

    glibc moves the first threshold up to 32 MiB by itself once a large block was freed: from then on each scrape's
    page leaves a hole in the heap that something small soon pins down. Does nothing with another C library.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    for parameter, value in ((M_MMAP_THRESHOLD, LARGE_BYTES), (M_TRIM_THRESHOLD, LARGE_BYTES), (M_ARENA_MAX, ARENAS)):
        mallopt(ctypes.c_int(parameter), ctypes.c_int(value))
