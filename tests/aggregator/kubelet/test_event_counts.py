from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulltrace_aggregator.kubelet.event_counts import MOST_OF_ONE_POD, EventCounter, UnnamedFailures
from pulltrace_aggregator.kubelet.messages import COMBINED_PREFIX, parse_event
from pulltrace_aggregator.model.cluster import Change, EventSeen
from rig.simulated_cluster import Cluster

pytestmark = pytest.mark.unit

LISTED, ADDED, MODIFIED = Change.LISTED, Change.ADDED, Change.MODIFIED
NOT_FOUND = 'Failed to pull image "a:1": rpc error: code = NotFound desc = a:1: not found'
REFUSED = 'Failed to pull image "b:1": unexpected status: 403 Forbidden'
TEMPLATE = Cluster().pod().event("Failed", NOT_FOUND)


def event(
    change: Change, count: int = 1, message: str = NOT_FOUND, name: str = "web.1", uid: str = "", reason: str = "Failed"
) -> EventSeen:
    said = parse_event(reason, message)
    return replace(TEMPLATE, change=change, count=count, message=said, name=name, uid=uid or f"u-{name}", reason=reason)


ERROR = "Error: ErrImagePull"
STEPS = {
    "the events of one attempt count once": [
        (event(ADDED, message='Pulling image "a:1"', name="web.0", reason="Pulling"), 0),
        (event(ADDED), 1),
        (event(ADDED, message=ERROR, name="web.2"), 0),
        (event(ADDED, message='Back-off pulling image "a:1"', name="web.3", reason="BackOff"), 0),
        (event(ADDED, message="Error: ImagePullBackOff", name="web.4"), 0),
    ],
    "growth adds its difference": [
        (event(ADDED), 1),
        (event(MODIFIED, 2), 1),
        (event(MODIFIED, 5), 3),
        (event(MODIFIED, 5), 0),
    ],
    "second events that grow add nothing": [(event(ADDED, message=ERROR), 0), (event(MODIFIED, 7, ERROR), 0)],
    "the first list is a baseline": [(event(LISTED, 3), 0), (event(MODIFIED, 4), 1)],
    "lists again add nothing": [
        (event(ADDED), 1),
        (event(MODIFIED, 4), 3),
        (event(LISTED, 4), 0),
        (event(LISTED, 9, REFUSED, name="web.2"), 0),
    ],
    "growth during a gap is counted by the list after it": [
        (event(ADDED), 1),
        (event(LISTED, 4), 3),
        (event(MODIFIED, 5), 1),
    ],
    "a list from an old cache takes nothing back": [
        (event(ADDED), 1),
        (event(MODIFIED, 5), 4),
        (event(LISTED, 2), 0),
        (event(MODIFIED, 6), 1),
    ],
    "an event that a list missed is a baseline when it changes": [(event(MODIFIED, 50), 0), (event(MODIFIED, 51), 1)],
    "the kubelet goes on counting after the event has expired": [
        (event(ADDED), 1),
        (event(MODIFIED, 17), 16),
        (event(ADDED, 18, uid="another"), 1),
    ],
    "another event under an old name counts from its start": [
        (event(ADDED), 1),
        (event(MODIFIED, 3), 2),
        (event(ADDED, uid="another"), 1),
        (event(MODIFIED, 2, uid="another"), 1),
    ],
    "events of one name in two namespaces are two": [(event(ADDED), 1), (replace(event(ADDED), namespace="other"), 1)],
    "combined events count what their latest message says": [
        (event(ADDED, 1, COMBINED_PREFIX + NOT_FOUND), 1),
        (event(MODIFIED, 2, COMBINED_PREFIX + ERROR), 0),
        (event(MODIFIED, 3, COMBINED_PREFIX + REFUSED), 1),
        (event(MODIFIED, 9, COMBINED_PREFIX + "Error: ImagePullBackOff"), 0),
        (event(MODIFIED, 12, COMBINED_PREFIX + NOT_FOUND), 1),
    ],
}
"""Events in their order, and how many failures each adds."""


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_failures_are_counted_once(steps: list[tuple[EventSeen, int]]) -> None:
    counter = EventCounter()
    assert [counter.count(seen) for seen, _ in steps] == [added for _, added in steps]


def test_memory_is_bounded() -> None:
    counter = EventCounter(limit=2)
    names = [f"web.{number}" for number in range(3)]
    for name in names:
        assert counter.count(event(ADDED, name=name)) == 1
    assert len(counter) == 2
    assert counter.count(event(MODIFIED, 2, name=names[2])) == 1
    assert counter.count(event(MODIFIED, 2, name=names[0])) == 0, "forgotten, so a baseline again"
    assert counter.count(event(MODIFIED, 3, name=names[0])) == 1


def test_of_a_pod_that_is_not_heard_of_the_latest_events_are_kept() -> None:
    unnamed = UnnamedFailures()
    for number in range(MOST_OF_ONE_POD + 5):
        unnamed.add(event(ADDED), number)
    found = [times for _, times, _ in unnamed.named("shop", "web", lambda _: "a:1")]
    assert found == list(range(5, MOST_OF_ONE_POD + 5))


def test_events_that_are_not_counted_are_not_remembered() -> None:
    counter = EventCounter()
    counter.count(event(ADDED, message='Pulling image "a:1"', name="a", reason="Pulling"))
    counter.count(event(ADDED, message=ERROR, name="b"))
    assert len(counter) == 0


@dataclass
class WatchedPods:
    """Events of three pods, and a counter that lists and watches them."""

    counter: EventCounter = field(default_factory=EventCounter)
    events: dict[int, EventSeen] = field(default_factory=dict)
    unseen: list[EventSeen] = field(default_factory=list)
    counted: int = 0

    def fail(self, pod: int) -> None:
        known = self.events.get(pod)
        self.events[pod] = event(MODIFIED, known.count + 1, name=known.name) if known else event(ADDED, name=f"{pod}.1")
        self.unseen.append(self.events[pod])

    def watch(self) -> None:
        for each in self.unseen:
            self._see(each)
        self.unseen.clear()

    def relist(self, *, lost: bool) -> None:
        """After a watch that ended well, or one whose last events were lost."""
        if not lost:
            self.watch()
        self.unseen.clear()
        for each in self.events.values():
            self._see(replace(each, change=LISTED))

    def _see(self, seen: EventSeen) -> None:
        self.counted += self.counter.count(seen)


@given(st.lists(st.sampled_from([0, 1, 2, "watch", "list"]), max_size=30), st.booleans(), st.integers(0, 3))
@settings(max_examples=200)
def test_no_failure_is_invented_and_none_that_was_seen_is_lost(steps: list[int | str], lost: bool, before: int) -> None:
    pods = WatchedPods()
    for _ in range(before):
        pods.fail(0)
    pods.relist(lost=True)
    assert pods.counted == 0
    for step in steps:
        match step:
            case "watch":
                pods.watch()
            case "list":
                pods.relist(lost=lost)
            case int(pod):
                pods.fail(pod)
    pods.watch()
    real = sum(isinstance(step, int) for step in steps)
    assert pods.counted <= real
    assert lost or pods.counted == real
