from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulltrace_aggregator.kubelet.event_counts import MOST_OF_ONE_POD, EventCounter, UnnamedFailures
from pulltrace_aggregator.kubelet.messages import COMBINED_PREFIX, parse_event
from pulltrace_aggregator.model.cluster import Change, EventSeen, ImageUser
from pulltrace_aggregator.model.states import ContainerType

pytestmark = pytest.mark.unit

LISTED, ADDED, MODIFIED = Change.LISTED, Change.ADDED, Change.MODIFIED
NOT_FOUND = 'Failed to pull image "a:1": rpc error: code = NotFound desc = a:1: not found'
REFUSED = 'Failed to pull image "b:1": unexpected status: 403 Forbidden'
TEMPLATE = EventSeen(
    namespace="default",
    name="web.1",
    uid="u1",
    pod="web",
    pod_uid="p1",
    user=ImageUser(ContainerType.CONTAINER, "app"),
    node="n1",
    reason="Failed",
    message=parse_event("Failed", NOT_FOUND),
    count=1,
    created_at=None,
    first_at=None,
    last_at=None,
    change=ADDED,
)


def event(
    change: Change, count: int = 1, message: str = NOT_FOUND, name: str = "web.1", uid: str = "", reason: str = "Failed"
) -> EventSeen:
    said = parse_event(reason, message)
    return replace(TEMPLATE, change=change, count=count, message=said, name=name, uid=uid or f"u-{name}", reason=reason)


@pytest.fixture
def counter() -> EventCounter:
    return EventCounter()


def test_the_events_of_one_attempt_count_once(counter: EventCounter) -> None:
    attempt = [
        event(ADDED, message='Pulling image "a:1"', name="web.0", reason="Pulling"),
        event(ADDED),
        event(ADDED, message="Error: ErrImagePull", name="web.2"),
        event(ADDED, message='Back-off pulling image "a:1"', name="web.3", reason="BackOff"),
        event(ADDED, message="Error: ImagePullBackOff", name="web.4"),
    ]
    assert [counter.count(each) for each in attempt] == [0, 1, 0, 0, 0]


def test_growth_adds_its_difference(counter: EventCounter) -> None:
    steps = [event(ADDED), event(MODIFIED, 2), event(MODIFIED, 5), event(MODIFIED, 5)]
    assert [counter.count(each) for each in steps] == [1, 1, 3, 0]


def test_second_events_that_grow_add_nothing(counter: EventCounter) -> None:
    second = event(ADDED, message="Error: ErrImagePull")
    assert counter.count(second) == 0
    assert counter.count(replace(second, change=MODIFIED, count=7)) == 0


def test_the_first_list_is_a_baseline(counter: EventCounter) -> None:
    assert counter.count(event(LISTED, 3)) == 0
    assert counter.count(event(MODIFIED, 4)) == 1


def test_lists_again_and_restarts_add_nothing(counter: EventCounter) -> None:
    counter.count(event(ADDED))
    counter.count(event(MODIFIED, 4))
    assert counter.count(event(LISTED, 4)) == 0
    assert counter.count(event(LISTED, 9, REFUSED, name="web.2")) == 0
    assert EventCounter().count(event(LISTED, 4)) == 0


def test_growth_during_a_gap_is_counted_by_the_list_after_it(counter: EventCounter) -> None:
    counter.count(event(ADDED))
    assert counter.count(event(LISTED, 4)) == 3
    assert counter.count(event(MODIFIED, 5)) == 1


def test_a_list_from_an_old_cache_takes_nothing_back(counter: EventCounter) -> None:
    counter.count(event(ADDED))
    counter.count(event(MODIFIED, 5))
    assert counter.count(event(LISTED, 2)) == 0
    assert counter.count(event(MODIFIED, 6)) == 1


def test_an_event_that_a_list_missed_is_a_baseline_when_it_changes(counter: EventCounter) -> None:
    assert counter.count(event(MODIFIED, 50)) == 0
    assert counter.count(event(MODIFIED, 51)) == 1


def test_the_kubelet_goes_on_counting_after_the_event_has_expired(counter: EventCounter) -> None:
    counter.count(event(ADDED))
    counter.count(event(MODIFIED, 17))
    assert counter.count(event(ADDED, 18, uid="another")) == 1


def test_another_event_under_an_old_name_counts_from_its_start(counter: EventCounter) -> None:
    counter.count(event(ADDED))
    counter.count(event(MODIFIED, 3))
    assert counter.count(event(ADDED, uid="another")) == 1
    assert counter.count(event(MODIFIED, 2, uid="another")) == 1


def test_events_of_one_name_in_two_namespaces_are_two(counter: EventCounter) -> None:
    assert counter.count(event(ADDED)) == 1
    assert counter.count(replace(event(ADDED), namespace="other")) == 1


def test_combined_events_count_what_their_latest_message_says(counter: EventCounter) -> None:
    steps = [
        event(ADDED, 1, COMBINED_PREFIX + NOT_FOUND),
        event(MODIFIED, 2, COMBINED_PREFIX + "Error: ErrImagePull"),
        event(MODIFIED, 3, COMBINED_PREFIX + REFUSED),
        event(MODIFIED, 9, COMBINED_PREFIX + "Error: ImagePullBackOff"),
        event(MODIFIED, 12, COMBINED_PREFIX + NOT_FOUND),
    ]
    assert [counter.count(each) for each in steps] == [1, 0, 1, 0, 1]


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
    found = [times for _, times, _ in unnamed.named("default", "web", lambda _: "a:1")]
    assert found == list(range(5, MOST_OF_ONE_POD + 5))


def test_events_that_are_not_counted_are_not_remembered(counter: EventCounter) -> None:
    for number in range(100):
        counter.count(event(ADDED, message='Pulling image "a:1"', name=f"a.{number}", reason="Pulling"))
        counter.count(event(ADDED, message="Error: ErrImagePull", name=f"b.{number}"))
    assert len(counter) == 0


@dataclass
class Cluster:
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
    cluster = Cluster()
    for _ in range(before):
        cluster.fail(0)
    cluster.relist(lost=True)
    assert cluster.counted == 0
    for step in steps:
        match step:
            case "watch":
                cluster.watch()
            case "list":
                cluster.relist(lost=lost)
            case int(pod):
                cluster.fail(pod)
    cluster.watch()
    real = sum(isinstance(step, int) for step in steps)
    assert cluster.counted <= real
    assert lost or cluster.counted == real
