"""One pod as the aggregator holds it: its containers and their images, brought up to date by status and events."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from pulltrace.clock import FOREVER, NEVER, Moment, Monotonic
from pulltrace.model.reference import same_image
from pulltrace_aggregator.kubelet.container_status import ImageStatus, reached, with_volumes
from pulltrace_aggregator.model.cluster import SANDBOX, EventSeen, ImageUse, ImageUser, PodSeen
from pulltrace_aggregator.model.image_message import ImageMessage, Kind, same_error
from pulltrace_aggregator.model.states import ContainerType
from pulltrace_aggregator.pods.container_image import ContainerImage, ContainerKey, PullEvent
from pulltrace_aggregator.pods.image_wait import ImageWait

_SANDBOX: Final[ContainerKey] = (SANDBOX.type, SANDBOX.name, "")


@dataclass(slots=True, eq=False)
class PodRecord:
    """A pod that waits, has waited a short while ago, or may wait.

    `watched` pods are Pending, and each change of their status is observed. The others are known from events and from
    rechecks; the next one is due at `recheck_at`, the last one was answered at `rechecked_at`. `confirmed` is False
    while it is not known that the pod still exists, `listed` is True while only a list of old events tells of it.
    `left_at` is when it left the watched pods while it still waited for an image. `uid` is the one in its events,
    `api_uid` the one in the API, empty while that is not known: they differ for a static pod. `reached` has type and
    name of the containers whose turn has come, each with the time at which that was seen.
    """

    namespace: str
    name: str
    uid: str
    node: str
    added_at: Monotonic
    api_uid: str = ""
    is_exporter: bool = False
    created: Monotonic = NEVER
    watched: bool = False
    confirmed: bool = True
    listed: bool = False
    recheck_at: Monotonic = FOREVER
    rechecked_at: Monotonic = NEVER
    left_at: Monotonic | None = None
    containers: dict[ContainerKey, ContainerImage] = field(default_factory=dict)
    reached: dict[tuple[ContainerType, str], Monotonic] = field(default_factory=dict)

    @property
    def waits(self) -> Iterator[ImageWait]:
        """Its waits, those that linger included."""
        return (container.wait for container in self.containers.values() if container.wait is not None)

    @property
    def open_waits(self) -> list[ImageWait]:
        """The waits of which the kubelet has not told the end."""
        return [wait for wait in self.waits if not wait.confirmed]

    @property
    def trying(self) -> bool:
        """Whether it waits for images, and an attempt may be running for each of them."""
        waiting = [each for each in self.containers.values() if each.wait is not None and each.wait.ended_at is None]
        return bool(waiting) and all(each.trying for each in waiting)

    @property
    def suspicious(self) -> bool:
        """Whether its events say that an image has not come."""
        return any(each.waits(watched=False) or each.events.failing for each in self.containers.values())

    @property
    def may_wait(self) -> bool:
        """Whether a pull on its node may be for it, though nothing else says so yet."""
        return any(self.is_possible(container) for container in self.containers.values())

    def is_possible(self, container: ContainerImage) -> bool:
        """Whether it may wait for an image: the container's turn has come, and nothing says that the image is there."""
        if not self.watched or container.status is not ImageStatus.UNKNOWN or container.use is None:
            return False
        if container.pulled_at > NEVER or container.events.pulled.node > NEVER:
            return False  # its status is late: the kubelet writes none while it pulls the pod's other images
        return (container.user.type, container.user.name) in self.reached

    def turn_of(self, container: ContainerImage) -> Monotonic:
        """When the container's turn came, as far as it was seen; the pod's creation if it was not."""
        return max(self.created, self.reached.get((container.user.type, container.user.name), self.created))

    def update(self, pod: PodSeen, moment: Moment) -> bool:
        """Take in a pod's spec and status; returns whether anything is new."""
        uses = with_volumes(pod.uses)
        since = moment.monotonic if self.reached else self.created
        self.reached = {user: self.reached.get(user, since) for user in reached(uses)}
        before, self.containers = self.containers, {}
        changed = False
        sandbox = before.get(_SANDBOX)
        if sandbox is not None and sandbox.wait is not None:
            self.containers[_SANDBOX] = sandbox  # it has no status
        for use in uses:
            container = _kept(before, use)
            self.containers[container.key] = container
            if container.update(use, moment.monotonic):
                changed = True
                self._update_wait(container, moment.monotonic)
        self._end_sandbox(moment.monotonic)
        return changed or before.keys() != self.containers.keys()

    def add_event(self, seen: EventSeen, moment: Moment) -> bool:
        """Take in an event about this pod; returns whether anything is new."""
        if seen.user is None:
            return False
        event = PullEvent.of(seen, moment)
        changes = [self._add_event(each, event, moment.monotonic) for each in self._meant(seen.user, seen.message)]
        self._end_sandbox(moment.monotonic)
        return any(changes)

    def image_of(self, event: EventSeen) -> str:
        """The image of the container that an event is about; empty if not known, or if the status has another error."""
        user, message = event.user, event.message
        container = self.containers.get((user.type, user.name, "")) if user and not message.combined else None
        if container is None or (message.kind is Kind.ERROR and not same_error(message, container.waiting)):
            return ""
        return container.image

    def give_up(self, now: Monotonic) -> None:
        """Drop the open waits, since it is not known how they ended. What is known so far begins no new wait."""
        for container in self.containers.values():
            if container.wait is not None and not container.wait.confirmed:
                container.wait, container.pulled_at = None, now

    def _end_sandbox(self, now: Monotonic) -> None:
        """The pause image is there once the kubelet goes on with what needs it: the images of containers."""
        sandbox = self.containers.get(_SANDBOX)
        if sandbox is None or sandbox.wait is None or (sandbox.wait.ended_at is not None and sandbox.wait.confirmed):
            return
        failed = sandbox.events.failed
        others = [each for each in self.containers.values() if each is not sandbox]
        if any(
            each.events.latest > failed.node
            or (each.status is not ImageStatus.UNKNOWN and each.status_at > failed.arrived)
            for each in others
        ):
            sandbox.present_at, sandbox.wait.confirmed = now, True
            sandbox.events = replace(sandbox.events, pulled=failed)  # a later failure begins another wait
            sandbox.wait.ended_at = now if sandbox.wait.ended_at is None else sandbox.wait.ended_at

    def _add_event(self, container: ContainerImage, event: PullEvent, now: Monotonic) -> bool:
        before = container.events
        container.events = before.after(event)
        if container.events == before:
            return False
        if event.message.kind in (Kind.PULLED, Kind.PRESENT) and event.stamp.node > before.pulled.node:
            self._pulled(container, event, now)
        self._update_wait(container, now)
        return True

    def _pulled(self, container: ContainerImage, event: PullEvent, now: Monotonic) -> None:
        """End the wait: the image is there. A wait whose request was not observed begins and ends here."""
        message, wait = event.message, container.wait
        if wait is not None and wait.ended_at is None and not container.events.requested:
            wait.end(now, message)
            if wait.only_listed and event.stamp.arrived == NEVER:
                container.wait = None  # lists of events show its beginning and its end
        elif wait is not None and wait.ended_at is not None and message.kind is Kind.PRESENT:
            wait.confirmed = True
        elif message.kind is Kind.PULLED and event.stamp.arrived > NEVER:
            took = message.pull_seconds if message.total_seconds is None else message.total_seconds
            if wait is not None and wait.pulled is None and wait.ended_at is not None:
                wait.pulled, wait.confirmed = message, True  # the first sign of the end had no durations
            elif wait is None or wait.ended_at is not None:
                container.wait = ImageWait.begin(Monotonic(now - (took or 0.0)), now)
                container.wait.end(now, message)

    def _update_wait(self, container: ContainerImage, now: Monotonic) -> None:
        """Begin or end the wait on what is known now."""
        wait, events = container.wait, container.events
        if container.waits(watched=self.watched):
            since = container.since(self.created, now)
            listed = events.requested and events.pulling.arrived == NEVER
            if wait is not None and wait.ended_at is not None and not wait.confirmed:
                wait.ended_at = None  # the pull succeeded, but the kubelet says that this pod has no image yet
            elif wait is None or wait.ended_at is not None:
                wait = container.wait = ImageWait.begin(since, now)
                wait.guessed = not events.requested and container.status_at == NEVER
                # It is not known which stages took the time before the first observation.
                wait.counted = listed
            since = min(now, max(since, self.created))
            if listed and (wait.guessed or wait.counted):
                # The lists arrive one by one: that of pods tells no time, that of requests not which of them has ended.
                wait.since, wait.guessed = since, False
            wait.since = min(wait.since, since)
        elif wait is not None and container.status is ImageStatus.PRESENT:
            wait.confirmed = True
            wait.ended_at = now if wait.ended_at is None else wait.ended_at

    def _meant(self, user: ImageUser, message: ImageMessage) -> list[ContainerImage]:
        """The containers that an event is about; one that is not known yet is added."""
        image = message.image
        known = self.containers.get((user.type, user.name, ""))
        if message.combined:
            # Its container is that of the first event that was combined, its image that of the last one.
            return self._users_of(image)
        if not user.name:
            volumes = [each for each in self._users_of(image) if each.user.type is ContainerType.VOLUME]
            if not volumes and self.watched:
                # The pod has no such volume, so this is a container's event without a field path.
                return self._users_of(image)
            return volumes or ([self._add(user, image)] if image else [])
        if known is not None and (not image or same_image(known.image, image)):
            return [known]
        if not image or (known is not None and self.watched):
            return []  # about an image that the pod no longer has, or does not have yet
        return [self._add(user, image)]

    def _users_of(self, image: str) -> list[ContainerImage]:
        return [each for each in self.containers.values() if image and same_image(each.image, image)]

    def _add(self, user: ImageUser, image: str) -> ContainerImage:
        container = ContainerImage(user, image)
        self.containers[container.key] = container
        return container


def _kept(before: dict[ContainerKey, ContainerImage], use: ImageUse) -> ContainerImage:
    """What is known of a container; a volume takes over the events about its image that name no container."""
    known = before.get((use.user.type, use.user.name, ""))
    if known is None and use.user.type is ContainerType.VOLUME:
        nameless = (each for key, each in before.items() if key[2] and same_image(key[2], use.image))
        same = next(nameless, None)
        if same is not None:
            return ContainerImage(use.user, use.image, events=same.events, wait=same.wait)
    if known is None or (known.image != use.image and not same_image(known.image, use.image)):
        return ContainerImage(use.user, use.image)
    known.image = use.image
    return known
