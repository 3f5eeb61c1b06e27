"""One pod as the aggregator holds it: its users of images, brought up to date by status and events."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pulltrace_aggregator.kubelet.container_status import ImageStatus, reached, with_volumes
from pulltrace_aggregator.model.clock_skew import Moment
from pulltrace_aggregator.model.cluster import Change, EventSeen, ImageUse, PodSeen
from pulltrace_aggregator.model.containers import ContainerType, ImageUser
from pulltrace_aggregator.model.image_message import ImageMessage, Kind
from pulltrace_aggregator.model.image_names import same_image
from pulltrace_aggregator.pods.image_wait import Seeker, SeekerKey, Wait
from pulltrace_aggregator.pods.pull_events import NEVER, Occurrence, Stamp


@dataclass(slots=True, eq=False)
class PodRecord:
    """A pod that waits, has waited a short while ago, or may wait.

    `watched` pods are Pending, and each change of their status is told. Of the others events tell, and a look now and
    then: one is due at `look_at`. `confirmed` is False while nobody can say that the pod is still there, `listed` when
    that is so because only a list of old events speaks of it. `left_at` is when it left the watched ones with an image
    still awaited. `created` and all instants are monotonic.
    """

    namespace: str
    name: str
    uid: str
    node: str
    met_at: float
    created: float = NEVER
    watched: bool = False
    confirmed: bool = True
    listed: bool = False
    look_at: float = float("inf")
    left_at: float | None = None
    seekers: dict[SeekerKey, Seeker] = field(default_factory=dict)
    reached: frozenset[tuple[ContainerType, str]] = frozenset()

    @property
    def waits(self) -> Iterator[Wait]:
        """Its waits, those that linger included."""
        return (seeker.wait for seeker in self.seekers.values() if seeker.wait is not None)

    @property
    def awaits(self) -> bool:
        """Whether it waits for any image still."""
        return any(wait.over is None for wait in self.waits)

    @property
    def suspicious(self) -> bool:
        """Whether its events tell of an image that has not come."""
        return any(seeker.waits(watched=False) or seeker.signals.failing for seeker in self.seekers.values())

    @property
    def may_wait(self) -> bool:
        """Whether a pull on its node may be for it, though nothing else says so yet."""
        return any(self.is_possible(seeker) for seeker in self.seekers.values())

    def is_possible(self, seeker: Seeker) -> bool:
        """Whether an image may be awaited: its turn has come, and nothing says that it is there."""
        if not self.watched or seeker.status is not ImageStatus.UNKNOWN or seeker.use is None:
            return False
        return (seeker.user.type, seeker.user.name) in self.reached and seeker.settled_at == NEVER

    def take_status(self, pod: PodSeen, moment: Moment) -> bool:
        """Take in a pod's spec and status; returns whether they tell anything new."""
        uses = with_volumes(pod.uses)
        self.reached = reached(uses)
        before, self.seekers = self.seekers, {}
        changed = False
        for use in uses:
            seeker = _kept(before, use)
            self.seekers[seeker.key] = seeker
            if seeker.take_status(use, moment.monotonic):
                changed = True
                self._settle(seeker, moment)
        return changed or before.keys() != self.seekers.keys()

    def take_event(self, event: EventSeen, moment: Moment) -> bool:
        """Take in an event; returns whether it tells anything new."""
        occurrence = _occurrence(event, moment)
        if event.user is None:
            return False
        heard = [self._hear(seeker, occurrence, moment) for seeker in self._meant(event.user, event.message)]
        return any(heard)

    def give_up(self, now: float) -> None:
        """Nobody can tell how its open waits ended: they are no more, and what was heard so far begins none."""
        for seeker in self.seekers.values():
            if seeker.wait is not None and seeker.wait.over is None:
                seeker.wait, seeker.settled_at = None, now

    def drop(self, waits: Iterable[Wait]) -> None:
        """Forget these waits without a trace."""
        dropped = {id(wait) for wait in waits}
        for seeker in self.seekers.values():
            if id(seeker.wait) in dropped:
                seeker.wait = None

    def _hear(self, seeker: Seeker, seen: Occurrence, moment: Moment) -> bool:
        before = seeker.signals
        seeker.signals = before.after(seen)
        if seeker.signals == before:
            return False
        if seen.message.kind in (Kind.PULLED, Kind.PRESENT) and seen.stamp.node > before.pulled.node:
            self._pulled(seeker, seen, moment.monotonic)
        self._settle(seeker, moment)
        return True

    def _pulled(self, seeker: Seeker, seen: Occurrence, now: float) -> None:
        """The kubelet says that the image came, also where its request was not heard of."""
        message, wait = seen.message, seeker.wait
        if wait is not None and wait.over is None and not seeker.signals.open:
            wait.end(now, message)
            if wait.old_news and seen.stamp.arrived == NEVER:
                seeker.wait = None  # one list shows its beginning and its end
        elif message.kind is Kind.PULLED and seen.stamp.arrived > NEVER:
            took = message.pull_seconds if message.total_seconds is None else message.total_seconds
            if wait is not None and wait.said is None and wait.over is not None:
                wait.said = message  # who said so first has no figures
            elif wait is None or wait.over is not None:
                seeker.wait = Wait.begin(now - (took or 0.0), now)
                seeker.wait.end(now, message)

    def _settle(self, seeker: Seeker, moment: Moment) -> None:
        """Begin or end the wait on what is known now."""
        wait, now = seeker.wait, moment.monotonic
        if seeker.waits(watched=self.watched):
            if wait is None or wait.over is not None:
                wait = seeker.wait = Wait.begin(seeker.since(self.created, now), now)
                wait.guessed = not seeker.signals.open and seeker.status_at == NEVER
                # Where the time went before we looked nobody knows.
                wait.counted = seeker.signals.open and seeker.signals.asked.arrived == NEVER
            since = min(now, max(seeker.since(self.created, now), self.created))
            if wait.guessed and seeker.signals.open and seeker.signals.asked.arrived == NEVER:
                # A list of events that comes after that of the pods tells when it was asked for.
                wait.since, wait.guessed = since, False
            wait.since = min(wait.since, since)
        elif wait is not None and wait.over is None and seeker.status is ImageStatus.PRESENT:
            wait.end(now)

    def _meant(self, user: ImageUser, message: ImageMessage) -> list[Seeker]:
        """The users that an event is about; one that is not known yet begins with it."""
        image = message.image
        if message.combined:
            # Such an event goes on under the container that it began with; only its image is that of the last one.
            return [seeker for seeker in self.seekers.values() if image and same_image(seeker.image, image)]
        if not user.name:
            volumes = [seeker for seeker in self.seekers.values() if seeker.user.type is ContainerType.VOLUME]
            found = [seeker for seeker in volumes if image and same_image(seeker.image, image)]
            if not found and self.watched:
                # No volume of it, so it is a container's event whose path nobody wrote.
                return [seeker for seeker in self.seekers.values() if image and same_image(seeker.image, image)]
            return found or ([self._add(Seeker(user, image))] if image else [])
        known = self.seekers.get((user.type, user.name, ""))
        if known is not None and (not image or same_image(known.image, image)):
            return [known]
        if not image or (known is not None and self.watched):
            return []  # of an image that the pod has no more, or not yet
        return [self._add(Seeker(user, image))]

    def _add(self, seeker: Seeker) -> Seeker:
        self.seekers[seeker.key] = seeker
        return seeker


def _kept(before: dict[SeekerKey, Seeker], use: ImageUse) -> Seeker:
    """What is known of a user; a volume takes over what events without a name have told of its image."""
    known = before.get((use.user.type, use.user.name, ""))
    if known is None and use.user.type is ContainerType.VOLUME:
        nameless = (seeker for key, seeker in before.items() if key[2] and same_image(key[2], use.image))
        heard = next(nameless, None)
        if heard is not None:
            return Seeker(use.user, use.image, signals=heard.signals, wait=heard.wait)
    if known is None or (known.image != use.image and not same_image(known.image, use.image)):
        return Seeker(use.user, use.image)
    known.image = use.image
    return known


def _occurrence(event: EventSeen, moment: Moment) -> Occurrence:
    """An event with its stamps on our clock; one that nobody stamped happened just now."""
    last = moment.now.wall + moment.server_ahead if event.last_at is None else event.last_at
    first = last if event.first_at is None else min(event.first_at, last)
    listed = event.change is Change.LISTED
    now = moment.monotonic
    began = moment.of(event.created_at)
    # From its first to its last time passed as much on the node's clock as on any other.
    again = now if event.change is Change.MODIFIED else min(now, began + last - first)
    return Occurrence(event.message, Stamp(last, NEVER if listed else now), first, began, again)
