"""What is read of the cluster: paths, selectors and the rights they need. Pure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import quote

from pulltrace_aggregator.kube import decode
from pulltrace_aggregator.kubelet.messages import EVENT_REASONS
from pulltrace_aggregator.model.cluster import Change, Gone, Seen

WAITING_PODS: Final = "status.phase=Pending,spec.nodeName!="
PAGE_SIZE: Final = 500
ALL_NAMESPACES: Final = ""


@dataclass(frozen=True, slots=True)
class Right:
    """The right that a request needs; `namespace` is empty for all namespaces."""

    verb: str
    resource: str
    group: str
    namespace: str

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        where = f"namespace {self.namespace}" if self.namespace else "all namespaces"
        return f"{self.verb} {resource} in {where}"


@dataclass(frozen=True, slots=True)
class Request:
    """A GET: its path, its query, and the right it needs."""

    right: Right
    path: str
    query: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Selection:
    """The objects of one resource that are listed and watched together.

    `detail` tells selections of one resource apart. If `remembered`, objects that a later list lacks are reported gone,
    at the price of a few words kept for each object. If `bookmarked`, the server sends bookmarks, so that the resource
    version advances without changes. Events have none, since the API server has no watch cache for them.
    """

    resource: str
    namespace: str
    seen: Callable[[decode.Object, Change], Seen | None]
    gone: Callable[[decode.Object], Gone | None]
    group: str = ""
    detail: str = ""
    field_selector: str = ""
    label_selector: str = ""
    remembered: bool = True
    bookmarked: bool = True

    @property
    def name(self) -> str:
        """The name in threads and logs."""
        place = f"in {self.namespace}" if self.namespace else ""
        return " ".join(part for part in (self.resource, self.detail, place) if part)

    def list_page(self, continuation: str) -> Request:
        """One page of the list: the first, or the one that follows."""
        query = [("limit", str(PAGE_SIZE)), *self._selectors()]
        return self._request("list", [*query, ("continue", continuation)] if continuation else query)

    def watch(self, resource_version: str, seconds: int) -> Request:
        """All changes after a resource version, for this many seconds."""
        query = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", resource_version),
            ("timeoutSeconds", str(seconds)),
        ]
        return self._request("watch", [*query, *self._selectors()])

    def _request(self, verb: str, query: Iterable[tuple[str, str]]) -> Request:
        right = Right(verb, self.resource, self.group, self.namespace)
        return Request(right, _path(right), tuple(query))

    def _selectors(self) -> Iterator[tuple[str, str]]:
        if self.field_selector:
            yield "fieldSelector", self.field_selector
        if self.label_selector:
            yield "labelSelector", self.label_selector


def selections(namespaces: Iterable[str] = (), service: tuple[str, str] | None = None) -> tuple[Selection, ...]:
    """Everything to be watched: in these namespaces or in all of them, and the slices of the exporters' Service.

    `service` is its namespace and name.
    """
    chosen: list[Selection] = []
    for namespace in dict.fromkeys(namespaces) or (ALL_NAMESPACES,):
        chosen.append(waiting_pods(namespace))
        # A field selector has no OR, so each reason needs a watch.
        chosen += [kubelet_events(namespace, reason) for reason in EVENT_REASONS]
    return tuple(chosen) if service is None else (*chosen, exporter_slices(*service))


def waiting_pods(namespace: str = ALL_NAMESPACES) -> Selection:
    """Pods that have a node and are in the phase Pending."""
    return Selection(
        resource="pods",
        namespace=namespace,
        field_selector=WAITING_PODS,
        seen=lambda item, _: decode.pod(item),
        gone=decode.pod_gone,
    )


def kubelet_events(namespace: str, reason: str) -> Selection:
    """Events about pods with one reason. They are not remembered, because a large cluster has very many."""
    return Selection(
        resource="events",
        namespace=namespace,
        detail=reason,
        field_selector=f"involvedObject.kind=Pod,reason={reason}",
        remembered=False,
        bookmarked=False,
        seen=partial(decode.event_of_reason, reason),
        gone=decode.event_gone,
    )


def exporter_slices(namespace: str, service: str) -> Selection:
    """The EndpointSlices of a Service."""
    return Selection(
        resource="endpointslices",
        group="discovery.k8s.io",
        namespace=namespace,
        label_selector=f"{decode.SERVICE_LABEL}={service}",
        seen=lambda item, _: decode.slice_of_service(service, item),
        gone=decode.endpoint_slice_gone,
    )


def one_pod(namespace: str, name: str) -> Request:
    """A pod whatever its phase."""
    right = Right("get", "pods", "", namespace)
    return Request(right, f"{_path(right)}/{quote(name, safe='')}")


def one_node(name: str) -> Request:
    """A node."""
    right = Right("get", "nodes", "", ALL_NAMESPACES)
    return Request(right, f"{_path(right)}/{quote(name, safe='')}")


def _path(right: Right) -> str:
    root = f"/apis/{right.group}/v1" if right.group else "/api/v1"
    within = f"/namespaces/{quote(right.namespace, safe='')}" if right.namespace else ""
    return f"{root}{within}/{right.resource}"
