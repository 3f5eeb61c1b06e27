"""Which container of its pod an event is about: `involvedObject.fieldPath` as the kubelet writes it."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ContainerType(StrEnum):
    """What in a pod uses an image; the values of the label `container_type`."""

    CONTAINER = "container"
    INIT = "init"
    EPHEMERAL = "ephemeral"
    VOLUME = "volume"
    SANDBOX = "sandbox"
    """The pause image, which holds the pod together."""


@dataclass(frozen=True, slots=True)
class ImageUser:
    """A container of a pod or one of its image volumes; `name` is empty where the kubelet gives none."""

    type: ContainerType
    name: str = ""


SANDBOX: Final = ImageUser(ContainerType.SANDBOX, "POD")
"""By the name that the kubelet gives it in `kubectl logs` and in the runtime."""

_FIELDS: Final = {
    "containers": ContainerType.CONTAINER,
    "initContainers": ContainerType.INIT,
    "ephemeralContainers": ContainerType.EPHEMERAL,
}
_PATH = re.compile(rf"spec\.({'|'.join(_FIELDS)})\{{([^{{}}]+)\}}")


def parse_field_path(path: str) -> ImageUser | None:
    """The container that `path` names; None for a path of another kind.

    Of an image volume the kubelet (1.31 and later) tells the pod only: an empty path is one, its name unknown.
    """
    if not path:
        return ImageUser(ContainerType.VOLUME)
    found = _PATH.fullmatch(path)
    return ImageUser(_FIELDS[found[1]], found[2]) if found else None
