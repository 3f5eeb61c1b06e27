"""What the chart hands to the programs, read by the programs themselves."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from pulltrace.web import Request, Response, text_response
from pulltrace.web.config import build_context, read_settings
from pulltrace_aggregator import config as aggregator
from pulltrace_aggregator.config import AggregatorConfig, ServiceName
from pulltrace_aggregator.exporters import http_config
from pulltrace_aggregator.exporters.http_config import HttpConfig
from pulltrace_aggregator.sharding import Shard
from pulltrace_chart import schema
from pulltrace_chart.places import CHART
from pulltrace_chart.rendering import Object
from pulltrace_exporter import config as exporter
from pulltrace_exporter.config import ExporterConfig
from rig.chart_values import CLIENTS, EVERYTHING, GIVEN_TLS, TLS, VARIANTS, Values, each_variant
from rig.charts import NAMESPACE, README, new_helm, of_kind, one, pod_specs
from rig.kubernetes import objects
from rig.mounted import AGGREGATOR, EXPORTER, NAMES, Secrets, mounted, secrets_beside, with_login
from rig.pki import Authority
from rig.web import serving

READY = (CHART / "files" / "ready.py").read_text()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def secrets(authority: Authority) -> Secrets:
    return secrets_beside(authority)


@pytest.mark.unit
@each_variant
def test_both_programs_accept_their_arguments_and_files(values: Values, secrets: Secrets, tmp_path: Path) -> None:
    found = new_helm(values)
    for pod in (each for each in pod_specs(found) if not each.endswith("-test")):
        args = mounted(found, pod, tmp_path / pod, secrets).args
        settings = config_of(pod)(args, {})
        if isinstance(settings, AggregatorConfig) and settings.exporter_http_config_file:
            http_config.load(settings.exporter_http_config_file)
        if web_config := settings.web_config_file:
            read = read_settings(web_config)
            assert read.tls or read.users
            if read.tls:
                build_context(web_config, read.tls)


def config_of(pod: str) -> Callable[..., ExporterConfig | AggregatorConfig]:
    return ExporterConfig.from_argv if pod.endswith("-exporter") else AggregatorConfig.from_argv


@pytest.mark.unit
def test_the_aggregator_asks_the_exporters_of_the_release() -> None:
    made = AggregatorConfig.from_argv(pod_specs(new_helm({}))[AGGREGATOR]["containers"][0]["args"], {})
    service = one(new_helm({}), "Service", "exporter")["metadata"]
    assert made.exporter_service == ServiceName(service["namespace"], service["name"])
    assert made.kubernetes_namespaces == ()
    assert made.shard == Shard()
    other = pod_specs(new_helm(VARIANTS["aggregator-only"]))[AGGREGATOR]["containers"][0]["args"]
    assert AggregatorConfig.from_argv(other, {}).exporter_service == ServiceName("nodes", "other-exporter")


@pytest.mark.unit
def test_values_reach_the_programs(secrets: Secrets, tmp_path: Path) -> None:
    found = new_helm(EVERYTHING)
    node = ExporterConfig.from_argv(mounted(found, EXPORTER, tmp_path / "e", secrets).args, {})
    assert (node.pull_linger, node.collect_layers) == (300, False)
    assert (node.limit_layers, node.layer_min_size) == (100000, 2**20)
    assert node.containerd_address == Path("/opt/containerd/containerd.sock")
    cluster = AggregatorConfig.from_argv(mounted(found, AGGREGATOR, tmp_path / "a", secrets).args, {})
    assert cluster.kubernetes_namespaces == ("team-a", "team-b")
    assert cluster.shard == Shard(1, 2)
    assert (cluster.stale_no_progress, cluster.exporter_max_requests_per_second) == (120, 50)


@pytest.mark.unit
@each_variant
def test_ports_are_the_same_wherever_they_stand(values: Values) -> None:
    found = new_helm(values)
    for service in of_kind(found, "Service"):
        name = service["metadata"]["name"]
        container = pod_specs(found)[name]["containers"][0]
        args = [each.replace("$(POD_NAME)", "x-0") for each in container["args"]]
        listening = config_of(name)(args, {}).listen_address.port
        assert [port["containerPort"] for port in container["ports"]] == [listening]
        assert [(port["port"], port["targetPort"]) for port in service["spec"]["ports"]] == [(listening, "metrics")]


@pytest.mark.unit
def test_every_flag_is_a_value_or_the_charts_own() -> None:
    for name, table in (("exporter", exporter.FLAGS), ("aggregator", aggregator.FLAGS)):
        flags = {flag.name for flag in table.flags}
        given = set(schema.schema([], [])["properties"][name]["properties"]["flags"]["properties"])
        assert given | schema.SET_BY_CHART[name] == flags
        assert not given & schema.SET_BY_CHART[name]


@pytest.mark.contract
def test_the_aggregators_settings_open_the_exporters_door(secrets: Secrets, tmp_path: Path) -> None:
    door, keys = door_and_keys(new_helm(with_login(TLS)), secrets, tmp_path)
    with serving(config=door) as server:
        assert status(server.port, keys) == b"200"
        assert status(server.port, replace(keys, authorization="")) == b"401"


def door_and_keys(found: tuple[Object, ...], secrets: Secrets, folder: Path) -> tuple[Path, HttpConfig]:
    """The exporter's web configuration, and what the aggregator shows there."""
    door = mounted(found, EXPORTER, folder / "e", secrets).file("web.config.file")
    return door, http_config.load(mounted(found, AGGREGATOR, folder / "a", secrets).file("exporter.http-config.file"))


def status(port: int, keys: HttpConfig) -> bytes:
    assert keys.tls
    assert keys.context
    name = keys.tls.server_name
    header = f"Authorization: {keys.authorization}\r\n" if keys.authorization else ""
    request = f"GET /metrics HTTP/1.1\r\nHost: {name}\r\n{header}Connection: close\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        keys.context.wrap_socket(plain, server_hostname=name) as connection,
    ):
        connection.sendall(request.encode())
        return connection.recv(12).split()[1]


@pytest.mark.contract
def test_without_a_certificate_nobody_comes_in_where_one_is_asked_for(secrets: Secrets, tmp_path: Path) -> None:
    found = new_helm(CLIENTS)
    door, keys = door_and_keys(found, secrets, tmp_path)
    etc = mounted(found, "pulltrace-test", tmp_path / "t", secrets).etc
    with serving(config=door) as server:
        assert status(server.port, keys) == b"200"
        assert ask("https", f"127.0.0.1:{server.port}", etc=etc)[0] == 0
        (etc / "tls" / "tls.crt").unlink()
        assert ask("https", f"127.0.0.1:{server.port}", etc=etc)[0] == 1


@pytest.mark.unit
def test_probes_ask_what_they_may() -> None:
    for values, scheme in (({}, "HTTP"), (TLS, "HTTPS")):
        for alive, ready in probes(values):
            assert alive["httpGet"] == {"path": "/-/healthy", "port": "metrics", "scheme": scheme}
            assert ready["httpGet"] == {"path": "/-/ready", "port": "metrics", "scheme": scheme}
    for probe in chain.from_iterable(probes(CLIENTS)):
        assert "httpGet" not in probe
        assert probe["tcpSocket"] == {"port": "metrics"}


def probes(values: Values) -> list[tuple[Object, Object]]:
    """Of each program that of its life and that of its readiness."""
    containers = [pod_specs(new_helm(values))[pod]["containers"][0] for pod in (EXPORTER, AGGREGATOR)]
    return [(each["livenessProbe"], each["readinessProbe"]) for each in containers]


@pytest.mark.unit
def test_certificates_are_good_for_what_they_are_shown_for() -> None:
    uses = {
        each["spec"]["secretName"]: {*each["spec"]["usages"]} - {"digital signature"}
        for each in of_kind(new_helm(CLIENTS), "Certificate")
        if "usages" in each["spec"]
    }
    assert uses == {
        f"{EXPORTER}-tls": {"server auth"},
        f"{AGGREGATOR}-tls": {"server auth", "client auth"},
        "pulltrace-prometheus-tls": {"client auth"},
    }
    assert not [
        each for each in of_kind(new_helm(TLS), "Certificate") if "client auth" in each["spec"].get("usages", ())
    ]


@pytest.mark.unit
def test_certificates_are_made_for_the_names_that_are_compared() -> None:
    found = new_helm(TLS)
    made = {each["spec"]["secretName"]: each["spec"] for each in of_kind(found, "Certificate")}
    assert made[f"{EXPORTER}-tls"]["dnsNames"] == [NAMES[0]]
    assert made[f"{AGGREGATOR}-tls"]["dnsNames"] == [NAMES[1]]
    assert all(NAMES[index].replace(NAMESPACE, "pulltrace") in README.text for index in (0, 1))
    issuers = {each["metadata"]["name"] for each in of_kind(found, "Issuer")}
    assert {spec["issuerRef"]["name"] for spec in made.values()} <= issuers


@pytest.mark.unit
def test_certificates_come_from_the_issuer_or_the_secret_that_is_given() -> None:
    found = new_helm(EVERYTHING)
    assert not of_kind(found, "Issuer")
    assert {each["spec"]["issuerRef"]["name"] for each in of_kind(found, "Certificate")} == {"company"}
    found = new_helm(GIVEN_TLS)
    assert not of_kind(found, "Issuer", "Certificate")
    for spec in pod_specs(found).values():
        assert "given" in [volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume]


@pytest.mark.unit
@each_variant
def test_files_are_mounted_so_that_a_change_arrives(values: Values) -> None:
    for spec in pod_specs(new_helm(values)).values():
        mounts = [mount for each in spec["containers"] for mount in each.get("volumeMounts", ())]
        assert not any("subPath" in mount for mount in mounts)


def refuse(_request: Request) -> Response:
    return text_response(503, "the first poll was not attempted")


def ask(
    scheme: str, *services: str, etc: Path | None = None, account: Path | None = None, wait: str = "0", **env: str
) -> tuple[int, str]:
    script = READY.replace("/etc/pulltrace", str(etc)) if etc else READY
    script = script.replace("/var/run/secrets/kubernetes.io/serviceaccount", str(account)) if account else script
    command = [sys.executable, "-c", script, scheme, *services]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={"WAIT": wait, **env})
    assert not result.stderr
    return result.returncode, result.stdout


@pytest.mark.contract
def test_the_pod_of_helm_test_fails_when_one_is_not_ready() -> None:
    with serving() as good, serving({"/-/ready": refuse}) as bad:
        assert ask("http", f"127.0.0.1:{good.port}") == (0, "127.0.0.1 at 127.0.0.1: 200 ok\n")
        status, text = ask("http", f"127.0.0.1:{good.port}", f"127.0.0.1:{bad.port}", "no.such.invalid:1")
    assert status == 1
    assert "503 the first poll was not attempted" in text
    assert "no.such.invalid:1: " in text


@pytest.mark.contract
def test_the_pod_of_helm_test_waits_for_what_is_on_its_way() -> None:
    answers = iter([refuse, refuse])

    def later(request: Request) -> Response:
        return next(answers, lambda _: text_response(200, "ok"))(request)

    with serving({"/-/ready": later}) as slow:
        assert ask("http", f"127.0.0.1:{slow.port}", wait="30")[0] == 0


@pytest.mark.contract
def test_the_pod_of_helm_test_names_pods_without_address(authority: Authority, tmp_path: Path) -> None:
    here, away = (objects.pod("pulltrace", name, node=node) for name, node in (("a", "node-1"), ("b", "node-2")))
    here["status"] = {"phase": "Running", "podIP": "::1"}
    away["status"] = {"phase": "Pending", "containerStatuses": [objects.waiting(reason="ContainerCreating")]}
    authority.write(tmp_path)
    (tmp_path / "token").write_text("token")
    authority.issue().write(tmp_path, "server")
    config = tmp_path / "web.yaml"
    config.write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}\n")

    def listed(request: Request) -> Response:
        return Response(200, json.dumps({"items": [here, away]}).encode(), "application/json")

    with serving() as good, serving({"/api/v1/namespaces/pulltrace/pods": listed}, config=config) as api:
        status, text = ask(
            "http",
            f"127.0.0.1:{good.port}",
            account=tmp_path,
            SELECTOR="app.kubernetes.io/instance=pulltrace",
            NAMESPACE="pulltrace",
            KUBERNETES_SERVICE_HOST="127.0.0.1",
            KUBERNETES_SERVICE_PORT=str(api.port),
        )
    assert status == 1
    assert "pod b on node-2 has no address: Pending, ContainerCreating." in text
    assert "pod a " not in text


@pytest.mark.contract
@pytest.mark.parametrize("count", [255, 256, 257])
def test_the_pod_of_helm_test_fails_however_many_are_not_ready(count: int) -> None:
    with serving({"/-/ready": refuse}) as bad:
        status, text = ask("http", *[f"127.0.0.1:{bad.port}"] * count)
    assert status == 1
    assert text.count("503") == count


@pytest.mark.contract
def test_the_pod_of_helm_test_trusts_the_charts_authority_only(secrets: Secrets, tmp_path: Path) -> None:
    door = mounted(new_helm(TLS), EXPORTER, tmp_path / "e", secrets).file("web.config.file")
    etc = mounted(new_helm(TLS), "pulltrace-test", tmp_path / "t", secrets).etc
    assert [path.name for path in (etc / "tls").iterdir()] == ["ca.crt"]
    with serving(config=door) as server:
        assert ask("https", f"127.0.0.1:{server.port}", etc=etc)[0] == 0
        Authority("Another").write(etc / "tls")
        status, text = ask("https", f"127.0.0.1:{server.port}", etc=etc)
    assert status == 1
    assert "certificate verify failed" in text


@pytest.mark.unit
def test_the_pod_of_helm_test_runs_that_script_on_both_services() -> None:
    spec = pod_specs(new_helm({}))["pulltrace-test"]
    (container,) = spec["containers"]
    assert container["command"] == ["python3", "-c"]
    assert container["args"][0].strip() == READY.strip()
    assert container["args"][1:] == ["http", f"{NAMES[0]}:10301", f"{NAMES[1]}:10302"]
    assert one(new_helm({}), "Pod")["metadata"]["annotations"]["helm.sh/hook"] == "test"
