"""Where the exporters are: EndpointSlices and flags in, one target for each node of this shard out. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import SplitResult, urlsplit

from pulltrace_aggregator.model.cluster import Endpoint, SliceGone, SliceSeen
from pulltrace_aggregator.sharding import Shard

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]+", re.ASCII)
LONGEST_NODE_NAME: Final = 253


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """A node and its exporter's base URL; `host` is a name or an address, IPv6 without brackets."""

    node: str
    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `NODE=BASE-URL`; raises ValueError, also for a URL with more than a scheme, a host and a port."""
        node, equals, url = text.partition("=")
        if not equals:
            raise ValueError(f"{text!r} is not a target: write it like node-1=http://10.0.0.1:10301")
        if not 0 < len(node) <= LONGEST_NODE_NAME or not node.isprintable() or " " in node:
            raise ValueError(f"{text!r}: {node!r} is not a node name")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"{text!r}: {url!r} is not a URL: {error}") from None
        _check(text, parts)
        host = parts.hostname or ""
        return cls(node, parts.scheme, host, _DEFAULT_PORTS[parts.scheme] if port is None else port)

    @property
    def authority(self) -> str:
        """Host and port as the header `Host` has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS.get(self.scheme) else f"{host}:{self.port}"

    @property
    def base_url(self) -> str:
        """The URL without a path."""
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True, slots=True)
class Resolution:
    """The target of each node. `rivals` are the base URLs of its other endpoints that rank highest."""

    targets: Mapping[str, Target]
    rivals: Mapping[str, tuple[str, ...]]


class Discovery:
    """Knows the EndpointSlices of the exporters' Service and the targets given by flag."""

    def __init__(self, given: Iterable[Target] = (), shard: Shard | None = None) -> None:
        self._shard = shard or Shard()
        self._given = {target.node: target for target in given if self._shard.owns(target.node)}
        self._slices: dict[tuple[str, str], tuple[Endpoint, ...]] = {}
        self._chosen: Mapping[str, Target] = self._given

    def receive(self, observed: SliceSeen | SliceGone) -> None:
        """Take a change of an EndpointSlice."""
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
            chosen[node], passed_over = self._choose(node, endpoints, scheme)
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
        """The best endpoint: a ready one, then one with IPv4. Of several equal ones the present one stays."""
        ranked = sorted(
            ((not end.ready, ":" in end.address), Target(end.node, scheme, end.address, end.port)) for end in endpoints
        )
        best = [target for rank, target in ranked if rank == ranked[0][0]]
        kept = self._chosen.get(node)
        winner = self._given.get(node) or (kept if kept in best else best[0])
        return winner, [target for target in best if target != winner]


def _check(text: str, parts: SplitResult) -> None:
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError(f"{text!r}: the URL must begin with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a target's URL must not hold a password: put it into --exporter.http-config.file")
    if not parts.hostname or not _HOST.fullmatch(parts.hostname):
        raise ValueError(f"{text!r}: the URL has no host")
    if parts.port == 0:
        raise ValueError(f"{text!r}: port 0 cannot be used")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"{text!r}: the URL must have only a scheme, a host and a port")
