from pathlib import Path

import pytest

from pulltrace.cli.flags import Flag
from pulltrace.errors import ConfigError
from pulltrace_aggregator.config import AggregatorConfig, ServiceName
from pulltrace_aggregator.exporters.discovery import Target
from pulltrace_aggregator.sharding import Shard

pytestmark = pytest.mark.unit


SHARED = {"listen_address", "telemetry_path", "web_config_file", "log_level", "log_format"}
"""Tested for both programs in tests/pulltrace."""


def settings(given: AggregatorConfig) -> dict[str, object]:
    return {
        name: getattr(given, name)
        for name, flag in vars(AggregatorConfig).items()
        if isinstance(flag, Flag) and name not in SHARED
    }


def read(*argv: str, **environ: str) -> AggregatorConfig:
    return AggregatorConfig.from_argv(argv, environ)


SETTINGS: list[tuple[str, object, object, tuple[str, ...]]] = [
    ("kubeconfig", None, Path("/etc/kubeconfig"), ("--kubeconfig=/etc/kubeconfig",)),
    ("kubernetes_context", "", "admin@prod", ("--kubernetes.context=admin@prod",)),
    ("kubernetes_namespaces", (), ("team-a", "team-b"), ("--kubernetes.namespaces=team-a, team-b,team-a",)),
    ("exporter_service", None, ServiceName("shop", "exporter"), ("--exporter.service=shop/exporter",)),
    ("exporter_targets", (), (Target("n1", "http", "10.0.0.1", 10301), Target("n2", "https", "fd00::2", 10301)),
     ("--exporter.target=n1=http://10.0.0.1:10301", "--exporter.target=n2=https://[fd00::2]:10301/")),
    ("exporter_http_config_file", None, Path("http.yml"), ("--exporter.http-config.file=http.yml",)),
    ("exporter_interval", 2.0, 0.5, ("--exporter.interval=500ms",)),
    ("exporter_timeout", 3.0, 1.0, ("--exporter.timeout=1s",)),
    ("exporter_max_requests_per_second", 200, 7, ("--exporter.max-requests-per-second=7",)),
    ("stale_no_progress", 60.0, 1.0, ("--stale.no-progress=1s",)),
    ("stale_unpack", 600.0, 2.0, ("--stale.unpack=2s",)),
    ("stale_slow_eta", 3600.0, 3.0, ("--stale.slow-eta=3s",)),
    ("stale_resolving", 30.0, 4.0, ("--stale.resolving=4s",)),
    ("stale_exporter", 60.0, 5.0, ("--stale.exporter=5s",)),
    ("stale_remote", 900.0, 9.0, ("--stale.remote=9s",)),
    ("limit_repositories", 500, 8, ("--limit.repositories=8",)),
    ("pod_linger", 120.0, 6.0, ("--pod.linger=6s",)),
    ("shard", Shard(0, 1), Shard(2, 3), ("--shard=2/3",)),
]  # fmt: skip
"""Of each setting the default, another value, and the flags that give it."""


def test_defaults() -> None:
    assert settings(read()) == {name: default for name, default, _, _ in SETTINGS}


def test_every_flag_reaches_its_setting() -> None:
    given = read(*(flag for *_, flags in SETTINGS for flag in flags))
    assert settings(given) == {name: value for name, _, value, _ in SETTINGS}


def test_stale_reasons_can_be_turned_off() -> None:
    given = read("--stale.no-progress=0s", "--stale.unpack=0", "--stale.slow-eta=0s", "--pod.linger=0s")
    assert (given.stale_no_progress, given.stale_unpack, given.stale_slow_eta, given.pod_linger) == (0, 0, 0, 0)


NO_TARGET = "is not a target: write it like node-1=http://10.0.0.1:10301"
TOO_MUCH = "the URL must have only a scheme, a host and a port"


@pytest.mark.parametrize(
    ("flag", "value", "problem"),
    [
        ("kubeconfig", "a\0b", "'a\\x00b' is not a path"),
        ("kubernetes.context", "a\nb", "'a\\nb' is not a context name"),
        ("kubernetes.namespaces", "a,,b", "'a,,b': '' is not a namespace name"),
        ("kubernetes.namespaces", "Team", "'Team': 'Team' is not a namespace name"),
        ("kubernetes.namespaces", "a/b", "'a/b': 'a/b' is not a namespace name"),
        ("exporter.service", "exporter", "'exporter' is not a Service: write it like namespace/name"),
        ("exporter.service", "a/b/c", "'a/b/c' is not a Service: write it like namespace/name"),
        ("exporter.service", "a/", "'a/' is not a Service: write it like namespace/name"),
        ("exporter.target", "", f"'' {NO_TARGET}"),
        ("exporter.target", "http://10.0.0.1:10301", f"'http://10.0.0.1:10301' {NO_TARGET}"),
        ("exporter.target", "=http://a", "'=http://a': '' is not a node name"),
        ("exporter.target", "a b=http://a", "'a b=http://a': 'a b' is not a node name"),
        ("exporter.target", "n=a:10301", "'n=a:10301': the URL must begin with http:// or https://"),
        ("exporter.target", "n=ftp://a", "'n=ftp://a': the URL must begin with http:// or https://"),
        ("exporter.target", "n=http://", "'n=http://': the URL has no host"),
        ("exporter.target", "n=http://a b", "'n=http://a b': the URL has no host"),
        ("exporter.target", "n=http://a:0", "'n=http://a:0': port 0 cannot be used"),
        ("exporter.target", "n=http://a/metrics", f"'n=http://a/metrics': {TOO_MUCH}"),
        ("exporter.target", "n=http://a?x=1", f"'n=http://a?x=1': {TOO_MUCH}"),
        ("exporter.target", "n=http://a/#x", f"'n=http://a/#x': {TOO_MUCH}"),
        ("exporter.http-config.file", "a\0b", "'a\\x00b' is not a path"),
        ("exporter.interval", "0s", "'0s' must be longer than 0s"),
        ("exporter.timeout", "0s", "'0s' must be longer than 0s"),
        ("exporter.max-requests-per-second", "0", "'0' must be at least 1"),
        ("exporter.max-requests-per-second", "0.5", "'0.5' is not a whole number of 1 or more"),
        ("stale.no-progress", "-1s", "'-1s' is not a duration: write it like 500ms, 30s or 1m30s"),
        ("shard", "3/3", "'3/3': of 3 shards the first is 0 and the last 2"),
    ],
)
def test_a_wrong_value_and_its_message(flag: str, value: str, problem: str) -> None:
    with pytest.raises(ConfigError) as by_flag:
        read(f"--{flag}={value}")
    assert by_flag.value.problems == (f"--{flag}: {problem}",)


@pytest.mark.parametrize("url", ["http://[::1", "http://a:port", "http://a:99999"])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(f"--exporter.target=n={url}")
    (problem,) = caught.value.problems
    assert problem.startswith(f"--exporter.target: 'n={url}': '{url}' is not a URL: ")


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        read("--exporter.target=n=http://user:geheim@a:1")
    assert "--exporter.http-config.file" in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_a_node_has_one_target() -> None:
    with pytest.raises(ConfigError) as caught:
        read(*[f"--exporter.target={node}=http://host-{number}" for number, node in enumerate("abcab")])
    assert caught.value.problems == (
        "--exporter.target: node 'a' is given more than once",
        "--exporter.target: node 'b' is given more than once",
    )
