"""What differs between configurations of containerd, as far as a reader of its API can see."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flavour:
    """A version with its settings. What versions before 2.1 do otherwise, only the real ones show.

    `downloads`: layers that the whole daemon fetches at once. `unpacks`: layers that one pull unpacks at once.
    `fetch_buffer`: bytes per request when a layer is fetched in several at once, 0 for one.
    """

    name: str
    version: str
    downloads: int = 3
    unpacks: int = 1
    discards_unpacked_layers: bool = False
    fetch_buffer: int = 0


V2_1 = Flavour("standin", "2.1.9")
