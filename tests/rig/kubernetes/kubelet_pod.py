"""What a kubelet writes of one pod: events and states, through the API server."""

from datetime import UTC, datetime
from typing import Any

from rig.kubernetes import objects
from rig.kubernetes.api import Api, Object


class KubeletPod:
    """A pod as the API server keeps it, and the kubelet that cares for it; its clock is `ahead` of the API server's."""

    def __init__(self, api: Api, item: Object, ahead: float = 0.0) -> None:
        self.item = item
        self._api = api
        self._ahead = ahead
        self._events: dict[tuple[str, str, str], Object] = {}

    @property
    def uid(self) -> str:
        return str(self.item["metadata"]["uid"])

    @property
    def image(self) -> str:
        return str(self.item["spec"]["containers"][0]["image"])

    def pulling(self, image: str = "", path: str = "spec.containers{main}", ago: float = 0.0) -> None:
        self.event("Pulling", f'Pulling image "{image or self.image}"', path, ago)

    def pulled(self, image: str = "", took: str = "1.5s", total: str = "2s") -> None:
        text = f'Successfully pulled image "{image or self.image}" in {took} ({total} including waiting)'
        self.event("Pulled", text)

    def failed(self, why: str, image: str = "", path: str = "spec.containers{main}") -> None:
        self.event("Failed", f'Failed to pull image "{image or self.image}": {why}', path)

    def event(self, reason: str, message: str, path: str = "spec.containers{main}", ago: float = 0.0) -> None:
        """A new event, or one more of the same."""
        moment = datetime.fromtimestamp(datetime.now(UTC).timestamp() + self._ahead - ago, UTC)
        at = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        key = (reason, message, path)
        known = self._events.get(key)
        if known is None:
            name = f"{self.item['metadata']['name']}.{len(self._events):x}.{self.uid[:8]}"
            event = objects.event(self.item, reason, message, field_path=path, at=at, name=name)
            self._events[key] = self._api.create(event)
        else:
            change = {"count": known["count"] + 1, "lastTimestamp": at}
            self._events[key] = self._api.patch(known, change)

    def waits(self, reason: str = "ContainerCreating", message: str = "") -> None:
        self.status(objects.waiting("main", reason, message))

    def status(self, *containers: Object, phase: str = "Pending", **more: Any) -> None:
        self.item = self._api.set_status(self.item, phase=phase, containerStatuses=list(containers), **more)

    def runs(self) -> None:
        self.status(objects.running(), phase="Running")

    def delete(self) -> None:
        self._api.delete(self.item)
