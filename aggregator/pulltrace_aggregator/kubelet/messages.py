"""What the kubelet says of image pulls, in events and in waiting containers: one table of its versions 1.23 to 1.36.

Read from `pkg/kubelet/images/image_manager.go` of these versions. Nothing here raises, whatever the text: what the
table does not know is `Kind.UNKNOWN`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pulltrace_aggregator.kubelet.goduration import DURATION, parse_duration
from pulltrace_aggregator.kubelet.goquote import QUOTED, unquote

OLDEST: Final = 23
NEWEST: Final = 36
"""Minor versions of Kubernetes 1 that the table was read from. Later ones are taken for the newest."""

COMBINED_PREFIX: Final = "(combined from similar events): "
"""Put before the latest message by client-go when more than 10 events differ in nothing but their messages."""

IMAGE_WAITING_REASONS: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ImageInspectError",
        "ErrImageNeverPull",
        "InvalidImageName",
        "RegistryUnavailable",
        "SignatureValidationFailed",
        "ImageVolumeMountFailed",
    }
)
"""`state.waiting.reason` of a container that has no image yet."""


class Kind(StrEnum):
    """What a message says."""

    PULLING = "pulling"
    """The pull was asked for; it may have to queue."""
    PULLED = "pulled"
    PRESENT = "present"
    """Nothing had to be pulled."""
    PULL_FAILED = "pull_failed"
    CONTAINER_FAILED = "container_failed"
    """The second event of a failed attempt: the container could not start for want of its image."""
    BACK_OFF = "back_off"
    NEVER_PULL = "never_pull"
    INSPECT_FAILED = "inspect_failed"
    """The runtime could not say whether the image is there."""
    INVALID_NAME = "invalid_name"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Message:
    """A message taken apart; what it does not say is None or empty."""

    kind: Kind
    image: str = ""
    """The reference as written in the pod."""
    pull_seconds: float | None = None
    """Time in the runtime; up to 1.25 together with the time in the kubelet's queue."""
    total_seconds: float | None = None
    """From the Pulling event on, queue included; from 1.26 on."""
    size_bytes: int | None = None
    """0 where the kubelet failed to learn it."""
    error: str = ""
    """The cause in the words of the runtime, or of whoever failed."""
    combined: bool = False
    """Similar events are counted together, those of other containers and causes among them."""

    @property
    def waiting_seconds(self) -> float | None:
        """Time in the kubelet's queue."""
        if self.pull_seconds is None or self.total_seconds is None:
            return None
        return max(0.0, self.total_seconds - self.pull_seconds)


UNKNOWN: Final = Message(Kind.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Form:
    """One way to say something: the reason of its event, the kubelets that do so, and the text with its variables."""

    reason: str
    kind: Kind
    text: str
    since: int = OLDEST
    until: int = NEWEST


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
    Form("Failed", Kind.PULL_FAILED, "Failed to pull image {image}: {error}"),
    Form("Failed", Kind.CONTAINER_FAILED, "Error: {reason}"),
    Form("BackOff", Kind.BACK_OFF, "Back-off pulling image {image}"),
    Form("ErrImageNeverPull", Kind.NEVER_PULL, "Container image {image} is not present with pull policy of Never"),
    Form("InspectFailed", Kind.INSPECT_FAILED, "Failed to inspect image {image}: {error}"),
    Form("InspectFailed", Kind.INVALID_NAME, "Failed to apply default image tag {image}: {error}"),
)
"""Messages of events. A reason is not enough: `Failed` and `BackOff` are used for container starts too."""

WAITING: Final = (
    Form("ImagePullBackOff", Kind.BACK_OFF, "Back-off pulling image {image}"),
    Form("ImagePullBackOff", Kind.BACK_OFF, "Back-off pulling image {image}: {error}", since=32),
    Form("ErrImageNeverPull", Kind.NEVER_PULL, "Container image {image} is not present with pull policy of Never"),
    Form("ImageInspectError", Kind.INSPECT_FAILED, "Failed to inspect image {image}: {error}"),
    Form("InvalidImageName", Kind.INVALID_NAME, "Failed to apply default image tag {image}: {error}"),
    Form("RegistryUnavailable", Kind.PULL_FAILED, "image pull failed for {name} because {error}"),
    Form("SignatureValidationFailed", Kind.PULL_FAILED, "image pull failed for {name} because {error}"),
    Form("ErrImagePull", Kind.PULL_FAILED, "{error}"),
)
"""Messages of waiting containers, by the waiting reason."""

_VARIABLES: Final = {
    "image": QUOTED,
    "name": r"[^\s\ud800-\udfff]*",
    "pull": DURATION,
    "total": DURATION,
    "size": r"[0-9]{1,19}",
    "reason": "|".join(sorted(IMAGE_WAITING_REASONS)),
    "error": r".*",
}
_VARIABLE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class _Reader:
    kind: Kind
    pattern: re.Pattern[str]

    def read(self, text: str, *, combined: bool) -> Message | None:
        found = self.pattern.fullmatch(text)
        if found is None:
            return None
        parts = found.groupdict("")
        return Message(
            self.kind,
            image=unquote(parts.get("image", "")) or parts.get("name", ""),
            pull_seconds=parse_duration(parts.get("pull", "")),
            total_seconds=parse_duration(parts.get("total", "")),
            size_bytes=int(parts["size"]) if "size" in parts else None,
            error=parts.get("error", "") or parts.get("reason", ""),
            combined=combined,
        )


def _reader(form: Form) -> _Reader:
    literal, *rest = _VARIABLE.split(form.text)
    pattern = re.escape(literal)
    for variable, literal in zip(rest[::2], rest[1::2], strict=True):
        pattern += f"(?P<{variable}>{_VARIABLES[variable]}){re.escape(literal)}"
    return _Reader(form.kind, re.compile(pattern, re.DOTALL))


def _by_reason(forms: Iterable[Form]) -> dict[str, tuple[_Reader, ...]]:
    readers: dict[str, tuple[_Reader, ...]] = {}
    for form in forms:
        readers[form.reason] = (*readers.get(form.reason, ()), _reader(form))
    return readers


_EVENTS = _by_reason(EVENTS)
_WAITING = _by_reason(WAITING)


def parse_event(reason: str, message: str) -> Message:
    """What an event of the kubelet says. `Kind.UNKNOWN` for one that is not about an image."""
    text = message.removeprefix(COMBINED_PREFIX)
    return _read(_EVENTS.get(reason, ()), text, combined=text != message)


def parse_waiting(reason: str, message: str) -> Message:
    """What `state.waiting` of a container says. `Kind.UNKNOWN` for one that does not wait for an image."""
    return _read(_WAITING.get(reason, ()), message, combined=False)


def _read(readers: Iterable[_Reader], text: str, *, combined: bool) -> Message:
    found = (reader.read(text, combined=combined) for reader in readers)
    return next((message for message in found if message is not None), UNKNOWN)
