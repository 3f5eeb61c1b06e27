"""Which digest a reference has led to elsewhere in the cluster."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from pulltrace.clock import NodeTime
from pulltrace.model.pull import ImageKey, Phase, Pull
from pulltrace_aggregator.model.image_names import ImageName, image_name

MOST_REFERENCES: Final = 10_000


class TagDigests:
    """References and the digests that were pulled for them. They rank candidates and make none: tags move."""

    def __init__(self, limit: int = MOST_REFERENCES) -> None:
        self._limit = limit
        self._digests: OrderedDict[str, str] = OrderedDict()
        self._known: dict[str, frozenset[tuple[ImageKey, NodeTime | None]]] = {}

    def digest_of(self, name: ImageName) -> str | None:
        """The digest that the reference led to last."""
        return self._digests.get(name.canonical)

    def update(self, node: str, pulls: Iterable[Pull]) -> None:
        """Learn from the pulls of a node's report, from each success once: a later one elsewhere may be newer."""
        succeeded = {(pull.key, pull.started_at): pull for pull in pulls if pull.phase is Phase.SUCCEEDED}
        before = self._known.get(node, frozenset())
        for identity, pull in succeeded.items():
            if identity not in before:
                self._learn(pull)
        if succeeded:
            self._known[node] = frozenset(succeeded)
        else:
            self._known.pop(node, None)

    def _learn(self, pull: Pull) -> None:
        for reference in pull.references:
            name = image_name(reference)
            if name is None or name.digest is not None:
                continue
            self._digests[name.canonical] = pull.key.digest
            self._digests.move_to_end(name.canonical)
            if len(self._digests) > self._limit:
                self._digests.popitem(last=False)
