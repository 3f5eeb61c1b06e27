"""CoreDNS, as clusters have it: a Service at a fixed address, a Deployment, and the rights to look around."""

from rig.kube import addresses as at
from rig.kube.api import Object

COREFILE = f"""\
.:53 {{
    errors
    health :8080
    ready :8181
    kubernetes {at.DOMAIN} in-addr.arpa ip6.arpa {{
        pods insecure
        ttl 5
    }}
    cache 5
}}
"""
LABELS = {"k8s-app": "kube-dns"}
HOME = {"name": "coredns", "namespace": "kube-system"}


def objects(image: str) -> list[Object]:
    """All that it needs."""
    rules = [
        {"apiGroups": [""], "resources": ["services", "pods", "namespaces", "endpoints"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "system:coredns"}}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "system:coredns"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns"},
        "subjects": [{"kind": "ServiceAccount", **HOME}],
    }
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": LABELS},
        "spec": {"clusterIP": at.DNS_SERVICE, "selector": LABELS, "ports": ports},
    }
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": HOME},
        {**role, "rules": rules},
        binding,
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": HOME, "data": {"Corefile": COREFILE}},
        _deployment(image),
        service,
    ]


def _deployment(image: str) -> Object:
    container = {
        "name": "coredns",
        "image": image,
        "args": ["-conf", "/etc/coredns/Corefile"],
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
    }
    spec = {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
        "dnsPolicy": "Default",
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": HOME,
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": spec},
        },
    }
