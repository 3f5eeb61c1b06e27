"""What a message of the kubelet says of an image: the same value from events and from waiting containers."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pulltrace_aggregator.model.states import FailureReason


class Kind(StrEnum):
    """What a message says."""

    PULLING = "pulling"
    """The kubelet asked for the image; the pull may have to queue."""
    PULLED = "pulled"
    PRESENT = "present"
    """Nothing had to be pulled."""
    FAILED = "failed"
    """There was no pull, it failed, or the runtime could not say whether the image is there."""
    NOT_STARTED = "not_started"
    """The second event of a failed attempt: the container cannot start without its image."""
    BACK_OFF = "back_off"
    """The kubelet pauses before the next attempt."""
    ERROR = "error"
    """An error of the image or of a later step. It is the image's if the container's status has the same words."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ImageMessage:
    """A message, parsed and classified; what it does not say is None or empty.

    `image` is the reference as written in the pod, `failure` why there is no image. `pull_seconds` is the time in the
    runtime, up to Kubernetes 1.25 with the time in the kubelet's queue; `total_seconds` is the time since the kubelet
    asked, queue included, from 1.26 on. `error` is the text of an error in a message that names no image. `combined`
    means that one event stands for several similar ones, which may be of other containers and have other causes.
    """

    kind: Kind
    image: str = ""
    failure: FailureReason | None = None
    pull_seconds: float | None = None
    total_seconds: float | None = None
    error: str = ""
    combined: bool = False

    @property
    def waiting_seconds(self) -> float | None:
        """Time in the kubelet's queue; None before Kubernetes 1.26."""
        if self.pull_seconds is None or self.total_seconds is None:
            return None
        return max(0.0, self.total_seconds - self.pull_seconds)


LONGEST_COMPARED: Final = 900
"""Characters that are compared. A client may cut an event's message at 1,024 bytes: `NoteLengthLimit` in the API
server's validation, which holds for events with an `eventTime`."""


def same_error(one: ImageMessage, other: ImageMessage) -> bool:
    """Whether an event and a container's status tell of one error."""
    return bool(one.error) and one.error[:LONGEST_COMPARED] == other.error[:LONGEST_COMPARED]


UNKNOWN: Final = ImageMessage(Kind.UNKNOWN)
