from pathlib import Path

import pytest

from pulltrace.cli.flags import Flag
from pulltrace.errors import ConfigError
from pulltrace_aggregator.config import AggregatorConfig, ServiceName
from pulltrace_aggregator.exporters.discovery import Target
from pulltrace_aggregator.sharding import Shard

pytestmark = pytest.mark.unit

REPOSITORY = Path(__file__).parents[2]


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


def test_defaults() -> None:
    assert settings(read()) == {
        "kubeconfig": None,
        "kubernetes_context": "",
        "kubernetes_namespaces": (),
        "exporter_service": None,
        "exporter_targets": (),
        "exporter_http_config_file": None,
        "exporter_interval": 2.0,
        "exporter_timeout": 3.0,
        "exporter_max_requests_per_second": 200,
        "stale_no_progress": 60.0,
        "stale_unpack": 600.0,
        "stale_slow_eta": 3600.0,
        "stale_resolving": 30.0,
        "stale_exporter": 60.0,
        "stale_remote": 900.0,
        "limit_repositories": 500,
        "pod_linger": 120.0,
        "shard": Shard(0, 1),
    }


def test_every_flag_reaches_its_setting() -> None:
    given = read(
        "--kubeconfig=/etc/kubeconfig",
        "--kubernetes.context=admin@prod",
        "--kubernetes.namespaces=team-a, team-b,team-a",
        "--exporter.service=monitoring/pulltrace-exporter",
        "--exporter.target=node-1=http://10.0.0.1:10301",
        "--exporter.target=node-2=https://[fd00::2]:10301/",
        "--exporter.http-config.file=http.yml",
        "--exporter.interval=500ms",
        "--exporter.timeout=1s",
        "--exporter.max-requests-per-second=7",
        "--stale.no-progress=1s",
        "--stale.unpack=2s",
        "--stale.slow-eta=3s",
        "--stale.resolving=4s",
        "--stale.exporter=5s",
        "--stale.remote=9s",
        "--limit.repositories=8",
        "--pod.linger=6s",
        "--shard=2/3",
    )
    assert settings(given) == {
        "kubeconfig": Path("/etc/kubeconfig"),
        "kubernetes_context": "admin@prod",
        "kubernetes_namespaces": ("team-a", "team-b"),
        "exporter_service": ServiceName("monitoring", "pulltrace-exporter"),
        "exporter_targets": (
            Target("node-1", "http", "10.0.0.1", 10301),
            Target("node-2", "https", "fd00::2", 10301),
        ),
        "exporter_http_config_file": Path("http.yml"),
        "exporter_interval": 0.5,
        "exporter_timeout": 1.0,
        "exporter_max_requests_per_second": 7,
        "stale_no_progress": 1.0,
        "stale_unpack": 2.0,
        "stale_slow_eta": 3.0,
        "stale_resolving": 4.0,
        "stale_exporter": 5.0,
        "stale_remote": 9.0,
        "limit_repositories": 8,
        "pod_linger": 6.0,
        "shard": Shard(2, 3),
    }


def test_variables_are_named_after_flags() -> None:
    given = read(
        PULLTRACE_EXPORTER_MAX_REQUESTS_PER_SECOND="9",
        PULLTRACE_KUBERNETES_NAMESPACES="a,b",
        PULLTRACE_EXPORTER_TARGET="x=http://x, y=http://y:1",
        PULLTRACE_SHARD="1/2",
    )
    assert given.exporter_max_requests_per_second == 9
    assert given.kubernetes_namespaces == ("a", "b")
    assert [target.base_url for target in given.exporter_targets] == ["http://x", "http://y:1"]
    assert given.shard == Shard(1, 2)


def test_stale_reasons_can_be_turned_off() -> None:
    given = read("--stale.no-progress=0s", "--stale.unpack=0", "--stale.slow-eta=0s", "--pod.linger=0s")
    assert (given.stale_no_progress, given.stale_unpack, given.stale_slow_eta, given.pod_linger) == (0, 0, 0, 0)


NO_DURATION = "is not a duration: write it like 500ms, 30s or 1m30s"
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
        ("stale.no-progress", "-1s", f"'-1s' {NO_DURATION}"),
        ("stale.unpack", "long", f"'long' {NO_DURATION}"),
        ("stale.slow-eta", "", f"'' {NO_DURATION}"),
        ("stale.resolving", "1", f"'1' {NO_DURATION}"),
        ("stale.exporter", "1.5s", f"'1.5s' {NO_DURATION}"),
        ("pod.linger", "2", f"'2' {NO_DURATION}"),
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


def test_all_wrong_values_are_named() -> None:
    with pytest.raises(ConfigError) as caught:
        read("--shard=1", "--zzz", "--exporter.target=x", PULLTRACE_LOG_LEVEL="loud")
    assert str(caught.value).splitlines() == [
        "unknown flag --zzz",
        f"--exporter.target: 'x' {NO_TARGET}",
        "--shard: '1' is not a shard: write it like 0/3, 1/3, 2/3",
        "PULLTRACE_LOG_LEVEL: 'loud' is not one of debug, info, warn, error",
    ]
