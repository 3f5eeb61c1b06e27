"""The exporter's configuration: its flags, read once at start into one immutable value.

Run as a module it writes the reference page of the flags.
"""

import re
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from pulltrace.cli import flag_help, flags
from pulltrace.cli.flag_values import (
    LOG_FORMAT,
    LOG_LEVEL,
    WEB_CONFIG_FILE,
    WEB_TELEMETRY_PATH,
    absolute_path,
    at_least,
    optional_path,
    positive_duration,
    web_listen_address,
)
from pulltrace.cli.flags import Check, Flag, FlagTable, switch
from pulltrace.logs import Level, LogFormat
from pulltrace.units import parse_duration, parse_size
from pulltrace.web.address import ListenAddress

PROGRAM: Final = "pulltrace-exporter"
SUMMARY: Final = "Serves the image pulls of this node's containerd to Prometheus, layer by layer."

_IDENTIFIER = re.compile(r"(?=.{1,76}$)[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")
"""A containerd namespace: pkg/identifiers of containerd."""
_LONGEST_NODE_NAME = 253


def _socket_path(text: str) -> Path | None:
    """The path of a unix socket, with or without `unix://`; None for the empty text."""
    if not text:
        return None
    try:
        return absolute_path(text.removeprefix("unix://"))
    except ValueError:
        raise ValueError(f"{text!r} is neither an absolute path nor a URL like unix:///path") from None


def _namespace(text: str) -> str:
    if not _IDENTIFIER.fullmatch(text):
        raise ValueError(f"{text!r} is no containerd namespace")
    return text


def _node_name(text: str) -> str:
    if len(text) > _LONGEST_NODE_NAME or not text.isprintable() or " " in text:
        raise ValueError(f"{text!r} is no name of a node")
    return text


WEB_LISTEN_ADDRESS = web_listen_address(":10301")
CONTAINERD_ADDRESS = Flag(
    "containerd.address",
    _socket_path,
    "",
    "Socket of containerd, a path or unix:///path.",
    metavar="PATH",
    default_help="the first of the known sockets that exists",
)
CONTAINERD_ALLOW_DIRECTORY = Flag(
    "containerd.allow-directory",
    absolute_path,
    "",
    "A further directory that the socket may lie in.",
    metavar="DIRECTORY",
    repeated=True,
)
CONTAINERD_NAMESPACE = Flag(
    "containerd.namespace", _namespace, "k8s.io", "Namespace of containerd to read.", metavar="NAMESPACE"
)
KUBELET_INTENTS_DIRECTORY = Flag(
    "kubelet.intents-directory",
    optional_path,
    "/var/lib/kubelet/image_manager/pulling",
    "Where the kubelet keeps its pull intents (1.35 and later). Empty turns reading them off; "
    "a directory that is absent is no error.",
    metavar="DIRECTORY",
)
NODE_NAME = Flag(
    "node.name",
    _node_name,
    "",
    "Name of this node in the journal and in /v1/pulls.",
    metavar="NAME",
    default_help="`$NODE_NAME`, else the host name",
)
POLL_INTERVAL = Flag(
    "poll.interval", positive_duration, "1s", "How often to read containerd during pulls.", metavar="DURATION"
)
POLL_IDLE_INTERVAL = Flag(
    "poll.idle-interval",
    positive_duration,
    "5s",
    "How often to look for pulls while there are none.",
    metavar="DURATION",
)
PULL_LINGER = Flag(
    "pull.linger", parse_duration, "2m", "How long the series of an ended pull stay.", metavar="DURATION"
)
PULL_ABANDONED = Flag(
    "pull.abandoned",
    positive_duration,
    "15m",
    "A pull of which nothing at all has changed for so long is taken for orphaned.",
    metavar="DURATION",
)
COLLECTOR_LAYERS = switch("collector.layers", default=True, help_text="Series of each layer.")
LAYER_MIN_SIZE = Flag("layer.min-size", parse_size, "0", "Smaller layers have no series.", metavar="SIZE")
LAYER_MIN_AGE = Flag(
    "layer.min-age",
    parse_duration,
    "30s",
    "Layers of pulls younger than this have no series.",
    metavar="DURATION",
)
LIMIT_PULLS = Flag("limit.pulls", at_least(1), "200", "Pulls that have series, at most.", metavar="COUNT")
LIMIT_LAYERS = Flag("limit.layers", at_least(1), "5000", "Layers that have series, at most.", metavar="COUNT")
LIMIT_LABEL_VALUES = Flag(
    "limit.label-values",
    at_least(1),
    "100",
    "Registries and media types that counters tell apart; further ones become `other`.",
    metavar="COUNT",
)

FLAGS: Final = FlagTable(
    [
        CONTAINERD_ADDRESS,
        CONTAINERD_ALLOW_DIRECTORY,
        CONTAINERD_NAMESPACE,
        KUBELET_INTENTS_DIRECTORY,
        NODE_NAME,
        POLL_INTERVAL,
        POLL_IDLE_INTERVAL,
        PULL_LINGER,
        PULL_ABANDONED,
        COLLECTOR_LAYERS,
        LAYER_MIN_SIZE,
        LAYER_MIN_AGE,
        LIMIT_PULLS,
        LIMIT_LAYERS,
        LIMIT_LABEL_VALUES,
        WEB_LISTEN_ADDRESS,
        WEB_TELEMETRY_PATH,
        WEB_CONFIG_FILE,
        LOG_LEVEL,
        LOG_FORMAT,
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterConfig:
    """All settings, parsed: durations in seconds, sizes in bytes, None where off or to be found."""

    listen_address: ListenAddress
    telemetry_path: str
    web_config_file: Path | None
    log_level: Level
    log_format: LogFormat
    containerd_address: Path | None
    containerd_allowed_directories: tuple[Path, ...]
    containerd_namespace: str
    intents_directory: Path | None
    node_name: str
    poll_interval: float
    poll_idle_interval: float
    pull_linger: float
    pull_abandoned: float
    collect_layers: bool
    layer_min_size: int
    layer_min_age: float
    limit_pulls: int
    limit_layers: int
    limit_label_values: int

    @classmethod
    def from_argv(cls, argv: Sequence[str], environ: Mapping[str, str], *checks: Check) -> Self:
        """The settings from flags, environment and defaults; raises ConfigError with every problem.

        `checks` look further at them than at their text.
        """
        values = FLAGS.parse(argv, environ, *checks)
        return cls(
            listen_address=values[WEB_LISTEN_ADDRESS],
            telemetry_path=values[WEB_TELEMETRY_PATH],
            web_config_file=values[WEB_CONFIG_FILE],
            log_level=values[LOG_LEVEL],
            log_format=values[LOG_FORMAT],
            containerd_address=values[CONTAINERD_ADDRESS],
            containerd_allowed_directories=values.all(CONTAINERD_ALLOW_DIRECTORY),
            containerd_namespace=values[CONTAINERD_NAMESPACE],
            intents_directory=values[KUBELET_INTENTS_DIRECTORY],
            node_name=values[NODE_NAME] or environ.get("NODE_NAME") or socket.gethostname(),
            poll_interval=values[POLL_INTERVAL],
            poll_idle_interval=values[POLL_IDLE_INTERVAL],
            pull_linger=values[PULL_LINGER],
            pull_abandoned=values[PULL_ABANDONED],
            collect_layers=values[COLLECTOR_LAYERS],
            layer_min_size=values[LAYER_MIN_SIZE],
            layer_min_age=values[LAYER_MIN_AGE],
            limit_pulls=values[LIMIT_PULLS],
            limit_layers=values[LIMIT_LAYERS],
            limit_label_values=values[LIMIT_LABEL_VALUES],
        )


def answer(argv: Sequence[str]) -> str | None:
    """What to print instead of running, when help or the version is asked for."""
    return flags.answer(
        argv,
        help_text=lambda: flag_help.help_text(PROGRAM, SUMMARY, FLAGS),
        version=lambda: flag_help.version_text(PROGRAM),
    )


def reference_page() -> str:
    """The Markdown page of the exporter's flags, `docs/exporter-flags.md`."""
    return flag_help.reference_page(PROGRAM, SUMMARY, FLAGS)


if __name__ == "__main__":
    sys.stdout.write(reference_page())
