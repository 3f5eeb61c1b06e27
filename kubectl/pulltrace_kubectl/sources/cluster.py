"""Pods and workloads, as kubectl gets them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pulltrace.text import presentable
from pulltrace_kubectl.errors import ClientError
from pulltrace_kubectl.model.objects import Container, Pod
from pulltrace_kubectl.model.options import Target
from pulltrace_kubectl.sources.kubectl import Kubectl

DEFAULT_NAMESPACE: Final = "default"


class KubectlCluster:
    """Asks kubectl. Each call may raise ClientError."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl

    def namespace(self) -> str:
        """The namespace of the context; kubectl's own default where that has none."""
        try:
            told = self._kubectl.text("config", "view", "--minify", "--output", "jsonpath={..namespace}")
        except ClientError as error:
            if "context" in error.problem and "current-context" not in error.problem:
                raise
            return DEFAULT_NAMESPACE
        return told.strip() or DEFAULT_NAMESPACE

    def pods(self, namespace: str, selector: str) -> Sequence[Pod]:
        """The pods that labels select; of all namespaces where `namespace` is empty."""
        where = ("--namespace", namespace) if namespace else ("--all-namespaces",)
        return [read_pod(item) for item in self._kubectl.objects("pods", *where, "--selector", selector)["items"]]

    def pod(self, namespace: str, name: str) -> Pod:
        """A pod by its name; raises NotFound."""
        return read_pod(self._kubectl.objects("pod", name, "--namespace", namespace))

    def owned(self, namespace: str, owner: Target) -> tuple[Sequence[Pod], bool]:
        """The pods of a workload, and whether it has as many of its newest revision as it wants; raises NotFound."""
        item = self._kubectl.objects(owner.kind, owner.name, "--namespace", namespace)
        labels = selector_text(item.get("spec", {}).get("selector") or {})
        if not labels:
            raise ClientError(f"{owner} selects no pods", "name its pods")
        return self.pods(namespace, labels), rolled_out(item)


def read_pod(item: Mapping[str, Any]) -> Pod:
    """A pod from its JSON."""
    meta, spec, status = item.get("metadata", {}), item.get("spec", {}), item.get("status", {})
    return Pod(
        namespace=meta.get("namespace", ""),
        name=meta.get("name", ""),
        uid=meta.get("uid", ""),
        phase=status.get("phase", ""),
        node=spec.get("nodeName", ""),
        reason=presentable(status.get("reason", "")),
        deleting="deletionTimestamp" in meta,
        # A Job does so only up to its backoffLimit.
        replaced=any(each.get("controller") and each["kind"] != "Job" for each in meta.get("ownerReferences") or ()),
        containers=tuple(_containers(spec, status)),
        unmet=tuple(
            (each.get("type", ""), presentable(each.get("reason", "")), presentable(each.get("message", "")))
            for each in status.get("conditions") or ()
            if each.get("status") != "True"
        ),
    )


def selector_text(selector: Mapping[str, Any]) -> str:
    """A workload's selector as `--selector` has it."""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for each in selector.get("matchExpressions") or ():
        key, values = each["key"], ",".join(each.get("values") or ())
        form = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        parts.append(form.get(each["operator"], f"!{key}"))
    return ",".join(parts)


def rolled_out(item: Mapping[str, Any]) -> bool:
    """Whether all pods that a workload wants have been made, of its newest revision as far as it replaces them."""
    spec, status = item.get("spec", {}), item.get("status", {})
    if status.get("observedGeneration", 0) < item.get("metadata", {}).get("generation", 0):
        return False
    strategy = spec.get("updateStrategy") or {}
    # Nobody knows when somebody deletes the old pods.
    by_hand = strategy.get("type") == "OnDelete"
    match item.get("kind"):
        case "DaemonSet":
            made = status.get("currentNumberScheduled" if by_hand else "updatedNumberScheduled", 0)
            return bool(made >= status.get("desiredNumberScheduled", 0))
        case "Deployment":
            return bool(status.get("updatedReplicas", 0) >= spec.get("replicas", 1))
        case "StatefulSet":
            wanted = spec.get("replicas", 1)
            kept = wanted if by_hand else (strategy.get("rollingUpdate") or {}).get("partition", 0)
            made = status.get("replicas", 0)
            return bool(made >= wanted and status.get("updatedReplicas", 0) >= wanted - kept)
    return True


def _containers(spec: Mapping[str, Any], status: Mapping[str, Any]) -> Iterable[Container]:
    told = {
        each.get("name", ""): each
        for key in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
        for each in status.get(key) or ()
    }
    for key in ("initContainers", "containers", "ephemeralContainers"):
        for each in spec.get(key) or ():
            yield _container(each.get("name", ""), told.get(each.get("name", ""), {}), init=key == "initContainers")


def _container(name: str, status: Mapping[str, Any], *, init: bool) -> Container:
    state = status.get("state") or {}
    kind = next(iter(state), "")
    waiting = state.get("waiting") or {}
    return Container(
        name=name,
        state=kind,
        reason=presentable(waiting.get("reason", "")),
        message=presentable(waiting.get("message", "")),
        image_id=status.get("imageID", ""),
        init=init,
    )
