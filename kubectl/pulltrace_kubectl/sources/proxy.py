"""The programs behind the API server's proxy, asked by kubectl."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from pulltrace_kubectl.errors import ClientError, Forbidden, NotFound, Unanswered, UsageError
from pulltrace_kubectl.model.pulls import Answer, Report
from pulltrace_kubectl.model.reading import UnreadableAnswer, merged, read
from pulltrace_kubectl.sources import discovery
from pulltrace_kubectl.sources.complaints import CredentialsWanted
from pulltrace_kubectl.sources.discovery import AGGREGATOR, EXPORTER, Place
from pulltrace_kubectl.sources.kubectl import Kubectl
from pulltrace_kubectl.sources.port import Filters, Told

PULLS: Final = "/v1/pulls"
_TLS_WORDS: Final = ("malformed HTTP response", "EOF", "connection reset", "first record does not look like a TLS")
_CERTIFICATE_WORDS: Final = ("tls: certificate required", "tls: bad certificate", "service: EOF")
T = TypeVar("T")
U = TypeVar("U")


class ProxiedPrograms:
    """Implements Programs. `service` is `namespace/name`, empty to look for the chart's labels."""

    def __init__(self, kubectl: Kubectl, service: str) -> None:
        self._kubectl = kubectl
        self._service = service
        self._found: tuple[Place, ...] = ()
        self._exporters: Sequence[Any] | None = None
        self._exporter_missed = False

    def ask(self, filters: Filters) -> Told:
        """All shards, side by side."""
        rest = f"{PULLS}?{urlencode(filters, doseq=True)}" if filters else PULLS
        if not self._found:
            self._found = self._shards()
        if self._exporter_missed:
            # Once for each look and not for each node: a call of kubectl is dear.
            self._exporters, self._exporter_missed = None, False
        outcomes = each(lambda place: self._answer(place, rest), self._found)
        told = [outcome[0] for outcome in outcomes if not isinstance(outcome, ClientError)]
        failures = [outcome for outcome in outcomes if isinstance(outcome, ClientError)]
        if not told:
            self._found = ()
            raise failures[0]
        self._found = tuple(
            place if isinstance(outcome, ClientError) else outcome[1]
            for place, outcome in zip(self._found, outcomes, strict=True)
        )
        unready = [f"{place} is not ready: pods may be missing here" for place in self._found if not place.ready]
        warnings = (*unready, *(f"a part of the nodes is missing: {failure.problem}" for failure in failures))
        return Told(merged(told), warnings=warnings)

    def report(self, node: str) -> Report:
        """Ask the exporter's pod on the node; raises NotFound where there is none.

        If that fails, it may be a new pod or a new node: exporters are looked for again after the next `ask`.
        """
        try:
            return self._report(node)
        except (NotFound, Unanswered):
            self._exporter_missed = True
            raise

    def _report(self, node: str) -> Report:
        pods = [
            pod
            for pod in self._all_exporters()
            if pod.get("spec", {}).get("nodeName") == node and not pod["metadata"].get("deletionTimestamp")
        ]
        if not pods:
            raise NotFound(f"node {node} has no exporter")
        answer, _ = self._read(discovery.pod_place(pods[0]), PULLS)
        if not isinstance(answer, Report):
            raise Unanswered(f"what answers for node {node} is no exporter")
        return answer

    def _answer(self, place: Place, rest: str) -> tuple[Answer, Place]:
        answer, place = self._read(place, rest)
        if not isinstance(answer, Answer):
            raise ClientError(f"{place} is no aggregator", "name the aggregator with --service namespace/name")
        return answer, place

    def _read(self, place: Place, rest: str) -> tuple[Answer | Report, Place]:
        """What a program answers, and where it did: it may turn out to serve TLS."""
        try:
            return self._asked(place, rest), place
        except Unanswered as error:
            if place.secure or not any(word in error.problem for word in _TLS_WORDS):
                raise _behind(place, error) from error
            first = error
        place = replace(place, secure=True)
        try:
            return self._asked(place, rest), place
        except Unanswered as error:
            told = error if _wants_certificate(place, error) else first
            raise _behind(place, told) from error

    def _asked(self, place: Place, rest: str) -> Answer | Report:
        body = self._kubectl.raw(place.path(rest))
        try:
            return read(body)
        except UnreadableAnswer as error:
            raise ClientError(f"{place}: {error}", "use the client and the aggregator of one version") from error

    def _shards(self) -> tuple[Place, ...]:
        if self._service:
            namespace, _, name = self._service.partition("/")
            if not namespace or not name or "/" in name:
                raise UsageError(f"--service is {self._service!r}, and has to be namespace/name")
            service = self._kubectl.objects("service", name, "--namespace", namespace)
            words = ("pods", "--namespace", namespace, "--selector", discovery.selector(service))
            return discovery.shards(service, self._kubectl.objects(*words)["items"])
        return self._discovered()

    def _discovered(self) -> tuple[Place, ...]:
        try:
            items = self._kubectl.objects("services,pods", "--all-namespaces", "--selector", AGGREGATOR)["items"]
        except Forbidden as error:
            raise Forbidden(
                f"the aggregator cannot be looked for: {error.problem}",
                f"name it with --service namespace/name; {error.remedy}",
            ) from error
        services = [item for item in items if item.get("kind") == "Service"]
        service = discovery.one_service(services)
        return discovery.shards(
            service, (item for item in items if item.get("kind") == "Pod" and discovery.selects(service, item))
        )

    def _all_exporters(self) -> Sequence[Any]:
        if self._exporters is None:
            where = ("--namespace", self._found[0].namespace) if self._found else ("--all-namespaces",)
            self._exporters = self._kubectl.objects("pods", *where, "--selector", EXPORTER)["items"]
        return self._exporters


def each(function: Callable[[T], U], values: Iterable[T]) -> list[U | ClientError]:
    """The results of a function side by side, in order; a ClientError takes the place of a result."""
    given = list(values)

    def guarded(value: T) -> U | ClientError:
        try:
            return function(value)
        except ClientError as error:
            return error

    if len(given) == 1:
        return [guarded(given[0])]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(guarded, given))


def _forwarding(place: Place) -> str:
    return (
        f"'kubectl --namespace {place.namespace} port-forward {place.kind}/{place.name} :{place.port}', then --url with"
        " --user, or with --ca-file, --cert-file and --key-file"
    )


def _wants_certificate(place: Place, error: Unanswered) -> bool:
    """Some servers say so, others hang up: over TLS nothing else does right after the handshake."""
    return place.secure and any(word in error.problem for word in _CERTIFICATE_WORDS)


def _behind(place: Place, error: Unanswered) -> ClientError:
    """What the proxy says, as what it means."""
    if isinstance(error, CredentialsWanted):
        return Unanswered(f"{place} wants a password, which does not pass the proxy", _forwarding(place))
    if _wants_certificate(place, error):
        return Unanswered(f"{place} wants a certificate of its clients, which the proxy has not", _forwarding(place))
    if error.remedy:
        return error
    return Unanswered(
        f"{place} does not answer: {error.problem}", "look at its pod's log, or forward its port and give --url"
    )
