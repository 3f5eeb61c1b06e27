"""Which nodes a replica of the aggregator takes. Pure, and the same in every replica and every release."""

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

_SHARD: Final = re.compile(r"(?:[a-z0-9][a-z0-9.-]*-)?([0-9]{1,9})/([0-9]{1,9})", re.ASCII)
"""The number of the share alone, or at the end of the name of a StatefulSet's pod."""
_HASH_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Shard:
    """Share number `index`, from 0, of `count`. The default is all nodes."""

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `i/n`, or `name-i/n`, where `name-i` is the name of a StatefulSet's pod; raises ValueError."""
        found = _SHARD.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not a shard: write it like 0/3, 1/3, 2/3")
        index, count = int(found[1]), int(found[2])
        if count == 0:
            raise ValueError(f"{text!r}: there must be at least one shard")
        if index >= count:
            raise ValueError(f"{text!r}: of {count} shards the first is 0 and the last {count - 1}")
        return cls(index, count)

    def owns(self, node: str) -> bool:
        """Whether the node is in this share: the first 8 bytes of the SHA-256 of its name, big-endian, decide."""
        digest = sha256(node.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:_HASH_BYTES], "big") % self.count == self.index

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"
