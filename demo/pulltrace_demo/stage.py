"""A node and what is pulled to it, set up in a temporary folder and taken down without a trace."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pulltrace_demo.play import PlayedNode
from pulltrace_demo.real_shop import RealShop
from pulltrace_demo.shop import Shop, SyntheticShop
from rig import containerd
from rig.registry import Registry
from rig.standin import V2_1, StandIn, SyntheticRegistry

UNPACK_SPEED = 900e6
LONGEST_PARENT = 60


class Unavailable(Exception):
    """What was asked for cannot be had on this machine; the text says why."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that a play needs; `folder` is for its files."""

    title: str
    folder: Path
    node: PlayedNode
    shop: Shop


@contextmanager
def synthetic(seed: int) -> Iterator[Stage]:
    """A stand-in for containerd, and images that are numbers."""
    registry = SyntheticRegistry()
    flavour = replace(V2_1, downloads=8)
    with a_folder() as folder:
        node = StandIn(folder / "c", registry, flavour=flavour, unpack_seconds=lambda layer: layer.size / UNPACK_SPEED)
        with node:
            title = f"Pulltrace on a stand-in for containerd {node.version}; Ctrl-C ends"
            yield Stage(title, folder, node, SyntheticShop(registry, seed))


@contextmanager
def real(seed: int) -> Iterator[Stage]:
    """The newest containerd that can be had here, and a registry on loopback; raises Unavailable."""
    reasons = containerd.available()
    usable = [label for label, reason in reasons.items() if not reason]
    if not usable:
        raise Unavailable("; ".join(f"containerd {label}: {reason}" for label, reason in reasons.items()))
    with a_folder() as folder, Registry() as registry, containerd.RealContainerd.fresh(usable[-1]) as node:
        shop = RealShop(registry, seed)
        try:
            yield Stage(f"Pulltrace on containerd {node.version}; Ctrl-C ends", folder, node, shop)
        finally:
            shop.close()


@contextmanager
def a_folder() -> Iterator[Path]:
    """A temporary one with a short path."""
    usual = tempfile.gettempdir()
    # The path of a unix socket has 107 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix="pulltrace-demo-", dir=usual if len(usual) <= LONGEST_PARENT else "/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
