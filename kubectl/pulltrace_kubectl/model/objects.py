"""Pods as the API server tells them, as far as it concerns images."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Container:
    """One container's status.

    `reason` and `message` tell why it waits; `image_id` is empty as long as the image has not come.
    """

    name: str
    state: str = ""
    reason: str = ""
    message: str = ""
    image_id: str = ""
    init: bool = False


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod.

    `replaced` is whether its controller makes another in its place if it fails; `unmet` are the conditions that do not
    hold: type, reason and message.
    """

    namespace: str
    name: str
    uid: str = ""
    phase: str = ""
    node: str = ""
    reason: str = ""
    deleting: bool = False
    replaced: bool = False
    containers: tuple[Container, ...] = ()
    unmet: tuple[tuple[str, str, str], ...] = ()
