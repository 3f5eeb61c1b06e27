"""What kube-prometheus-stack brings: the operator, a Prometheus and an Alertmanager that select by its label."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import yaml

from rig.kubernetes import objects
from rig.kubernetes.api import Api, Object, wait_for

NAMESPACE = "monitoring"
RELEASE = "kube-prometheus-stack"
"""Name of the stack's release: what monitors and rules have to bear as label `release`."""
SELECTOR = {"matchLabels": {"release": RELEASE}}
OPERATOR = f"{RELEASE}-operator"
PROMETHEUS = f"{RELEASE}-prometheus"
ALERTMANAGER = f"{RELEASE}-alertmanager"
RULES_FOLDER = f"/etc/prometheus/rules/prometheus-{PROMETHEUS}-rulefiles-0"
RELOADER = {
    "name": "config-reloader",
    "args": [
        "--listen-address=:8080",
        "--reload-url=http://localhost:9090/-/reload",
        "--config-file=/etc/prometheus/config/prometheus.yaml.gz",
        "--config-envsubst-file=/etc/prometheus/config_out/prometheus.env.yaml",
        f"--watched-dir={RULES_FOLDER}",
        "--watch-interval=5s",
    ],
}
"""What the operator has it do, but for the interval. It watches a file that the kubelet replaces. So after the first
change of the configuration it sees the next one only when it looks by itself, which otherwise is every three minutes
(prometheus-operator/prometheus-operator#7366)."""
READY_TIMEOUT = 180.0
OPERATOR_RULES = [
    {"apiGroups": ["monitoring.coreos.com"], "resources": ["*"], "verbs": ["*"]},
    {"apiGroups": ["apps"], "resources": ["statefulsets", "daemonsets"], "verbs": ["*"]},
    {"apiGroups": [""], "resources": ["configmaps", "secrets", "services", "services/finalizers"], "verbs": ["*"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "delete"]},
    {"apiGroups": [""], "resources": ["nodes", "namespaces"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
    {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["get"]},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["*"]},
]
PROMETHEUS_RULES = [
    {"apiGroups": [""], "resources": ["services", "endpoints", "pods", "nodes"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
]


def install(api: Api, programs: Mapping[str, Path], images: Mapping[str, str], receiver: str) -> None:
    """Bring all of it; it comes up by itself. `images` are references by the last part of their repository."""
    folder = programs["prometheus-operator"] / "data"
    for path in sorted(folder.glob("*.yaml")):
        api.apply_file(path)
    api.apply(objects.namespace(NAMESPACE))
    api.apply(*objects.account(NAMESPACE, OPERATOR, OPERATOR_RULES))
    api.apply(*objects.account(NAMESPACE, PROMETHEUS, PROMETHEUS_RULES))
    api.apply(_operator(images))
    wait_for(lambda: api.get("/apis/monitoring.coreos.com/v1"), "the operator's kinds")
    api.apply(_alertmanager_config(receiver), *_stack(images))


def wait_ready(api: Api) -> None:
    """Return when Prometheus and Alertmanager run."""
    for name in (PROMETHEUS, ALERTMANAGER):
        pod = objects.item("Pod", f"{name.removeprefix(f'{RELEASE}-')}-{name}-0", NAMESPACE)
        wait_for(partial(api.is_ready, pod), f"{name} ready", READY_TIMEOUT)


def _operator(images: Mapping[str, str]) -> Object:
    labels = {"app.kubernetes.io/name": "prometheus-operator"}
    container = {
        "name": "operator",
        "image": images["prometheus-operator"],
        "args": [
            f"--prometheus-config-reloader={images['prometheus-config-reloader']}",
            "--config-reloader-cpu-request=0",
            "--config-reloader-memory-request=0",
        ],
    }
    spec = {"serviceAccountName": OPERATOR, "containers": [container]}
    return objects.workload("Deployment", NAMESPACE, OPERATOR, labels, spec)


def _alertmanager_config(receiver: str) -> Object:
    hook = {"url": receiver, "send_resolved": True}
    config = {
        "route": {"receiver": "tests", "group_by": ["alertname"], "group_wait": "1s", "group_interval": "5s"},
        "receivers": [{"name": "tests", "webhook_configs": [hook]}],
    }
    data = {"alertmanager.yaml": yaml.safe_dump(config)}
    return objects.item("Secret", f"alertmanager-{ALERTMANAGER}", NAMESPACE, stringData=data)


def _stack(images: Mapping[str, str]) -> Iterator[Object]:
    user = {"runAsUser": 1000, "runAsNonRoot": True, "fsGroup": 2000, "seccompProfile": {"type": "RuntimeDefault"}}
    prometheus = {
        "image": images["prometheus"],
        "version": "v3.5.0",
        "replicas": 1,
        "serviceAccountName": PROMETHEUS,
        "securityContext": user,
        "podMonitorSelector": SELECTOR,
        "serviceMonitorSelector": SELECTOR,
        "ruleSelector": SELECTOR,
        "podMonitorNamespaceSelector": {},
        "serviceMonitorNamespaceSelector": {},
        "ruleNamespaceSelector": {},
        "scrapeInterval": "10s",
        "evaluationInterval": "10s",
        "containers": [RELOADER],
        "alerting": {"alertmanagers": [{"namespace": NAMESPACE, "name": "alertmanager-operated", "port": "web"}]},
    }
    alertmanager = {"image": images["alertmanager"], "version": "v0.28.0", "replicas": 1, "securityContext": user}
    for kind, name, spec in (("Prometheus", PROMETHEUS, prometheus), ("Alertmanager", ALERTMANAGER, alertmanager)):
        yield objects.item(kind, name, NAMESPACE, version="monitoring.coreos.com/v1", spec=spec)
