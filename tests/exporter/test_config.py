import socket
from pathlib import Path

import pytest

from pulltrace.cli.flags import Flag
from pulltrace.errors import ConfigError, PulltraceError
from pulltrace_exporter.config import ExporterConfig
from pulltrace_exporter.errors import ContainerdError, ExporterError, UnsafeSocketError

pytestmark = pytest.mark.unit

DIGITS = "9" * 19


SHARED = {"listen_address", "telemetry_path", "web_config_file", "log_level", "log_format"}
"""Tested for both programs in tests/pulltrace."""


def settings(given: ExporterConfig) -> dict[str, object]:
    names = [name.removeprefix("given_") for name, flag in vars(ExporterConfig).items() if isinstance(flag, Flag)]
    return {name: getattr(given, name) for name in names if name not in SHARED}


def read(*argv: str, **environ: str) -> ExporterConfig:
    return ExporterConfig.from_argv(argv, environ)


SETTINGS: list[tuple[str, object, object, tuple[str, ...]]] = [
    ("containerd_address", None, Path("/run/k3s/c.sock"), ("--containerd.address=/run/k3s/c.sock",)),
    ("containerd_allowed_directories", (), (Path("/a"), Path("/b")),
     ("--containerd.allow-directory=/a", "--containerd.allow-directory=/b")),
    ("containerd_namespace", "k8s.io", "moby", ("--containerd.namespace=moby",)),
    ("intents_directory", Path("/var/lib/kubelet/image_manager/pulling"), Path("/pulling"),
     ("--kubelet.intents-directory=/pulling",)),
    ("soci_directory", None, Path("/unpack"), ("--soci.directory=/unpack",)),
    ("node_name", "node-1", "me", ("--node.name=me",)),
    ("poll_interval", 1.0, 0.1, ("--poll.interval=100ms",)),
    ("poll_idle_interval", 5.0, 10.0, ("--poll.idle-interval=10s",)),
    ("pull_linger", 120.0, 0.0, ("--pull.linger=0s",)),
    ("pull_abandoned", 900.0, 3600.0, ("--pull.abandoned=1h",)),
    ("collect_layers", True, False, ("--no-collector.layers",)),
    ("layer_min_size", 0, 2**20, ("--layer.min-size=1MiB",)),
    ("layer_min_age", 30.0, 5.0, ("--layer.min-age=5s",)),
    ("limit_pulls", 200, 1, ("--limit.pulls=1",)),
    ("limit_layers", 5000, 2, ("--limit.layers=2",)),
    ("limit_label_values", 100, 3, ("--limit.label-values=3",)),
]  # fmt: skip
"""Of each setting the default, another value, and the flags that give it."""


def test_defaults() -> None:
    assert settings(read(NODE_NAME="node-1")) == {name: default for name, default, _, _ in SETTINGS}


def test_every_flag_reaches_its_setting() -> None:
    given = read(*(flag for *_, flags in SETTINGS for flag in flags))
    assert settings(given) == {name: value for name, _, value, _ in SETTINGS}


def test_the_node_name_comes_from_flag_then_variables_then_host() -> None:
    assert read("--node.name=a", PULLTRACE_NODE_NAME="b", NODE_NAME="c").node_name == "a"
    assert read(PULLTRACE_NODE_NAME="b", NODE_NAME="c").node_name == "b"
    assert read(NODE_NAME="c").node_name == "c"
    assert read(NODE_NAME="").node_name == socket.gethostname()


@pytest.mark.parametrize("text", ["/run/c.sock", "unix:///run/c.sock"])
def test_the_socket_is_a_path_or_a_url(text: str) -> None:
    assert read("--containerd.address", text).containerd_address == Path("/run/c.sock")


def test_empty_turns_off() -> None:
    given = read("--kubelet.intents-directory=", "--containerd.address=", PULLTRACE_WEB_CONFIG_FILE="")
    assert (given.intents_directory, given.containerd_address, given.web_config_file) == (None, None, None)


NO_SOCKET = "is neither an absolute path nor a URL like unix:///path"
NO_DURATION = "is not a duration: write it like 500ms, 30s or 1m30s"


@pytest.mark.parametrize(
    ("flag", "value", "problem"),
    [
        ("containerd.address", "c.sock", f"'c.sock' {NO_SOCKET}"),
        ("containerd.address", "tcp://[::1]:1", f"'tcp://[::1]:1' {NO_SOCKET}"),
        ("containerd.address", "unix://c.sock", f"'unix://c.sock' {NO_SOCKET}"),
        ("containerd.allow-directory", "run", "'run' is not an absolute path"),
        ("containerd.allow-directory", "", "'' is not an absolute path"),
        ("containerd.namespace", "", "'' is no containerd namespace"),
        ("containerd.namespace", "k8s..io", "'k8s..io' is no containerd namespace"),
        ("containerd.namespace", "k8s.io\n", "'k8s.io\\n' is no containerd namespace"),
        ("containerd.namespace", "ä", "'ä' is no containerd namespace"),
        ("containerd.namespace", "n" * 77, f"'{'n' * 77}' is no containerd namespace"),
        ("kubelet.intents-directory", "a\0b", "'a\\x00b' is not a path"),
        ("node.name", "two words", "'two words' is not a node name"),
        ("node.name", "a\nb", "'a\\nb' is not a node name"),
        ("node.name", "n" * 254, f"'{'n' * 254}' is not a node name"),
        ("poll.interval", "soon", f"'soon' {NO_DURATION}"),
        ("poll.interval", "0s", "'0s' must be longer than 0s"),
        ("poll.idle-interval", "0", "'0' must be longer than 0s"),
        ("pull.linger", "-1s", f"'-1s' {NO_DURATION}"),
        ("pull.abandoned", "0s", "'0s' must be longer than 0s"),
        ("layer.min-size", "1MB", "'1MB' is not a size: write bytes like 4096, or 64KiB, 10MiB, 2GiB"),
        ("layer.min-age", "1", f"'1' {NO_DURATION}"),
        ("limit.pulls", "0", "'0' must be at least 1"),
        ("limit.layers", "1.5", "'1.5' is not a whole number of 1 or more"),
        ("limit.label-values", DIGITS, f"'{DIGITS}' is not a whole number of 1 or more"),
    ],
)
def test_a_wrong_value_and_its_message(flag: str, value: str, problem: str) -> None:
    with pytest.raises(ConfigError) as by_flag:
        read(f"--{flag}={value}")
    assert by_flag.value.problems == (f"--{flag}: {problem}",)


def test_errors_have_one_root_and_cut_what_others_say() -> None:
    assert issubclass(ExporterError, PulltraceError)
    assert issubclass(UnsafeSocketError, ExporterError)
    error = ContainerdError("Leases/List", "UNAVAILABLE", "no\n  connection")
    assert isinstance(error, ExporterError)
    assert str(error) == "Leases/List: UNAVAILABLE: no connection"
    assert (error.call, error.code, error.detail) == ("Leases/List", "UNAVAILABLE", "no connection")
    assert str(ContainerdError("Leases/List", "CANCELLED")) == "Leases/List: CANCELLED"
    assert len(ContainerdError("Leases/List", "UNKNOWN", "x" * 1000).detail) == 300
