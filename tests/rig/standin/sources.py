"""Where blobs come from: one port, with a registry and invention behind it."""

from collections.abc import Generator
from typing import Protocol

from rig.standin.control import Token
from rig.standin.descriptors import Descriptor
from rig.standin.reference import Reference

MIB = 1024 * 1024

Chunk = bytes | int
"""Bytes that arrived, or how many when there are none to keep. A download advances by whole mebibytes."""


class SourceFailed(Exception):
    """The registry said no, or nothing sensible."""


class Source(Protocol):
    """A registry as the daemon sees it."""

    def resolve(self, reference: Reference, token: Token) -> Descriptor:
        """What the reference stands for now; raises SourceFailed, or the reason of `token`."""
        ...

    def chunks(self, reference: Reference, blob: Descriptor, offset: int, token: Token) -> Generator[Chunk, None, None]:
        """The blob from `offset` on; raises SourceFailed, or the reason of `token`."""
        ...
