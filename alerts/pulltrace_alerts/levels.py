"""What recording rules speak of: the first part of their names, and the labels that it stands for."""

from typing import Final

from pulltrace_alerts.model import Labels

PULL: Final = ("cluster", "node", "registry", "repository", "digest")
IMAGE: Final = ("cluster", "registry", "repository", "digest")
WAIT: Final = ("cluster", "namespace", "pod", "container", "container_type", "node", "image")
WAIT_CAUSE: Final = (*WAIT, "registry", "repository", "cause")
WAIT_PULL: Final = (*WAIT, "registry", "repository", "digest")
WAIT_VERDICT: Final = (*WAIT_PULL, "cause")
NODE: Final = ("cluster", "node")
REGISTRY: Final = ("cluster", "registry")
NODE_REGISTRY: Final = ("cluster", "node", "registry")
NAMESPACE_REGISTRY: Final = ("cluster", "namespace", "registry")

LEVELS: Final[dict[str, Labels]] = {
    "cluster": ("cluster",),
    "pull": PULL,
    "image": IMAGE,
    "wait": WAIT,
    "wait_cause": WAIT_CAUSE,
    "wait_pull": WAIT_PULL,
    "wait_verdict": WAIT_VERDICT,
    "node": NODE,
    "node_stage": (*NODE, "stage"),
    "registry": REGISTRY,
    "registry_stage": (*REGISTRY, "stage"),
    "registry_reason": (*REGISTRY, "reason"),
    "node_registry": NODE_REGISTRY,
    "namespace_registry_reason": (*NAMESPACE_REGISTRY, "reason"),
    "namespace_stage": ("cluster", "namespace", "stage"),
}
"""`cluster` is empty where a Prometheus has one cluster only. Every rule names the labels that it keeps, so that two
generations of an exporter or of the aggregator, which differ in `instance` and `pod`, are one."""


def names(labels: Labels) -> str:
    """As PromQL lists them."""
    return ", ".join(labels)
