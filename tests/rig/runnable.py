"""Images that run: a busybox without libraries, and what a test wants beside it."""

from collections.abc import Iterable
from functools import cache

from rig import debian
from rig.images import Image, Layer, build, file_layer

FOREVER = ("/bin/busybox", "sh", "-c", "trap exit TERM; /bin/busybox sleep 1000000 & wait")
"""Runs until it is asked to end, and obeys at once."""


@cache
def base() -> Layer:
    """The layer with the program; about a megabyte."""
    program = debian.unpacked(debian.BUSYBOX) / debian.BUSYBOX.program
    return file_layer({"bin/busybox": program.read_bytes()})


def runnable(
    repository: str, layers: Iterable[Layer | int] = (), *, tag: str = "v1", entrypoint: Iterable[str] = FOREVER
) -> Image:
    """An image whose containers run until they are stopped; `layers` come on top."""
    return build(repository, (base(), *layers), tag=tag, entrypoint=tuple(entrypoint))


def sandbox() -> Image:
    """What holds the namespaces of a pod."""
    return build("rig/pause", (base(),), entrypoint=FOREVER)
