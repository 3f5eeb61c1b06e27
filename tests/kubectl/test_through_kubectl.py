"""The client as its user runs it: through kubectl and the API server's proxy, with rights and without."""

import json
from pathlib import Path

import pytest

from rig import pki
from rig.client_world import NAMESPACE, SERVICE, VIEWER, Answering, World, aggregator, exporter, pull, wait
from rig.kubernetes import objects
from rig.kubernetes.api import Rule

pytestmark = pytest.mark.contract

SHOP = aggregator([wait("web", pull=pull("web")), wait("db", "queued", blockedBy="queue", waitingSeconds=90.0)])


def rows(output: str) -> list[list[str]]:
    return [line.split() for line in output.splitlines()]


def test_a_viewer_sees_what_waits_in_the_namespace_of_the_context(cluster: World) -> None:
    shard = Answering(SHOP)
    cluster.aggregator(shard)
    cluster.log_in(cluster.cluster.user(VIEWER))
    done = cluster.client()
    assert (done.returncode, done.stderr) == (0, "")
    heading, first, second, *_ = rows(done.stdout)
    assert heading[0] == "POD"
    assert [first[0], second[0]] == ["db", "web"]
    assert "25%" in second
    assert shard.queries == ["namespace=shop"]
    assert cluster.asked("services/proxy") == [f"{SERVICE}:10302"]


def test_all_shards_are_asked_and_a_silent_one_is_told_of(cluster: World) -> None:
    cluster.aggregator(Answering(SHOP), Answering(aggregator([wait("cart")])))
    done = cluster.client("-A", "-o", "name")
    assert done.stdout.splitlines() == ["pod/db", "pod/cart", "pod/web"]
    cluster.cluster.behind["pods", NAMESPACE, f"{SERVICE}-1"] = "http://127.0.0.1:1"
    done = cluster.client("-A", "-o", "name")
    assert (done.returncode, done.stdout.splitlines()) == (0, ["pod/db", "pod/web"])
    assert f"pod {NAMESPACE}/{SERVICE}-1 does not answer" in done.stderr
    assert "connection refused" in done.stderr


def test_a_pod_is_shown_with_layers_that_its_nodes_exporter_knows(cluster: World) -> None:
    layers = [
        {"index": 0, "digest": "sha256:0", "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
         "sizeBytes": 300_000_000, "downloadedBytes": 100_000_000, "bytesPerSecond": 25e6, "state": "downloading"},
    ]  # fmt: skip
    cluster.aggregator(Answering(SHOP))
    cluster.exporter("node-1", Answering(exporter("node-1", pull("web", layers=layers))))
    cluster.cluster.api.create(objects.pod("shop", "web"))
    done = cluster.client("web")
    assert done.returncode == 0
    assert "100 MB of 400 MB  25 MB/s  12s left" in done.stdout
    assert ["0", "tar+gzip", "300", "MB", "downloading", "33%", "25", "MB/s"] in rows(done.stdout)
    told = json.loads(cluster.client("pod/web", "-o", "json").stdout)
    assert told["pods"][0]["pull"]["layers"][0]["state"] == "downloading"


def test_layers_that_nobody_may_ask_for_are_told_of(cluster: World) -> None:
    cluster.aggregator(Answering(SHOP))
    cluster.exporter("node-1", Answering(exporter("node-1")))
    cluster.cluster.api.create(objects.pod("shop", "web"))
    cluster.log_in(cluster.cluster.user([rule for rule in VIEWER if rule.resource != "pods/proxy"]))
    done = cluster.client("web")
    assert done.returncode == 0
    assert f"layers are not known: you may not get pods/proxy in namespace {NAMESPACE}" in done.stdout


def test_a_deployment_stands_for_its_pods(cluster: World) -> None:
    cluster.aggregator(Answering(SHOP))
    for name, label in (("web", "shop"), ("db", "shop"), ("other", "else")):
        item = objects.pod("shop", name)
        item["metadata"]["labels"] = {"app": label}
        cluster.cluster.api.create(item)
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "shop"}}}
    meta = {"namespace": "shop", "name": "shop"}
    cluster.cluster.api.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})
    assert cluster.client("deploy/shop", "-o", "name").stdout.split() == ["pod/db", "pod/web"]
    assert cluster.client("-l", "app=shop", "-o", "name").stdout.split() == ["pod/db", "pod/web"]


def test_a_pod_that_waits_for_no_image_is_told_what_it_waits_for(cluster: World) -> None:
    cluster.aggregator(Answering(SHOP))
    made = cluster.cluster.api.create(objects.pod("shop", "batch", node=""))
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes fit"}
    cluster.cluster.api.set_status(made, conditions=[condition])
    done = cluster.client("batch")
    assert (done.returncode, done.stdout) == (
        0,
        "shop/batch waits for no image, but for a node: Unschedulable: 0/3 nodes fit\n",
    )


def test_what_is_not_there_is_told(cluster: World) -> None:
    done = cluster.client()
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: no aggregator found: there is no Service with the labels" in done.stderr
    assert "--service namespace/name" in done.stderr
    cluster.aggregator(Answering(SHOP))
    assert 'pods "nix" not found' in cluster.client("nix").stderr
    done = cluster.client("--context", "nowhere")
    assert (done.returncode, "context" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("services", "you may not list services in all namespaces"),
        ("services/proxy", f"you may not get services/proxy in namespace {NAMESPACE}"),
    ],
)
def test_a_missing_right_is_named_with_the_role_that_gives_it(cluster: World, missing: str, said: str) -> None:
    cluster.aggregator(Answering(SHOP))
    cluster.log_in(cluster.cluster.user([rule for rule in VIEWER if rule.resource != missing]))
    done = cluster.client()
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert "rbac.viewer" in done.stderr


def test_rights_in_one_namespace_do_with_the_services_name(cluster: World) -> None:
    cluster.aggregator(Answering(SHOP))
    rights = ((("get", "list"), "pods"), (("get", "list"), "services"), (("get",), "services/proxy"))
    cluster.log_in(cluster.cluster.user([Rule(verbs, resource, "", NAMESPACE) for verbs, resource in rights]))
    assert cluster.client().returncode == 1
    done = cluster.client("--service", f"{NAMESPACE}/{SERVICE}", "-o", "name")
    assert (done.stdout.split(), done.stderr) == (["pod/db", "pod/web"], "")
    assert cluster.client("-o", "name", PULLTRACE_SERVICE=f"{NAMESPACE}/{SERVICE}").stdout == done.stdout


def test_tls_behind_the_proxy_is_found_out(cluster: World, tmp_path: Path) -> None:
    cluster.aggregator(Answering(SHOP, tls=pki.Authority().serving(tmp_path)))
    done = cluster.client("-o", "name")
    assert (done.stdout.split(), done.stderr) == (["pod/db", "pod/web"], "")
    assert cluster.asked("services/proxy")[-1] == f"https:{SERVICE}:10302"


def test_client_certificates_do_not_pass_the_proxy(cluster: World, tmp_path: Path) -> None:
    cluster.aggregator(Answering(SHOP, tls=pki.Authority().serving(tmp_path, clients=True)), secure=True)
    done = cluster.client()
    assert done.returncode == 1
    assert "wants a certificate of its clients" in done.stderr
    assert "port-forward services/pulltrace-aggregator" in done.stderr


def test_a_password_does_not_pass_the_proxy(cluster: World) -> None:
    cluster.aggregator(Answering("unauthorized", status=401))
    done = cluster.client()
    assert done.returncode == 1
    assert "wants a password, which does not pass the proxy" in done.stderr
    assert "--url with --user" in done.stderr


def test_an_aggregator_that_is_not_ready_is_told_of(cluster: World) -> None:
    cluster.aggregator(Answering(aggregator()), ready=False)
    done = cluster.client()
    assert "No pod waits for an image in namespace shop." in done.stdout
    assert "is not ready: pods may be missing here" in done.stderr


def test_a_silent_aggregator_is_told_of(cluster: World) -> None:
    cluster.aggregator(Answering(SHOP))
    cluster.cluster.behind["services", NAMESPACE, SERVICE] = "http://127.0.0.1:1"
    done = cluster.client()
    assert done.returncode == 1
    assert "does not answer: error trying to reach service: dial tcp: connect: connection refused" in done.stderr


def test_a_machine_without_kubectl_is_told_so(cluster: World) -> None:
    done = cluster.client(PATH="/nonexistent")
    assert done.returncode == 1
    assert done.stderr.startswith("error: there is no kubectl in PATH\n")
