"""The aggregator's configuration: its flags, read once at start into one immutable value.

Run as a module it writes the reference page of the flags.
"""

import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Self

from pulltrace.cli import flag_help
from pulltrace.cli.flag_values import (
    ServerSettings,
    count,
    duration,
    optional_path,
    web_listen_address,
)
from pulltrace.cli.flags import Check, Flag, Values, repeated
from pulltrace.errors import ConfigError
from pulltrace.units import parse_duration
from pulltrace_aggregator.exporters.discovery import Target
from pulltrace_aggregator.sharding import Shard

_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
"""The name of a namespace or of a Service: a DNS label (RFC 1123)."""


class ServiceName(NamedTuple):
    """A Service of Kubernetes."""

    namespace: str
    name: str


def _namespaces(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(","))) if text.strip() else ()
    for name in names:
        if not _LABEL.fullmatch(name):
            raise ValueError(f"{text!r}: {name!r} is not a namespace name")
    return names


def _service(text: str) -> ServiceName | None:
    if not text:
        return None
    parts = text.split("/")
    if len(parts) != 2 or not all(_LABEL.fullmatch(part) for part in parts):
        raise ValueError(f"{text!r} is not a Service: write it like namespace/name")
    return ServiceName(*parts)


def _context(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"{text!r} is not a context name")
    return text


def _stale_limit(name: str, default: str, help_text: str) -> Flag[float]:
    return duration(name, default, f"{help_text} 0s turns it off.", parse_duration)


class AggregatorConfig(ServerSettings):
    """All settings, parsed. Durations are in seconds. What is not given is None or empty; no namespace means all."""

    program = "pulltrace-aggregator"
    summary = "Tells Prometheus which pods wait for which images, for how long, and what blocks them."

    kubeconfig = Flag(
        "kubeconfig",
        optional_path,
        "",
        "File with the address of the Kubernetes API and the credentials for it.",
        metavar="FILE",
        default_help="in-cluster, then `$KUBECONFIG`, then `~/.kube/config`",
    )
    kubernetes_context = Flag(
        "kubernetes.context",
        _context,
        "",
        "Context of the kubeconfig to use.",
        metavar="NAME",
        default_help="the current one",
    )
    kubernetes_namespaces = Flag(
        "kubernetes.namespaces",
        _namespaces,
        "",
        "Namespaces to watch, separated by commas; namespaced rights are enough then.",
        metavar="NAMES",
        default_help="all",
    )
    exporter_service = Flag(
        "exporter.service",
        _service,
        "",
        "Headless Service of the exporters; its EndpointSlices are watched.",
        metavar="NAMESPACE/NAME",
    )
    exporter_targets = repeated(
        "exporter.target",
        Target.parse,
        "An exporter that is known without Kubernetes, as in node-1=http://10.0.0.1:10301. "
        "It takes precedence over one that Kubernetes names for the same node.",
        metavar="NODE=URL",
    )
    exporter_http_config_file = Flag(
        "exporter.http-config.file",
        optional_path,
        "",
        "File with TLS and credentials for requests to exporters: tls_config, basic_auth and authorization of "
        "Prometheus' http_config. Re-read when it changes. With tls_config, exporters that Kubernetes names are read "
        "over https.",
        metavar="FILE",
    )
    exporter_interval = duration(
        "exporter.interval",
        "2s",
        "How often to read the exporter of a node where a pod waits for an image or a pull is known. Others are read "
        "every 5 minutes.",
    )
    exporter_timeout = duration("exporter.timeout", "3s", "How long the complete answer of an exporter may take.")
    exporter_max_requests_per_second = count(
        "exporter.max-requests-per-second",
        "200",
        "Most requests per second to all exporters together; intervals grow to keep this limit.",
    )
    stale_no_progress = _stale_limit(
        "stale.no-progress", "60s", "A download that does not advance for this long is stale."
    )
    stale_unpack = _stale_limit(
        "stale.unpack", "10m", "A pull that unpacks and finishes no layer for this long is stale."
    )
    stale_slow_eta = _stale_limit(
        "stale.slow-eta", "1h", "A download that would take longer than this at its present rate is stale."
    )
    stale_resolving = _stale_limit(
        "stale.resolving", "30s", "A pull whose registry has not answered for this long is stale."
    )
    stale_exporter = _stale_limit(
        "stale.exporter", "60s", "The pulls of a node whose exporter has not answered for this long are stale."
    )
    stale_remote = _stale_limit(
        "stale.remote",
        "15m",
        "A pull that a remote snapshotter fetches unseen is stale when no layer is finished for this long.",
    )
    limit_repositories = count(
        "limit.repositories",
        "500",
        "Repositories that have counters of their own; all others count together as `other`.",
    )
    pod_linger = duration(
        "pod.linger",
        "2m",
        "How long to show an image that a pod no longer waits for; a deleted pod is removed at once.",
        parse_duration,
    )
    shard = Flag(
        "shard",
        Shard.parse,
        "0/1",
        "Share of the nodes that this replica handles: 0/3, 1/3 or 2/3. The name of a StatefulSet's pod may stand "
        "in place of its number.",
        metavar="I/N",
    )
    listen_address = web_listen_address(":10302")

    @classmethod
    def from_argv(cls, argv: Sequence[str], environ: Mapping[str, str], *checks: Check) -> Self:
        """As in Settings; raises ConfigError also for a node with two targets."""
        return super().from_argv(argv, environ, _check_targets, *checks)


FLAGS: Final = AggregatorConfig.table


def _check_targets(values: Values) -> None:
    flag = AggregatorConfig.exporter_targets
    given = Counter(target.node for target in values[flag])
    if twice := [node for node, times in given.items() if times > 1]:
        raise ConfigError(f"{flag.option}: node {node!r} is given more than once" for node in twice)


if __name__ == "__main__":
    sys.stdout.write(flag_help.reference_page(AggregatorConfig))
