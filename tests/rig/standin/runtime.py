"""What all pulls of one daemon share, and what the parts of one pull share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rig.standin.control import Crew, Gate, KeyedLocks, Slots, Token
from rig.standin.descriptors import Descriptor
from rig.standin.reference import Reference
from rig.standin.sources import Source
from rig.standin.store import Store

if TYPE_CHECKING:  # its job is one of those here
    from rig.standin.remote import RemoteSnapshotter

CLIENT_DOWNLOADS = 16
WITHOUT_LIMIT = 1 << 20


class PullError(Exception):
    """A pull cannot go on; the text is the daemon's."""


def fast_unpack(layer: Descriptor) -> float:
    """Seconds to unpack a layer on a good disk."""
    return layer.size / 400e6


@dataclass(slots=True)
class Runtime:
    """The daemon's side of pulling.

    `unpack_seconds` says how long a layer takes, `unpacking` holds that stage when closed, `remote` is the snapshotter
    where that is a program of its own, `pause` is the moment between steps that containerd writes one after the other.
    """

    store: Store
    source: Source
    snapshotter: str
    unpack_seconds: Callable[[Descriptor], float] = fast_unpack
    remote: "RemoteSnapshotter | None" = None
    pause: float = 0.004
    locks: KeyedLocks = field(default_factory=KeyedLocks)
    unpacking: Gate = field(default_factory=Gate)
    slots: Slots = field(init=False)

    def __post_init__(self) -> None:
        self.slots = Slots(self.store.flavour.downloads)


@dataclass(slots=True)
class Job:
    """One pull at work under its lease."""

    runtime: Runtime
    reference: Reference
    lease: str
    token: Token
    locks: KeyedLocks
    slots: Slots
    workers: int
    crew: Crew = field(init=False)

    def __post_init__(self) -> None:
        self.crew = Crew(self.token)

    @classmethod
    def of_daemon(cls, runtime: Runtime, reference: Reference, lease: str, token: Token) -> "Job":
        return cls(runtime, reference, lease, token, runtime.locks, runtime.slots, runtime.store.flavour.downloads)

    @classmethod
    def of_client(cls, runtime: Runtime, reference: Reference, lease: str, token: Token) -> "Job":
        """A pull by a client process: it shares no locks with anybody and downloads all layers at once."""
        return cls(runtime, reference, lease, token, KeyedLocks(), Slots(WITHOUT_LIMIT), CLIENT_DOWNLOADS)

    @property
    def store(self) -> Store:
        return self.runtime.store

    def moment(self) -> None:
        self.token.wait(self.runtime.pause)
