"""The aggregator's configuration: its flags, read once at start into one immutable value.

Run as a module it writes the reference page of the flags.
"""

import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Self

from pulltrace.cli import flag_help, flags
from pulltrace.cli.flag_values import (
    LOG_FORMAT,
    LOG_LEVEL,
    WEB_CONFIG_FILE,
    WEB_TELEMETRY_PATH,
    at_least,
    optional_path,
    positive_duration,
    web_listen_address,
)
from pulltrace.cli.flags import Check, Flag, FlagTable, Values
from pulltrace.errors import ConfigError
from pulltrace.logs import Level, LogFormat
from pulltrace.units import parse_duration
from pulltrace.web.address import ListenAddress
from pulltrace_aggregator.exporters.target import Target
from pulltrace_aggregator.sharding import Shard

PROGRAM: Final = "pulltrace-aggregator"
SUMMARY: Final = "Tells Prometheus which pods wait for which images, for how long, and what blocks them."

_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
"""Names of namespaces and Services (RFC 1123)."""


class ServiceName(NamedTuple):
    """A Service of Kubernetes."""

    namespace: str
    name: str


def _namespaces(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(","))) if text.strip() else ()
    for name in names:
        if not _LABEL.fullmatch(name):
            raise ValueError(f"{text!r}: {name!r} is no name of a namespace")
    return names


def _service(text: str) -> ServiceName | None:
    if not text:
        return None
    parts = text.split("/")
    if len(parts) != 2 or not all(_LABEL.fullmatch(part) for part in parts):
        raise ValueError(f"{text!r} is no Service: write it like namespace/name")
    return ServiceName(*parts)


def _context(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"{text!r} is no name of a context")
    return text


WEB_LISTEN_ADDRESS = web_listen_address(":10302")
KUBECONFIG = Flag(
    "kubeconfig",
    optional_path,
    "",
    "File that says where the Kubernetes API is and who we are.",
    metavar="FILE",
    default_help="in-cluster, then `$KUBECONFIG`, then `~/.kube/config`",
)
KUBERNETES_CONTEXT = Flag(
    "kubernetes.context",
    _context,
    "",
    "Context of the kubeconfig to use.",
    metavar="NAME",
    default_help="the current one",
)
KUBERNETES_NAMESPACES = Flag(
    "kubernetes.namespaces",
    _namespaces,
    "",
    "Namespaces to watch, separated by commas; namespaced rights are enough then.",
    metavar="NAMES",
    default_help="all",
)
EXPORTER_SERVICE = Flag(
    "exporter.service",
    _service,
    "",
    "Headless Service of the exporters; its EndpointSlices are watched.",
    metavar="NAMESPACE/NAME",
)
EXPORTER_TARGET = Flag(
    "exporter.target",
    Target.parse,
    "",
    "An exporter that is known without Kubernetes, as in node-1=http://10.0.0.1:10301. "
    "It goes before one of the same node that Kubernetes names.",
    metavar="NODE=URL",
    repeated=True,
)
EXPORTER_HTTP_CONFIG_FILE = Flag(
    "exporter.http-config.file",
    optional_path,
    "",
    "File with TLS and credentials for requests to exporters: tls_config, basic_auth and authorization of "
    "Prometheus' http_config. Re-read when it changes. With tls_config, exporters that Kubernetes names are asked "
    "over https.",
    metavar="FILE",
)
EXPORTER_INTERVAL = Flag(
    "exporter.interval",
    positive_duration,
    "2s",
    "How often to ask nodes where a pod waits for an image or a pull is known; others are asked every 5 minutes.",
    metavar="DURATION",
)
EXPORTER_TIMEOUT = Flag(
    "exporter.timeout", positive_duration, "3s", "How long an exporter's whole answer may take.", metavar="DURATION"
)
EXPORTER_MAX_REQUESTS = Flag(
    "exporter.max-requests-per-second",
    at_least(1),
    "200",
    "Requests to all exporters together, at most; intervals stretch to keep it.",
    metavar="COUNT",
)
STALE_NO_PROGRESS = Flag(
    "stale.no-progress",
    parse_duration,
    "60s",
    "A download that does not advance for so long is stale. 0s turns it off.",
    metavar="DURATION",
)
STALE_UNPACK = Flag(
    "stale.unpack",
    parse_duration,
    "10m",
    "An unpacking that finishes no layer for so long is stale. 0s turns it off.",
    metavar="DURATION",
)
STALE_SLOW_ETA = Flag(
    "stale.slow-eta",
    parse_duration,
    "1h",
    "A download that would take longer than this at its present rate is stale. 0s turns it off.",
    metavar="DURATION",
)
STALE_RESOLVING = Flag(
    "stale.resolving",
    parse_duration,
    "30s",
    "A pull whose registry has not answered for so long is stale. 0s turns it off.",
    metavar="DURATION",
)
STALE_EXPORTER = Flag(
    "stale.exporter",
    parse_duration,
    "60s",
    "The pulls of a node whose exporter has not answered for so long are stale. 0s turns it off.",
    metavar="DURATION",
)
POD_LINGER = Flag(
    "pod.linger",
    parse_duration,
    "2m",
    "How long an image stays that a pod no longer waits for; a deleted pod leaves at once.",
    metavar="DURATION",
)
SHARD = Flag(
    "shard",
    Shard.parse,
    "0/1",
    "Share of the nodes that this replica takes: 0/3, 1/3 or 2/3 of three. The name of a StatefulSet's pod may stand "
    "for its number.",
    metavar="I/N",
)

FLAGS: Final = FlagTable(
    [
        KUBECONFIG,
        KUBERNETES_CONTEXT,
        KUBERNETES_NAMESPACES,
        EXPORTER_SERVICE,
        EXPORTER_TARGET,
        EXPORTER_HTTP_CONFIG_FILE,
        EXPORTER_INTERVAL,
        EXPORTER_TIMEOUT,
        EXPORTER_MAX_REQUESTS,
        STALE_NO_PROGRESS,
        STALE_UNPACK,
        STALE_SLOW_ETA,
        STALE_RESOLVING,
        STALE_EXPORTER,
        POD_LINGER,
        SHARD,
        WEB_LISTEN_ADDRESS,
        WEB_TELEMETRY_PATH,
        WEB_CONFIG_FILE,
        LOG_LEVEL,
        LOG_FORMAT,
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregatorConfig:
    """All settings, parsed: durations in seconds, None or empty where to be found, and for all namespaces."""

    listen_address: ListenAddress
    telemetry_path: str
    web_config_file: Path | None
    log_level: Level
    log_format: LogFormat
    kubeconfig: Path | None
    kubernetes_context: str
    kubernetes_namespaces: tuple[str, ...]
    exporter_service: ServiceName | None
    exporter_targets: tuple[Target, ...]
    exporter_http_config_file: Path | None
    exporter_interval: float
    exporter_timeout: float
    exporter_max_requests_per_second: int
    stale_no_progress: float
    stale_unpack: float
    stale_slow_eta: float
    stale_resolving: float
    stale_exporter: float
    pod_linger: float
    shard: Shard

    @classmethod
    def from_argv(cls, argv: Sequence[str], environ: Mapping[str, str], *checks: Check) -> Self:
        """The settings from flags, environment and defaults; raises ConfigError with every problem.

        `checks` look further at them than at their text.
        """
        values = FLAGS.parse(argv, environ, _check_targets, *checks)
        return cls(
            listen_address=values[WEB_LISTEN_ADDRESS],
            telemetry_path=values[WEB_TELEMETRY_PATH],
            web_config_file=values[WEB_CONFIG_FILE],
            log_level=values[LOG_LEVEL],
            log_format=values[LOG_FORMAT],
            kubeconfig=values[KUBECONFIG],
            kubernetes_context=values[KUBERNETES_CONTEXT],
            kubernetes_namespaces=values[KUBERNETES_NAMESPACES],
            exporter_service=values[EXPORTER_SERVICE],
            exporter_targets=values.all(EXPORTER_TARGET),
            exporter_http_config_file=values[EXPORTER_HTTP_CONFIG_FILE],
            exporter_interval=values[EXPORTER_INTERVAL],
            exporter_timeout=values[EXPORTER_TIMEOUT],
            exporter_max_requests_per_second=values[EXPORTER_MAX_REQUESTS],
            stale_no_progress=values[STALE_NO_PROGRESS],
            stale_unpack=values[STALE_UNPACK],
            stale_slow_eta=values[STALE_SLOW_ETA],
            stale_resolving=values[STALE_RESOLVING],
            stale_exporter=values[STALE_EXPORTER],
            pod_linger=values[POD_LINGER],
            shard=values[SHARD],
        )


def answer(argv: Sequence[str]) -> str | None:
    """What to print instead of running, when help or the version is asked for."""
    return flags.answer(
        argv,
        help_text=lambda: flag_help.help_text(PROGRAM, SUMMARY, FLAGS),
        version=lambda: flag_help.version_text(PROGRAM),
    )


def reference_page() -> str:
    """The Markdown page of the aggregator's flags, `docs/aggregator-flags.md`."""
    return flag_help.reference_page(PROGRAM, SUMMARY, FLAGS)


def _check_targets(values: Values) -> None:
    given = Counter(target.node for target in values.all(EXPORTER_TARGET))
    if twice := [node for node, times in given.items() if times > 1]:
        raise ConfigError(f"{EXPORTER_TARGET.option}: node {node!r} is given more than once" for node in twice)


if __name__ == "__main__":
    sys.stdout.write(reference_page())
