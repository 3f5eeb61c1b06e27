"""What a pod's own status tells: whether its images are there, and what else it waits for."""

from typing import Final

from pulltrace_kubectl.model.objects import Container, Pod

IMAGE_REASONS: Final = (
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
)
_NOT_BEGUN: Final = ("ContainerCreating", "PodInitializing", "")
_SANDBOX: Final = "PodReadyToStartContainers"


def images_there(pod: Pod) -> bool:
    """Whether the node has the image of each container, as far as the status tells."""
    return bool(pod.containers) and all(_has_image(container) for container in pod.containers)


def ended(pod: Pod) -> bool:
    """Whether nothing more will be pulled for it."""
    return pod.phase in ("Failed", "Succeeded")


def explain(pod: Pod) -> str:
    """What a pod that waits for no image waits for, in the words of its status."""
    name = f"{pod.namespace}/{pod.name}"
    if ended(pod):
        return f"{name} has ended ({_with(pod.phase, pod.reason)}): it waits for no image"
    if pod.deleting:
        return f"{name} is being deleted: it waits for no image"
    if not pod.node:
        return f"{name} waits for no image, but for a node: {_condition(pod, 'PodScheduled') or 'it is not scheduled'}"
    return f"{name} waits for no image{_otherwise(pod)}"


def _otherwise(pod: Pod) -> str:
    stuck = [each for each in pod.containers if each.state == "waiting" and each.reason not in _NOT_BEGUN]
    if stuck:
        first = stuck[0]
        return f", but container {first.name} waits: {_with(first.reason, first.message)}"
    running = next((each for each in pod.containers if each.init and each.state == "running"), None)
    if running is not None and not images_there(pod):
        return f", but for init container {running.name}, which runs"
    if any(condition[0] == _SANDBOX for condition in pod.unmet):
        return ", but for its sandbox: network or volumes are not ready; 'kubectl describe pod' tells more"
    if images_there(pod):
        return ": all its containers have theirs"
    return " that Pulltrace knows of: it is being set up; 'kubectl describe pod' tells more"


def _has_image(container: Container) -> bool:
    if container.image_id or container.state in ("running", "terminated"):
        return True
    # The kubelet pulls before it makes the container: another reason comes later.
    return container.state == "waiting" and container.reason not in (*IMAGE_REASONS, *_NOT_BEGUN)


def _condition(pod: Pod, kind: str) -> str:
    return next((_with(reason, message) for name, reason, message in pod.unmet if name == kind), "")


def _with(first: str, second: str) -> str:
    return f"{first}: {second}" if first and second else first or second
