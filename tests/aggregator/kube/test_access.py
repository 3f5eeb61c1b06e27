"""Configuration: where it is looked for, and what is said of one that cannot be used."""

import json
from pathlib import Path

import pytest
from kubernetes.config import incluster_config  # type: ignore[import-untyped]

from pulltrace.clock import SystemClock
from pulltrace_aggregator.kube.access import ApiAccess, ApiSession, source
from pulltrace_aggregator.kube.errors import AccessError
from rig import pki
from rig.kubernetes.api import kubeconfig
from rig.web import put

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def no_access(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that has no configuration of its own."""
    for name in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    return pki.Authority().write(tmp_path)


@pytest.fixture
def config(tmp_path: Path, ca: Path) -> Path:
    return put(tmp_path / "config", kubeconfig("https://192.0.2.1:6443/", ca, token="abc", others=("there",)))


@pytest.fixture
def pod(tmp_path: Path, ca: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pod with a service account; returns the path of its token."""
    token = put(tmp_path / "token", "in-cluster\n")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(ca))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return token


def session(path: Path | str | None = None, context: str | None = None) -> ApiSession:
    access = ApiAccess(source(str(path) if path else None, context), SystemClock())
    found = access.session()
    access.close()
    return found


def refused(path: Path | str | None = None, context: str | None = None) -> str:
    with pytest.raises(AccessError) as caught:
        session(path, context)
    return str(caught.value)


def test_a_kubeconfig_is_used_with_its_current_context(config: Path) -> None:
    found = session(config)
    assert (found.host, found.headers) == ("https://192.0.2.1:6443", {"Authorization": "Bearer abc"})


def test_another_context_can_be_chosen(config: Path) -> None:
    assert session(config, "there").host == "https://127.0.0.1:1"


@pytest.mark.usefixtures("pod")
def test_a_pod_uses_its_service_account(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(config))
    found = session()
    assert found.host == "https://10.0.0.1:443"
    assert found.headers["Authorization"].lower() == "bearer in-cluster"
    assert session(config).host == "https://192.0.2.1:6443"
    assert session(context="there").host == "https://127.0.0.1:1"


def test_the_environment_names_kubeconfigs_of_which_some_may_be_missing(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", f"/nowhere:{config}")
    assert session().host == "https://192.0.2.1:6443"


def test_the_usual_kubeconfig_comes_last(config: Path, tmp_path: Path) -> None:
    usual = tmp_path / ".kube/config"
    usual.parent.mkdir()
    config.rename(usual)
    assert session().host == "https://192.0.2.1:6443"


def test_without_any_configuration_both_ways_are_named() -> None:
    assert refused() == (
        "kubeconfig ~/.kube/config does not exist, and this is not a pod: $KUBERNETES_SERVICE_HOST is not set"
    )


def test_a_service_account_without_a_token_is_named(pod: Path) -> None:
    pod.unlink()
    assert refused() == "in-cluster configuration: Service token file does not exist."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Invalid kube-config"),
        ("]", "while parsing"),
        ("[1, 2]", "it does not have the form of a kubeconfig"),
        ("just words", "it does not have the form of a kubeconfig"),
        ("contexts: 5", "it does not have the form of a kubeconfig"),
        ("{}", "Expected key current-context"),
        ("\0", "unacceptable character"),
        ("clusters: [{}, {}]", "Expected key name"),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = put(tmp_path / "bad", text)
    problem = refused(path)
    assert problem.startswith(f"kubeconfig {path}: ")
    assert said in problem
    assert "\n" not in problem


def test_an_unknown_context_is_named(config: Path) -> None:
    assert refused(config, "nowhere").startswith(f"kubeconfig {config}, context nowhere: ")


def test_a_missing_certificate_file_is_named(config: Path, ca: Path) -> None:
    ca.unlink()
    assert refused(config) == f"kubeconfig {config}: File does not exist: {ca}"


def test_a_server_that_is_no_url_is_named(config: Path) -> None:
    config.write_text(config.read_text().replace("https://192.0.2.1:6443/", "192.0.2.1"))
    assert refused(config) == f"kubeconfig {config}: '192.0.2.1' is not the URL of an API server"


def test_a_token_that_could_forge_headers_is_refused(config: Path) -> None:
    config.write_text(config.read_text().replace('"abc"', json.dumps("abc\r\nX-Other: 1")))
    assert refused(config) == "the token holds characters that a token must not have"


@pytest.mark.parametrize(
    ("environment", "proxied"),
    [
        ({}, False),
        ({"HTTPS_PROXY": "http://127.0.0.1:3128"}, True),
        ({"https_proxy": "http://127.0.0.1:3128", "no_proxy": "192.0.2.0/24"}, False),
        ({"https_proxy": "http://127.0.0.1:3128", "NO_PROXY": "example.org"}, True),
        ({"HTTP_PROXY": "http://127.0.0.1:3128"}, False),
    ],
)
def test_the_proxy_of_the_environment_is_used_where_it_applies(
    config: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], proxied: bool
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (session(config).pool.proxy is not None) == proxied
