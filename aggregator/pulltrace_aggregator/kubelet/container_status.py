"""What a pod's status tells of the images that it uses."""

from collections.abc import Iterable
from dataclasses import replace
from enum import Enum
from typing import Final

from pulltrace.model.reference import same_image
from pulltrace_aggregator.kubelet.go_format import quoted_in
from pulltrace_aggregator.kubelet.messages import MISSING_REASONS
from pulltrace_aggregator.model.cluster import ImageUse, RunState
from pulltrace_aggregator.model.image_message import ImageMessage, Kind
from pulltrace_aggregator.model.states import ContainerType


class ImageStatus(Enum):
    """Whether one container or image volume has its image."""

    UNKNOWN = "unknown"
    """`ContainerCreating`, `PodInitializing`, no status, or a reason that is not in the table."""
    MISSING = "missing"
    """It waits, and says that it waits for the image."""
    PRESENT = "present"
    """It was started, or a step after the image fails."""


VOLUME_FAILED: Final = "ImageVolumeMountFailed"

_IN_ORDER: Final = (ContainerType.INIT, ContainerType.CONTAINER)
_STARTED: Final = (RunState.RUNNING, RunState.TERMINATED)


def image_status(use: ImageUse, said: ImageMessage) -> ImageStatus:
    """What the status of a container or image volume tells; `said` is its parsed waiting reason and message."""
    if use.state is RunState.UNKNOWN:
        return ImageStatus.UNKNOWN
    if use.state is not RunState.WAITING:
        return ImageStatus.PRESENT
    if said.kind in (Kind.FAILED, Kind.BACK_OFF):
        return ImageStatus.MISSING
    # An image ID stays from one run of a container to the next.
    return ImageStatus.PRESENT if said.kind is Kind.PRESENT or use.image_id else ImageStatus.UNKNOWN


def with_volumes(uses: tuple[ImageUse, ...]) -> tuple[ImageUse, ...]:
    """The same uses, the image volumes with a status that is derived from those of the containers.

    The kubelet reports no status of a volume. It pulls the volumes before it starts any container. If one cannot be
    pulled, the container that needs it reports that image in place of its own, which was not requested yet. If one
    cannot be mounted, the container reports that, and its own image is present.
    """
    volumes = [use for use in uses if use.user.type is ContainerType.VOLUME]
    if not volumes:
        return uses
    unmounted = next((use for use in uses if use.reason == VOLUME_FAILED), None)
    started = any(use.state in _STARTED for use in uses if use.user.type in _IN_ORDER)
    return tuple(
        _of_volume(use, next((each for each in uses if _tells_of(each, use)), unmounted), started=started)
        if use.user.type is ContainerType.VOLUME
        else _of_container(use, volumes)
        for use in uses
    )


def _of_volume(volume: ImageUse, teller: ImageUse | None, *, started: bool) -> ImageUse:
    if teller is not None:
        return replace(volume, state=RunState.WAITING, reason=teller.reason, message=teller.message)
    return replace(volume, state=RunState.RUNNING) if started else volume


def _of_container(use: ImageUse, volumes: Iterable[ImageUse]) -> ImageUse:
    if use.reason == VOLUME_FAILED:
        return replace(use, reason="CreateContainerError", message="")
    return replace(use, reason="", message="") if any(_tells_of(use, volume) for volume in volumes) else use


def _tells_of(use: ImageUse, volume: ImageUse) -> bool:
    """Whether a container reports that the volume's image is missing, and not its own."""
    if use.reason not in MISSING_REASONS:
        return False
    named = tuple(quoted_in(use.message))
    return any(same_image(volume.image, name) for name in named) and not any(
        same_image(use.image, name) for name in named
    )


def reached(uses: Iterable[ImageUse]) -> frozenset[tuple[ContainerType, str]]:
    """Type and name of those whose turn has come: an image is not requested before all init containers ahead started.

    Image volumes and ephemeral containers wait for no init container.
    """
    found, open_way = set(), True
    for use in uses:
        user = use.user
        if open_way or user.type not in _IN_ORDER:
            found.add((user.type, user.name))
        if user.type is ContainerType.INIT and use.state not in _STARTED:
            open_way = False
    return frozenset(found)
