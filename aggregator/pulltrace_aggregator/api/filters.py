"""Filters of `/v1/pulls`: query parameters that match exactly and may be repeated."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from pulltrace_aggregator.errors import AggregatorError
from pulltrace_aggregator.model.node import NodePull, NodeStatus
from pulltrace_aggregator.model.view import PodPull, View

Query = Mapping[str, tuple[str, ...]]
T = TypeVar("T")


class UnknownFilter(AggregatorError):
    """A query parameter is not a filter; the message names all filters."""


_POD: Final[Mapping[str, Callable[[PodPull], str]]] = {
    "namespace": lambda entry: entry.labels.namespace,
    "pod": lambda entry: entry.labels.pod,
    "uid": lambda entry: entry.uid,
    "container": lambda entry: entry.labels.container,
    "containerType": lambda entry: entry.labels.container_type,
    "node": lambda entry: entry.labels.node,
    "image": lambda entry: entry.labels.image,
    "phase": lambda entry: entry.phase,
    "match": lambda entry: entry.match,
    "blockedBy": lambda entry: entry.cause or "",
    "failureReason": lambda entry: entry.failure or "",
    "registry": lambda entry: entry.registry,
    "repository": lambda entry: entry.repository,
    "digest": lambda entry: entry.digest,
    "stale": lambda entry: (entry.pull and entry.pull.stale) or "",
}
_PULL: Final[Mapping[str, Callable[[NodePull], str]]] = {
    "node": lambda entry: entry.node,
    "phase": lambda entry: entry.pull.phase,
    "registry": lambda entry: entry.pull.key.registry,
    "repository": lambda entry: entry.pull.key.repository,
    "digest": lambda entry: entry.pull.key.digest,
    "stale": lambda entry: entry.stale or "",
}
_NODE: Final[Mapping[str, Callable[[NodeStatus], str]]] = {
    "node": lambda entry: entry.node,
    "state": lambda entry: entry.state,
}
FILTERS: Final = tuple(dict.fromkeys((*_POD, *_PULL, *_NODE)))


def filtered(view: View, query: Query) -> View:
    """The view with the entries of each list that have, for every parameter, one of its values.

    A list whose entries have no such field becomes empty: `namespace=a` leaves no node. Raises UnknownFilter.
    """
    unknown = sorted(set(query).difference(FILTERS))
    if unknown:
        raise UnknownFilter(f"there is no filter {', '.join(map(repr, unknown))}; the filters are {', '.join(FILTERS)}")
    if not query:
        return view
    return replace(
        view,
        pods=tuple(entry for entry in view.pods if _matches(entry, query, _POD)),
        pulls=tuple(entry for entry in view.pulls if _matches(entry, query, _PULL)),
        nodes=tuple(entry for entry in view.nodes if _matches(entry, query, _NODE)),
    )


def _matches(entry: T, query: Query, fields: Mapping[str, Callable[[T], str]]) -> bool:
    return all(name in fields and fields[name](entry) in values for name, values in query.items())
