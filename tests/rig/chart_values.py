"""Values with which the chart is rendered in tests."""

from typing import Any, Final

import pytest

Values = dict[str, Any]
HASH: Final = "$2b$04$abcdefghijklmnopqrstuuDRzLb8rX6cWxbGdvdCMqEDBVrEhe1vm"
LOGIN: Final = "pulltrace-login"
KPS: Final[Values] = {"kubePrometheusStack": {"release": "kps"}}
TLS: Final[Values] = {**KPS, "tls": {"enabled": True}}
READY_FOR_TLS: Final[Values] = {**KPS, "tls": {"enabled": True, "serve": False, "clientCertificates": True}}
GIVEN_TLS: Final[Values] = {**KPS, "tls": {"enabled": True, "existingSecret": "given", "minVersion": "TLS13"}}
CLIENTS: Final[Values] = {**KPS, "tls": {"enabled": True, "clientCertificates": True}}
PASSWORD: Final[Values] = {
    **KPS,
    "basicAuth": {"enabled": True, "existingSecret": LOGIN, "users": {"prometheus": HASH}},
}
INTENTS: Final[Values] = {"exporter": {"kubeletIntents": {"enabled": True}}}
OFF: Final[Values] = {"enabled": False}

_POD: Final[Values] = {
    "image": {"registry": "registry.example:5000", "tag": "v9", "pullPolicy": "Always"},
    "extraArgs": ["--log.level=debug"],
    "extraEnv": [{"name": "TZ", "value": "UTC"}],
    "extraEnvFrom": [{"configMapRef": {"name": "more", "optional": True}}],
    "extraVolumes": [{"name": "scratch", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],
    "extraInitContainers": [{"name": "before", "image": "registry.example/before:1"}],
    "extraContainers": [{"name": "beside", "image": "registry.example/beside:1"}],
    "serviceAccount": {"annotations": {"a": "b"}},
    "service": {"annotations": {"a": "b"}},
    "podLabels": {"team": "platform"},
    "podAnnotations": {"a": "b"},
    "annotations": {"a": "b"},
    "affinity": {"nodeAffinity": {}},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "priorityClassName": "system-node-critical",
    "runtimeClassName": "runc",
    "verticalPodAutoscaler": {"enabled": True, "resourcePolicy": {"containerPolicies": []}},
}
EVERYTHING: Final[Values] = {
    **GIVEN_TLS,
    "runtime": "rke2",
    "tls": {
        "enabled": True,
        "clientCertificates": True,
        "certManager": {"issuerRef": {"kind": "ClusterIssuer", "name": "company"}},
    },
    "basicAuth": PASSWORD["basicAuth"],
    "global": {"imageRegistry": "mirror.example", "imagePullSecrets": ["one", {"name": "two"}]},
    "imagePullSecrets": [{"name": "three"}],
    "commonLabels": {"cost": "shared"},
    "commonAnnotations": {"owner": "platform"},
    "exporter": {
        **_POD,
        "kubeletIntents": {"enabled": True},
        "soci": {"enabled": True},
        "containerd": {"socket": "/opt/containerd/containerd.sock"},
        "flags": {"pull.linger": "5m", "collector.layers": False, "limit.layers": 100000, "layer.min-size": "1MiB"},
    },
    "aggregator": {
        **_POD,
        "shards": 2,
        "namespaces": ["team-a", "team-b"],
        "flags": {"stale.no-progress": "2m", "exporter.max-requests-per-second": 50, "log.format": "json"},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
    },
    "networkPolicy": {
        "extraIngressFrom": [{"podSelector": {"matchLabels": {"app": "grafana"}}}],
        "apiServer": {"ports": [6443], "cidrs": ["10.0.0.1/32"]},
        "extraAggregatorEgress": [{"ports": [{"port": 53, "protocol": "UDP"}]}],
    },
    "monitors": {
        "labels": {"prometheus": "main"},
        "annotations": {"a": "b"},
        "exporter": {"scrapeTimeout": "5s", "relabelings": [{"targetLabel": "zone", "replacement": "a"}]},
        "aggregator": {"metricRelabelings": [{"action": "labeldrop", "regex": "uid"}], "spec": {"labelLimit": 50}},
    },
    "scrapeAnnotations": True,
    "rules": {
        "labels": {"prometheus": "main"},
        "alertLabels": {"team": "platform"},
        "alertAnnotations": {"channel": "#pulls"},
        "runbookBaseUrl": "https://wiki.example.org/runbooks/",
        "alerts": {
            "PulltracePullStalled": {"for": "10m", "severity": "critical", "labels": {"team": "storage"}},
            "PulltraceImageQueued": {"disabled": True},
        },
        "extraGroups": [{"name": "ours", "rules": [{"record": "a:b:c", "expr": "vector(1)"}]}],
    },
    "dashboards": {"folder": "Images", "annotations": {"a": "b"}},
    "extraManifests": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-more"}},
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-text\n",
    ],
}
NOTHING: Final[Values] = {
    "exporter": OFF,
    "aggregator": OFF,
    "rbac": {"create": False},
    "networkPolicy": OFF,
    "monitors": OFF,
    "rules": OFF,
    "dashboards": OFF,
    "tests": OFF,
}
NUMBERS: Final[Values] = {
    "nameOverride": "1e3",
    "fullnameOverride": "no",
    "namespaceOverride": "123",
    "imagePullSecrets": ["7", {"name": "0x8"}],
    "kubePrometheusStack": {"release": "1"},
    "tls": {"enabled": True, "existingSecret": "12345", "clientCertificates": True},
    "basicAuth": {**PASSWORD["basicAuth"], "existingSecret": "67890"},
    "dashboards": {"namespace": "456"},
    "exporter": {"priorityClassName": "1", "runtimeClassName": "null", "serviceAccount": {"name": "0123"}},
    "aggregator": {
        "namespaces": ["789", "true"],
        "exporterService": "123/no-exporter",
        "serviceAccount": {"name": "9"},
    },
}
"""Names that YAML reads as something else, unless they are quoted."""
VARIANTS: Final[dict[str, Values]] = {
    "default": {},
    "kube-prometheus-stack": KPS,
    "ready-for-tls": READY_FOR_TLS,
    "sharded": {**KPS, "aggregator": {"shards": 3}},
    "tls": TLS,
    "given-tls": GIVEN_TLS,
    "client-certificates": CLIENTS,
    "password": PASSWORD,
    "own-web-config": {"basicAuth": {"enabled": True, "existingSecret": LOGIN, "webConfigSecret": "web"}},
    **{name: {**INTENTS, "runtime": name} for name in ("containerd", "k3s", "rke2", "k0s", "microk8s")},
    "own-socket": {"exporter": {"containerd": {"socket": "/opt/containerd/containerd.sock"}}},
    "own-intents": {
        "exporter": {"kubeletIntents": {"enabled": True, "directory": "/data/kubelet/image_manager/pulling"}}
    },
    "own-soci": {"exporter": {"soci": {"enabled": True, "directory": "/data/soci/unpack"}}},
    "namespaced": {"aggregator": {"namespaces": ["team-a", "team-b"]}},
    "annotated": {"scrapeAnnotations": True},
    "viewer": {
        "rbac": {"viewer": {"create": True, "aggregateToView": True, "exporters": True}},
        "networkPolicy": {"apiServer": {"cidrs": ["192.0.2.1/32"]}},
    },
    "grafana-operator": {**KPS, "dashboards": {"mode": "operator", "folder": "Images", "namespace": "grafana"}},
    "exporter-only": {"aggregator": OFF},
    "aggregator-only": {"exporter": OFF, "aggregator": {"exporterService": "nodes/other-exporter"}},
    "tls-of-others": {
        "tls": {"enabled": True, "certManager": {"issuerRef": {"kind": "ClusterIssuer", "name": "company"}}},
        "aggregator": {"exporterService": "nodes/other-exporter"},
    },
    "renamed": {"nameOverride": "pulls", "fullnameOverride": "image-pulls-" + "x" * 60, "namespaceOverride": "other"},
    "numbers-for-names": NUMBERS,
    "little": {
        "networkPolicy": OFF,
        "rbac": {"create": False},
        "exporter": {"serviceAccount": {"create": False}},
        "aggregator": {"serviceAccount": {"create": False, "name": "reader"}, "podDisruptionBudget": {"enabled": True}},
    },
    "everything-on": EVERYTHING,
    "everything-off": NOTHING,
}

each_variant = pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS)
