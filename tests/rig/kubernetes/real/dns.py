"""CoreDNS, as clusters have it: a Service at a fixed address, a Deployment, and the rights to look around."""

from rig.kubernetes.api import Object
from rig.kubernetes.objects import account, item, workload
from rig.kubernetes.real import addresses as at

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


def objects(image: str) -> list[Object]:
    rules = [
        {"apiGroups": [""], "resources": ["services", "pods", "namespaces", "endpoints"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    spec = {"clusterIP": at.DNS_SERVICE, "selector": LABELS, "ports": ports}
    return [
        *account("kube-system", "coredns", rules, role="system:coredns"),
        item("ConfigMap", "coredns", "kube-system", data={"Corefile": COREFILE}),
        _deployment(image),
        item("Service", "kube-dns", "kube-system", labels=LABELS, spec=spec),
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
    return workload("Deployment", "kube-system", "coredns", LABELS, spec)
