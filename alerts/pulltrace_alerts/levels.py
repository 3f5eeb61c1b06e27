"""The levels of recording rules: the first part of a rule's name, and the labels that it stands for."""

from typing import Final

from pulltrace_alerts.model import Labels

PULL: Final = ("cluster", "node", "registry", "repository", "digest")
IMAGE: Final = ("cluster", "registry", "repository", "digest")
WAIT: Final = ("cluster", "namespace", "pod", "container", "container_type", "node", "image")
WAIT_IMAGE: Final = (*WAIT, "registry", "repository")
WAIT_CAUSE: Final = (*WAIT_IMAGE, "cause")
WAIT_REASON: Final = (*WAIT_IMAGE, "reason")
WAIT_PULL: Final = (*WAIT_IMAGE, "digest")
NODE: Final = ("cluster", "node")
REGISTRY: Final = ("cluster", "registry")
NODE_REGISTRY: Final = ("cluster", "node", "registry")
REGISTRY_LE: Final = ("cluster", "registry", "le")
REGISTRY_STAGE: Final = ("cluster", "registry", "stage")
NAMESPACE_REGISTRY: Final = ("cluster", "namespace", "registry")

LEVELS: Final[dict[str, Labels]] = {
    "pull": PULL,
    "wait": WAIT,
    "wait_cause": WAIT_CAUSE,
    "wait_reason": WAIT_REASON,
    "wait_pull": WAIT_PULL,
    "node": NODE,
    "registry": REGISTRY,
    "registry_le": REGISTRY_LE,
    "registry_stage": REGISTRY_STAGE,
    "namespace_registry": NAMESPACE_REGISTRY,
}
"""`cluster` is empty where a Prometheus has one cluster only. Every rule names the labels that it keeps, so that two
generations of an exporter or of the aggregator, which differ in `instance` and `pod`, are one."""


def names(labels: Labels) -> str:
    """The labels as PromQL lists them."""
    return ", ".join(labels)
