"""Which exporters there are: EndpointSlices and flags in, one target for each node of this shard out. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pulltrace_aggregator.exporters.target import Target
from pulltrace_aggregator.model.cluster import Endpoint, SliceGone, SliceSeen
from pulltrace_aggregator.sharding import Shard


@dataclass(frozen=True, slots=True)
class Resolution:
    """The target of each node. `rivals` has the base URLs that were passed over where more than one was as good."""

    targets: Mapping[str, Target]
    rivals: Mapping[str, tuple[str, ...]]


class Discovery:
    """Knows the slices of the exporters' Service and the targets that were given by flag."""

    def __init__(self, given: Iterable[Target] = (), shard: Shard | None = None) -> None:
        self._shard = shard or Shard()
        self._given = {target.node: target for target in given if self._shard.owns(target.node)}
        self._slices: dict[tuple[str, str], tuple[Endpoint, ...]] = {}
        self._chosen: Mapping[str, Target] = self._given

    def receive(self, observed: SliceSeen | SliceGone) -> None:
        """Take a change of a slice."""
        key = observed.namespace, observed.name
        if isinstance(observed, SliceSeen):
            self._slices[key] = tuple(end for end in observed.endpoints if self._shard.owns(end.node))
        else:
            self._slices.pop(key, None)

    def resolve(self, *, https: bool) -> Resolution:
        """One target for each node: the one given by flag, else the best of its endpoints."""
        scheme = "https" if https else "http"
        chosen, rivals = {}, {}
        for node, endpoints in self._by_node().items():
            best, passed_over = self._choose(node, endpoints, scheme)
            chosen[node] = best
            if passed_over:
                rivals[node] = tuple(target.base_url for target in passed_over)
        self._chosen = {**chosen, **self._given}
        return Resolution(self._chosen, rivals)

    def _by_node(self) -> Mapping[str, set[Endpoint]]:
        found: dict[str, set[Endpoint]] = {}
        for endpoints in self._slices.values():
            for endpoint in endpoints:
                found.setdefault(endpoint.node, set()).add(endpoint)
        return found

    def _choose(self, node: str, endpoints: Iterable[Endpoint], scheme: str) -> tuple[Target, list[Target]]:
        """A ready one, of IPv4 where there are both, and rather the present one than another that is as good."""
        ranked = sorted((_rank(endpoint), _target(endpoint, scheme)) for endpoint in endpoints)
        best = [target for rank, target in ranked if rank == ranked[0][0]]
        if node in self._given:
            return self._given[node], [target for target in best if target != self._given[node]]
        kept = self._chosen.get(node)
        winner = kept if kept in best else best[0]
        return winner, [target for target in best if target != winner]


def _rank(endpoint: Endpoint) -> tuple[bool, bool]:
    return not endpoint.ready, ":" in endpoint.address


def _target(endpoint: Endpoint, scheme: str) -> Target:
    return Target(endpoint.node, scheme, endpoint.address, endpoint.port)
