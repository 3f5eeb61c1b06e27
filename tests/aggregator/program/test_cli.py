"""The program as a user starts and ends it, and what it says of settings that cannot be used."""

import signal
import socket
from functools import partial
from pathlib import Path

import pytest

from rig.kubernetes.api import READ, Rule
from rig.mini_cluster import MiniCluster
from rig.processes import free_port
from rig.running import AGGREGATOR, assert_refused, run_to_end
from rig.web import put

pytestmark = pytest.mark.contract


run = partial(run_to_end, AGGREGATOR)
NAME = "pulltrace-aggregator"


def test_help_names_every_flag_and_says_what_its_default_is() -> None:
    answer = run("--help")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "--exporter.target=NODE=URL" in answer.stdout
    assert "PULLTRACE_STALE_NO_PROGRESS" in answer.stdout
    assert ":10302" in answer.stdout


def test_everything_that_is_wrong_with_flags_is_named_at_once() -> None:
    answer = run("--exporter.target=n1", "--shard=3/3", "--stale.resolvin=1s", PULLTRACE_EXPORTER_INTERVAL="often")
    wrong = ("--exporter.target", "--shard", "--stale.resolvin", "PULLTRACE_EXPORTER_INTERVAL", "kubeconfig")
    assert_refused(answer, NAME, wrong)


def test_faults_behind_flags_are_named_with_faults_of_flags(tmp_path: Path) -> None:
    files = (
        f"--web.config.file={put(tmp_path / 'web.yml', 'http_server_config: {}')}",
        f"--exporter.http-config.file={put(tmp_path / 'http.yml', 'proxy_url: http://x')}",
        f"--kubeconfig={put(tmp_path / 'kubeconfig', '[]')}",
    )
    answer = run("--pod.linger=soon", "--exporter.target=n1=http://a", "--exporter.target=n1=http://b", *files)
    assert_refused(
        answer, NAME, ("--pod.linger", "'n1' is given more", "http_server_config", "proxy_url", "kubeconfig")
    )


def test_a_port_in_use_is_said(cluster: MiniCluster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        answer = run(cluster.kubeconfig(), f"--web.listen-address={address}")
    assert answer.returncode == 2
    assert answer.stderr.splitlines()[-1].endswith(f"cannot listen on {address}: Address already in use")
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_two_seconds(cluster: MiniCluster, number: signal.Signals) -> None:
    node = cluster.node()
    aggregator = cluster.aggregator(node.target)
    node.pull()
    cluster.pod().pulling()
    aggregator.wait(lambda view: view["pods"])
    assert aggregator.seconds_to_end(number) < 2


def test_sigterm_ends_it_within_two_seconds_while_nobody_answers(cluster: MiniCluster) -> None:
    """The API server takes connections and says nothing, an exporter does the same, a client sends half a request."""
    with socket.create_server(("127.0.0.1", 0)) as dumb:
        silent = f"http://127.0.0.1:{dumb.getsockname()[1]}"
        config = cluster.kubeconfig()
        path = Path(config.partition("=")[2])
        path.write_text(path.read_text().replace(cluster.api_server.url, silent.replace("http", "https")))
        aggregator = cluster.aggregator(f"--exporter.target=n1={silent}", config=config, ready=False)
        unready = aggregator.get("/-/ready")
        assert unready.status == 503
        assert b"pods" in unready.body
        assert aggregator.get("/-/healthy").status == 200
        with socket.create_connection(("127.0.0.1", aggregator.port)) as half:
            half.sendall(b"GET /metrics HTTP/1.1\r\nHost:")
            assert aggregator.seconds_to_end() < 2


def test_not_ready_says_why_until_the_lists_are_in(cluster: MiniCluster) -> None:
    cluster.api_server.stop()
    aggregator = cluster.aggregator(ready=False)

    def told() -> bytes:
        answer = aggregator.get("/-/ready")
        assert answer.status == 503
        return answer.body

    aggregator.wait(lambda _: b"Connection refused" in told())
    assert b"pods" in told()
    assert b"Not ready" in aggregator.get("/").body
    cluster.api_server.start()
    aggregator.wait_ready(40)


def test_a_missing_right_is_named_and_the_rest_goes_on(cluster: MiniCluster) -> None:
    node = cluster.node()
    config = cluster.kubeconfig(Rule(READ, "pods"))
    aggregator = cluster.aggregator(node.target, "--exporter.service=shop/exporters", config=config, ready=False)
    aggregator.wait(lambda _: b"endpointslices.discovery.k8s.io in namespace shop" in aggregator.get("/-/ready").body)
    unready = aggregator.get("/-/ready")
    assert unready.status == 503
    assert b"the right to list events in all namespaces is missing" in unready.body
    said = [line["error"] for line in aggregator.logged() if line["level"] == "warn" and "error" in line]
    assert any("the right to list events in all namespaces is missing" in text for text in said), said
    assert "pulltrace_aggregator_kubernetes_up 0" in aggregator.metrics()
    assert 'resource="events",reason="forbidden"' in aggregator.metrics()
    node.pull()
    cluster.pod()
    aggregator.wait(lambda view: view["pods"] and view["pods"][0]["phase"] == "downloading")


def test_an_exporter_that_is_not_there_costs_only_itself(cluster: MiniCluster) -> None:
    node = cluster.node()
    nowhere = f"--exporter.target=gone=http://127.0.0.1:{free_port()}"
    aggregator = cluster.aggregator(node.target, nowhere, "--exporter.target=odd=http://no-such-host.invalid:1")
    aggregator.wait(
        lambda view: sorted(each["state"] for each in view["nodes"]) == ["ok", "unreachable", "unreachable"]
    )
    said = {line["node"]: line["reason"] for line in aggregator.logged() if "does not answer" in line["msg"]}
    assert said == {"gone": "connection", "odd": "dns"}
    assert 'pulltrace_aggregator_exporters{state="unreachable"} 2' in aggregator.metrics()


def test_without_any_exporter_a_warning_says_so(cluster: MiniCluster) -> None:
    aggregator = cluster.aggregator()
    assert any("no exporters are known" in line["msg"] for line in aggregator.logged())
