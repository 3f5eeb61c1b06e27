"""The exporter's configuration: its flags, read once at start into one immutable value.

Run as a module it writes the reference page of the flags.
"""

import re
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from pulltrace.cli import flag_help
from pulltrace.cli.flag_values import ServerSettings, absolute_path, count, duration, optional_path, web_listen_address
from pulltrace.cli.flags import Check, Flag, repeated, switch
from pulltrace.units import parse_duration, parse_size

_IDENTIFIER = re.compile(r"(?=.{1,76}$)[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")
"""The form of a containerd namespace, from containerd's pkg/identifiers."""
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
        raise ValueError(f"{text!r} is not a node name")
    return text


class ExporterConfig(ServerSettings):
    """All settings, parsed: durations in seconds, sizes in bytes. None means off, or found by the program."""

    program = "pulltrace-exporter"
    summary = "Serves the image pulls of this node's containerd to Prometheus, layer by layer."

    containerd_address = Flag(
        "containerd.address",
        _socket_path,
        "",
        "Socket of containerd, a path or unix:///path.",
        metavar="PATH",
        default_help="the first of the known sockets that exists",
    )
    containerd_allowed_directories = repeated(
        "containerd.allow-directory",
        absolute_path,
        "A further directory that the socket may lie in.",
        metavar="DIRECTORY",
    )
    containerd_namespace = Flag(
        "containerd.namespace", _namespace, "k8s.io", "Namespace of containerd to read.", metavar="NAMESPACE"
    )
    intents_directory = Flag(
        "kubelet.intents-directory",
        optional_path,
        "/var/lib/kubelet/image_manager/pulling",
        "Where the kubelet keeps its pull intents (1.35 and later). Empty turns reading them off; "
        "a directory that is absent is no error.",
        metavar="DIRECTORY",
    )
    soci_directory = Flag(
        "soci.directory",
        optional_path,
        "",
        "The folder `unpack` of the SOCI snapshotter, in which the bytes of its downloads are seen. "
        "A directory that is absent is no error.",
        metavar="DIRECTORY",
        default_help="none: pulls by SOCI are shown without bytes",
    )
    given_node_name = Flag(
        "node.name",
        _node_name,
        "",
        "Name of this node in the journal and in /v1/pulls.",
        metavar="NAME",
        default_help="`$NODE_NAME`, else the host name",
    )
    poll_interval = duration("poll.interval", "1s", "How often to read containerd during pulls.")
    poll_idle_interval = duration("poll.idle-interval", "5s", "How often to look for pulls while there are none.")
    pull_linger = duration("pull.linger", "2m", "How long the series of an ended pull stay.", parse_duration)
    pull_abandoned = duration(
        "pull.abandoned",
        "15m",
        "A pull of which nothing at all has changed for so long is taken for orphaned; while a remote snapshotter "
        "fetches it unseen, eight times as long.",
    )
    collect_layers = switch("collector.layers", default=True, help_text="Series of each layer.")
    layer_min_size = Flag("layer.min-size", parse_size, "0", "Smaller layers have no series.", metavar="SIZE")
    layer_min_age = duration(
        "layer.min-age", "30s", "Layers of pulls younger than this have no series.", parse_duration
    )
    limit_pulls = count("limit.pulls", "200", "Pulls that have series, at most.")
    limit_layers = count("limit.layers", "5000", "Layers that have series, at most.")
    limit_label_values = count(
        "limit.label-values", "100", "Registries and media types that counters tell apart; further ones become `other`."
    )
    listen_address = web_listen_address(":10301")
    node_name: str

    @classmethod
    def from_argv(cls, argv: Sequence[str], environ: Mapping[str, str], *checks: Check) -> Self:
        """See Settings. Without `--node.name`, the name is `$NODE_NAME`, else the host name."""
        settings = super().from_argv(argv, environ, *checks)
        settings.node_name = settings.given_node_name or environ.get("NODE_NAME") or socket.gethostname()
        return settings


FLAGS: Final = ExporterConfig.table


if __name__ == "__main__":
    sys.stdout.write(flag_help.reference_page(ExporterConfig))
