"""What the kubelet says of images, in events and in waiting containers: one table of its versions 1.23 to 1.37.

Read from `pkg/kubelet/images/image_manager.go` and `kuberuntime` of these versions. Nothing here raises, whatever the
text: a message that is not in the table is `Kind.UNKNOWN`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from pulltrace_aggregator.kubelet.failures import classify
from pulltrace_aggregator.kubelet.go_format import DURATION, QUOTED, parse_duration, unquote
from pulltrace_aggregator.model.cluster import ImageUser
from pulltrace_aggregator.model.image_message import UNKNOWN, ImageMessage, Kind
from pulltrace_aggregator.model.states import ContainerType, FailureReason

OLDEST: Final = 23
NEWEST: Final = 37
"""The first and last minor version of Kubernetes 1 that the table was read from."""

COMBINED_PREFIX: Final = "(combined from similar events): "
"""Put before the latest message by client-go when more than 10 events differ in nothing but their messages."""

SANDBOX_FAILED: Final = "FailedCreatePodSandBox"
"""Reason of the only event that tells of a pause image. It names no container."""

CRASHED: Final = "CrashLoopBackOff"
"""Waiting reason between a run of a container and the next one."""

_OTHER: Final = FailureReason.OTHER
_NEVER: Final = FailureReason.NEVER_PULL
_NAME: Final = FailureReason.INVALID_NAME
_SIGNATURE: Final = FailureReason.SIGNATURE
_UNAVAILABLE: Final = FailureReason.REGISTRY_UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Form:
    """One way to say something: the reason of its event or waiting container, the text with its variables.

    `failure` is the reason of the failure; in a text with `{error}` or `{words}`, it holds if those tell no other one.
    `since` and `until` are the minor versions of Kubernetes 1 that write the form. A message is read without them.
    """

    reason: str
    kind: Kind
    text: str
    failure: FailureReason | None = None
    since: int = OLDEST
    until: int = NEWEST


def _no_sandbox(text: str) -> Form:
    return Form(SANDBOX_FAILED, Kind.FAILED, f"Failed to create pod sandbox: {{any}}{text}", _OTHER)


EVENTS: Final = (
    Form("Pulling", Kind.PULLING, "Pulling image {image}"),
    Form("Pulled", Kind.PULLED, "Successfully pulled image {image} in {pull}", until=25),
    Form(
        "Pulled",
        Kind.PULLED,
        "Successfully pulled image {image} in {pull} ({total} including waiting)",
        since=26,
        until=29,
    ),
    Form(
        "Pulled",
        Kind.PULLED,
        "Successfully pulled image {image} in {pull} ({total} including waiting). Image size: {size} bytes.",
        since=30,
    ),
    Form("Pulled", Kind.PRESENT, "Container image {image} already present on machine"),
    Form(
        "Pulled",
        Kind.PRESENT,
        "Container image {image} already present on machine and can be accessed by the pod",
        since=33,
    ),
    Form("Failed", Kind.FAILED, "Failed to pull image {image}: {error}", _OTHER),
    Form("Failed", Kind.BACK_OFF, "Error: ImagePullBackOff"),
    Form("Failed", Kind.NOT_STARTED, "Error: {reason}"),
    Form("Failed", Kind.ERROR, "Error: {words}", _OTHER),
    Form("BackOff", Kind.BACK_OFF, "Back-off pulling image {image}"),
    Form("ErrImageNeverPull", Kind.FAILED, "Container image {image} is not present with pull policy of Never", _NEVER),
    Form("InspectFailed", Kind.FAILED, "Failed to inspect image {image}: {error}", _OTHER),
    Form("InspectFailed", Kind.FAILED, "Failed to apply default image tag {image}: {any}", _NAME),
    # What the runtime says of its pause image: containerd up to 2.2 and from 2.3 on, Docker, CRI-O.
    _no_sandbox("failed to get sandbox image {image}: {error}"),
    _no_sandbox("failed to pull image {image}: {error}"),
    _no_sandbox("failed pulling image {image}: {error}"),
    _no_sandbox("failed to inspect sandbox image {image}: {error}"),
    _no_sandbox(" docker://{name}: {error}"),
)
"""Messages of events. A reason is not enough: `Failed` and `BackOff` are used for container starts too."""

EVENT_REASONS: Final = tuple(dict.fromkeys(form.reason for form in EVENTS))
"""Reasons of the events that can tell of an image."""

WAITING: Final = (
    Form("ErrImagePull", Kind.FAILED, ""),
    Form("ErrImagePull", Kind.FAILED, "{error}", _OTHER),
    # Before 1.32 only the events of a container in back-off tell why its last attempt failed. A back-off in other words
    # has a reason only if those words tell one.
    Form("ImagePullBackOff", Kind.BACK_OFF, "Back-off pulling image {image}"),
    Form("ImagePullBackOff", Kind.BACK_OFF, "Back-off pulling image {image}: {error}", _OTHER, since=32),
    Form("ImagePullBackOff", Kind.BACK_OFF, "{error}"),
    Form("ImageInspectError", Kind.FAILED, ""),
    Form("ImageInspectError", Kind.FAILED, "Failed to inspect image {image}: {error}", _OTHER),
    Form("ImageInspectError", Kind.FAILED, "{error}", _OTHER),
    Form("ErrImageNeverPull", Kind.FAILED, "{any}", _NEVER),
    Form("InvalidImageName", Kind.FAILED, "{any}", _NAME),
    Form("SignatureValidationFailed", Kind.FAILED, "{any}", _SIGNATURE),
    Form("RegistryUnavailable", Kind.FAILED, "image pull failed for {name} because {error}", _UNAVAILABLE),
    Form("RegistryUnavailable", Kind.FAILED, "{error}", _UNAVAILABLE),
    Form("ImageVolumeMountFailed", Kind.FAILED, ""),
    Form("ImageVolumeMountFailed", Kind.FAILED, "{error}", _OTHER),
    # Steps that the kubelet takes when the image is there (`startContainer` of kuberuntime).
    Form(CRASHED, Kind.PRESENT, "{any}"),
    Form("CreateContainerConfigError", Kind.PRESENT, "{any}"),
    Form("CreateContainerError", Kind.PRESENT, "{any}"),
    Form("PreCreateHookError", Kind.PRESENT, "{any}"),
    Form("PreStartHookError", Kind.PRESENT, "{any}"),
    Form("PostStartHookError", Kind.PRESENT, "{any}"),
    Form("RunContainerError", Kind.PRESENT, "{any}"),
    Form("StartError", Kind.PRESENT, "{any}"),
)
"""Messages of waiting containers by `state.waiting.reason`; the first form that fits is taken."""

MISSING_REASONS: Final = frozenset(form.reason for form in WAITING if form.kind is not Kind.PRESENT)
"""Waiting reasons that are about an image: the container's own, or that of an image volume."""

_VARIABLES: Final = {
    "image": QUOTED,
    "name": r"[^\s\ud800-\udfff]*",
    "pull": DURATION,
    "total": DURATION,
    "size": r"[0-9]{1,19}",
    "reason": "|".join(sorted(MISSING_REASONS)),
    "error": ".*",
    "words": r".*\S.*",
    "any": ".*?",
}
_VARIABLE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class _Reader:
    form: Form
    pattern: re.Pattern[str]

    def read(self, text: str) -> ImageMessage | None:
        found = self.pattern.fullmatch(text)
        if found is None:
            return None
        parts = found.groupdict()
        return ImageMessage(
            self.form.kind,
            image=unquote(parts.get("image", "")) or parts.get("name", ""),
            failure=self._failure(parts.get("error", parts.get("words"))),
            pull_seconds=parse_duration(parts.get("pull", "")),
            total_seconds=parse_duration(parts.get("total", "")),
            error=parts.get("words", "").strip(),
        )

    def _failure(self, error: str | None) -> FailureReason | None:
        found = _OTHER if error is None else classify(error)
        return self.form.failure if found is _OTHER else found


def _reader(form: Form) -> _Reader:
    literal, *rest = _VARIABLE.split(form.text)
    pattern = re.escape(literal)
    for variable, literal in zip(rest[::2], rest[1::2], strict=True):
        pattern += f"(?P<{variable}>{_VARIABLES[variable]}){re.escape(literal)}"
    return _Reader(form, re.compile(pattern, re.DOTALL))


def _by_reason(forms: Iterable[Form]) -> dict[str, tuple[_Reader, ...]]:
    readers: dict[str, tuple[_Reader, ...]] = {}
    for form in forms:
        readers[form.reason] = (*readers.get(form.reason, ()), _reader(form))
    return readers


_EVENTS = _by_reason(EVENTS)
_WAITING = _by_reason(WAITING)


def parse_event(reason: str, message: str) -> ImageMessage:
    """What an event of the kubelet says; `Kind.UNKNOWN` if it is not about an image."""
    text = message.removeprefix(COMBINED_PREFIX)
    return replace(_read(_EVENTS.get(reason, ()), text), combined=text != message)


def parse_waiting(reason: str, message: str) -> ImageMessage:
    """What `state.waiting` of a container says; `Kind.UNKNOWN` if the table does not have it.

    The reason can be the text of an error. Then it is about the image: all later steps have a reason of one word.
    """
    if any(map(str.isspace, reason.strip())):
        return ImageMessage(Kind.FAILED, failure=classify(reason), error=reason.strip())
    return _read(_WAITING.get(reason, ()), message.strip())


def _read(readers: Iterable[_Reader], text: str) -> ImageMessage:
    found = (reader.read(text) for reader in readers)
    return next((message for message in found if message is not None), UNKNOWN)


# Which container an event is about

_FIELDS: Final = {
    "containers": ContainerType.CONTAINER,
    "initContainers": ContainerType.INIT,
    "ephemeralContainers": ContainerType.EPHEMERAL,
}
_FIELD_PATH = re.compile(rf"spec\.({'|'.join(_FIELDS)})\{{([^{{}}]+)\}}")


def parse_field_path(path: str) -> ImageUser | None:
    """The container that `path` names; None for a path of another kind.

    An empty path means an image volume: for those the kubelet (1.31 and later) names only the pod.
    """
    if not path:
        return ImageUser(ContainerType.VOLUME)
    found = _FIELD_PATH.fullmatch(path)
    return ImageUser(_FIELDS[found[1]], found[2]) if found else None
