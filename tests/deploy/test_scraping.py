"""A real Prometheus finds and scrapes the programs as the chart's README and its monitors say, over TLS and without."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from pulltrace_chart.copies import alerts
from pulltrace_chart.rendering import Object
from rig.aggregator import RunningAggregator
from rig.chart_values import CLIENTS, KPS, Values
from rig.charts import NAMESPACE, README, endpoint, new_helm, of_kind, one
from rig.exporter import RunningExporter
from rig.kubernetes import objects
from rig.kubernetes.api import READ, READ_EVERYTHING, Rule, kubeconfig
from rig.kubernetes.fake import FakeCluster
from rig.mounted import AGGREGATOR, EXPORTER, Secrets, mounted, secrets_beside, with_login
from rig.pki import Authority
from rig.prometheus import Labels, Prometheus, prometheus
from rig.web import wait_until

pytestmark = pytest.mark.integration

SECURED: Final = with_login(CLIENTS)
PLAIN_NAMESPACE, SECURED_NAMESPACE = "pulltrace", NAMESPACE
NODES: Final = {PLAIN_NAMESPACE: "node-plain", SECURED_NAMESPACE: "node-secured"}
WAITS: Final = {"namespace": "shop", "pod": "web", "container": "main", "node": "node-far"}
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A cluster with both programs in it twice: plain in one namespace, secured in the other."""

    cluster: FakeCluster
    folder: Path
    secrets: Secrets


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with FakeCluster() as cluster, ExitStack() as running:
        for name in (PLAIN_NAMESPACE, SECURED_NAMESPACE, "shop"):
            cluster.api.create(objects.namespace(name))
        wait = cluster.api.create(objects.pod("shop", "web", node="node-far"))
        cluster.api.set_status(wait, phase="Pending", containerStatuses=[objects.waiting(reason="ErrImagePull")])
        made = Stage(cluster, tmp_path, secrets_beside(Authority()))
        start(running, made, PLAIN_NAMESPACE, {**KPS, "namespaceOverride": PLAIN_NAMESPACE})
        start(running, made, SECURED_NAMESPACE, SECURED)
        yield made


def start(running: ExitStack, stage: Stage, namespace: str, values: Values) -> None:
    """Both programs with the arguments and files of the rendering, and their pods in the cluster."""
    found, folder = new_helm(values), stage.folder / namespace
    folder.mkdir()
    api = stage.cluster.api
    exporter_args = mounted(found, EXPORTER, folder / "exporter", stage.secrets).args
    secured = [each for each in exporter_args if each.startswith("--web.config.file=")]
    exporter = running.enter_context(RunningExporter(folder / "containerd.sock", folder / "exporter.log", *secured))
    add_pod(stage, found, EXPORTER, namespace, exporter.port)
    endpoint = objects.endpoint(NODES[namespace], "127.0.0.1")
    published = objects.endpoint_slice(namespace, EXPORTER, EXPORTER, endpoint)
    published["ports"][0]["port"] = exporter.port
    api.create(published)
    made = mounted(found, AGGREGATOR, folder / "aggregator", stage.secrets)
    config = folder / "kubeconfig"
    config.write_text(kubeconfig(stage.cluster.url, stage.cluster.ca_file, token=stage.cluster.user(READ_EVERYTHING)))
    args = [each for each in made.args if not each.startswith("--web.listen-address=")]
    aggregator = running.enter_context(RunningAggregator(folder / "aggregator.log", *args, f"--kubeconfig={config}"))
    add_pod(stage, found, AGGREGATOR, namespace, aggregator.port)


def add_pod(stage: Stage, found: tuple[Object, ...], name: str, namespace: str, port: int) -> None:
    """The pod that the rendered workload would have, at the address where its program is."""
    (workload,) = (each for each in of_kind(found, "DaemonSet", "Deployment") if each["metadata"]["name"] == name)
    template = workload["spec"]["template"]
    (container,) = template["spec"]["containers"]
    (named,) = container["ports"]
    ports = [{**named, "containerPort": port}]
    pod = objects.pod(
        namespace, name, objects.container(container["name"], container["image"], ports=ports), node=NODES[namespace]
    )
    pod["metadata"] |= {name: template["metadata"][name] for name in ("labels", "annotations")}
    running = objects.running(container["name"])
    made = stage.cluster.api.create(pod)
    stage.cluster.api.set_status(
        made, phase="Running", podIP="127.0.0.1", podIPs=[{"ip": "127.0.0.1"}], containerStatuses=[running]
    )


def discovery(stage: Stage, namespace: str) -> list[Any]:
    token = stage.cluster.user([Rule(READ, "pods")])
    return [
        {
            "role": "pod",
            "api_server": stage.cluster.url,
            "namespaces": {"names": [namespace]},
            "tls_config": {"ca_file": str(stage.cluster.ca_file)},
            "authorization": {"credentials": token},
        }
    ]


def documented_jobs(stage: Stage) -> list[Any]:
    """The jobs of the README, except for how they reach the cluster."""
    (block,) = (text for text in README.texts("yaml") if "kubernetes_sd_configs" in text)
    jobs: list[Any] = yaml.safe_load(block)["scrape_configs"]
    assert [each["kubernetes_sd_configs"][0]["namespaces"]["names"] for each in jobs] == [[PLAIN_NAMESPACE]] * 2
    own = {"scrape_interval": "1s", "kubernetes_sd_configs": discovery(stage, PLAIN_NAMESPACE)}
    return [{**job, **own} for job in jobs]


def operators_job(stage: Stage, monitor: Object) -> dict[str, Any]:
    """What the Prometheus operator makes of a monitor: its selector, the labels it gives, then the relabelings."""
    meta, spec, scraped = monitor["metadata"], monitor["spec"], endpoint(monitor)
    label = "__meta_kubernetes_pod_label_{}"
    selected = {label.format(re.sub(r"\W", "_", key)): value for key, value in spec["selector"]["matchLabels"].items()}
    selected["__meta_kubernetes_pod_container_port_name"] = scraped["port"]
    keep = [{"action": "keep", "source_labels": [name], "regex": value} for name, value in selected.items()]
    given = {"namespace": "namespace", "container": "pod_container_name", "pod": "pod_name"}
    labels = [
        {"source_labels": [f"__meta_kubernetes_{source}"], "target_label": name} for name, source in given.items()
    ]
    names = {"sourceLabels": "source_labels", "targetLabel": "target_label"}
    relabel = [{names.get(key, key): value for key, value in each.items()} for each in scraped["relabelings"]]
    tls = scraped["tlsConfig"]
    files = {"ca_file": tls["ca"]["secret"], "cert_file": tls["cert"]["secret"], "key_file": tls["keySecret"]}
    paths = {name: stage.folder / f"{meta['name']}-{name}" for name in files}
    for name, ref in files.items():
        paths[name].write_bytes(stage.secrets[ref["name"]][ref["key"]])
    presented = {key: stage.secrets[ref["name"]][ref["key"]].decode() for key, ref in scraped["basicAuth"].items()}
    return {
        "job_name": f"{meta['namespace']}/{meta['name']}",
        "scrape_interval": "1s",
        "honor_labels": scraped.get("honorLabels", False),
        "sample_limit": spec["sampleLimit"],
        # The pods say which one.
        "scheme": "http",
        "metrics_path": scraped["path"],
        "tls_config": {**{name: str(path) for name, path in paths.items()}, "server_name": tls["serverName"]},
        "basic_auth": presented,
        "kubernetes_sd_configs": discovery(stage, SECURED_NAMESPACE),
        "relabel_configs": [*keep, *labels, *relabel],
    }


def found_by(server: Prometheus, query: str) -> list[Labels]:
    return [series.labels for series in server.query(query)]


def loaded(server: Prometheus) -> list[Any]:
    return [rule for group in server.get("/api/v1/rules")["groups"] for rule in group["rules"]]


def test_prometheus_scrapes_both_programs_and_their_labels_are_right(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The fake lists before it watches, as every server up to 1.33 does; Prometheus would wait for more.
    monkeypatch.setenv("KUBE_FEATURE_WatchListClient", "false")
    monitors = [one(new_helm(SECURED), kind) for kind in ("PodMonitor", "ServiceMonitor")]
    jobs = [*documented_jobs(stage), *(operators_job(stage, monitor) for monitor in monitors)]
    rules = stage.folder / "rules.yaml"
    rules.write_text(yaml.safe_dump(one(new_helm(SECURED), "PrometheusRule")["spec"]))
    config = {"global": {"evaluation_interval": "1s"}, "scrape_configs": jobs}
    with prometheus(config=yaml.safe_dump(config), rules=[rules]) as server:
        wait_until(lambda: len(server.query("up == 1")) == len(jobs), PATIENCE)
        nodes = sorted(labels["node"] for labels in found_by(server, 'up{job="pulltrace-exporter"}'))
        assert nodes == sorted(NODES.values())
        assert sorted(labels["node"] for labels in found_by(server, "pulltrace_exporter_build_info")) == nodes
        # Both aggregators read their exporter, the one over TLS, with a certificate and a password.
        wait_until(lambda: len(server.query('pulltrace_aggregator_exporters{state="ok"} == 1')) == 2, PATIENCE)
        wait_until(lambda: len(server.query('pulltrace_pod_pull_info{pod="web"}')) == 2, PATIENCE)
        for labels in found_by(server, 'pulltrace_pod_pull_info{pod="web"}'):
            assert {name: labels[name] for name in WAITS} == WAITS
            assert labels["job"] == AGGREGATOR
        own = found_by(server, "pulltrace_aggregator_kubernetes_up == 1")
        assert len(own) == 2
        assert not any({"pod", "container"} & set(labels) for labels in own)
        assert not server.query('{__name__=~"pulltrace_.+",exported_pod!=""}')
        # The rendered rules are loaded, evaluate, and have something to say of what was scraped.
        wait_until(lambda: {rule["health"] for rule in loaded(server)} == {"ok"}, PATIENCE)
        assert {rule["name"] for rule in loaded(server) if rule["type"] == "alerting"} == set(alerts())
        wait_until(lambda: len(server.query("wait:pulltrace_pod_pull_waiting_seconds:max")) == 1, PATIENCE)
