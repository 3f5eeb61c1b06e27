from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulltrace_aggregator.kubelet.event_counts import FailureCounter, Failures
from pulltrace_aggregator.kubelet.messages import COMBINED_PREFIX
from pulltrace_aggregator.model.cluster import Change, EventSeen
from pulltrace_aggregator.model.containers import ContainerType, ImageUser
from pulltrace_aggregator.model.states import FailureReason

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
    message=NOT_FOUND,
    count=1,
    created_at=None,
    first_at=None,
    last_at=None,
    change=ADDED,
)


def event(
    change: Change, count: int = 1, message: str = NOT_FOUND, name: str = "web.1", uid: str = "", reason: str = "Failed"
) -> EventSeen:
    return replace(
        TEMPLATE, change=change, count=count, message=message, name=name, uid=uid or f"u-{name}", reason=reason
    )


def once(times: int = 1) -> Failures:
    return Failures("a:1", FailureReason.NOT_FOUND, times)


@pytest.fixture
def counter() -> FailureCounter:
    return FailureCounter()


def test_the_events_of_one_attempt_count_once(counter: FailureCounter) -> None:
    attempt = [
        event(ADDED, message='Pulling image "a:1"', name="web.0", reason="Pulling"),
        event(ADDED),
        event(ADDED, message="Error: ErrImagePull", name="web.2"),
        event(ADDED, message='Back-off pulling image "a:1"', name="web.3", reason="BackOff"),
        event(ADDED, message="Error: ImagePullBackOff", name="web.4"),
    ]
    assert [counter.count(each) for each in attempt] == [None, once(), None, None, None]


def test_growth_adds_its_difference(counter: FailureCounter) -> None:
    steps = [event(ADDED), event(MODIFIED, 2), event(MODIFIED, 5), event(MODIFIED, 5)]
    assert [counter.count(each) for each in steps] == [once(), once(), once(3), None]


def test_second_events_that_grow_add_nothing(counter: FailureCounter) -> None:
    second = event(ADDED, message="Error: ErrImagePull")
    assert counter.count(second) is None
    assert counter.count(replace(second, change=MODIFIED, count=7)) is None


def test_what_a_list_shows_first_is_a_baseline(counter: FailureCounter) -> None:
    assert counter.count(event(LISTED, 3)) is None
    assert counter.count(event(MODIFIED, 4)) == once()


def test_lists_again_and_restarts_add_nothing(counter: FailureCounter) -> None:
    counter.count(event(ADDED))
    counter.count(event(MODIFIED, 4))
    assert counter.count(event(LISTED, 4)) is None
    assert counter.count(event(LISTED, 9, REFUSED, name="web.2")) is None
    assert FailureCounter().count(event(LISTED, 4)) is None


def test_growth_during_a_gap_is_counted_by_the_list_after_it(counter: FailureCounter) -> None:
    counter.count(event(ADDED))
    assert counter.count(event(LISTED, 4)) == once(3)
    assert counter.count(event(MODIFIED, 5)) == once()


def test_a_list_from_an_old_cache_takes_nothing_back(counter: FailureCounter) -> None:
    counter.count(event(ADDED))
    counter.count(event(MODIFIED, 5))
    assert counter.count(event(LISTED, 2)) is None
    assert counter.count(event(MODIFIED, 6)) == once()


def test_an_event_that_a_list_missed_is_a_baseline_when_it_changes(counter: FailureCounter) -> None:
    assert counter.count(event(MODIFIED, 50)) is None
    assert counter.count(event(MODIFIED, 51)) == once()


def test_the_kubelet_goes_on_counting_after_the_event_has_expired(counter: FailureCounter) -> None:
    counter.count(event(ADDED))
    counter.count(event(MODIFIED, 17))
    assert counter.count(event(ADDED, 18, uid="another")) == once()


def test_another_event_under_an_old_name_counts_from_its_start(counter: FailureCounter) -> None:
    counter.count(event(ADDED))
    counter.count(event(MODIFIED, 3))
    assert counter.count(event(ADDED, uid="another")) == once()
    assert counter.count(event(MODIFIED, 2, uid="another")) == once()


def test_events_of_one_name_in_two_namespaces_are_two(counter: FailureCounter) -> None:
    assert counter.count(event(ADDED)) == once()
    assert counter.count(replace(event(ADDED), namespace="other")) == once()


def test_combined_events_count_what_their_latest_message_says(counter: FailureCounter) -> None:
    steps = [
        event(ADDED, 1, COMBINED_PREFIX + NOT_FOUND),
        event(MODIFIED, 2, COMBINED_PREFIX + "Error: ErrImagePull"),
        event(MODIFIED, 3, COMBINED_PREFIX + REFUSED),
        event(MODIFIED, 9, COMBINED_PREFIX + "Error: ImagePullBackOff"),
        event(MODIFIED, 12, COMBINED_PREFIX + NOT_FOUND),
    ]
    refused = Failures("b:1", FailureReason.UNAUTHORIZED, 1)
    assert [counter.count(each) for each in steps] == [once(), None, refused, None, once()]


@pytest.mark.parametrize(
    ("reason", "message", "image", "why"),
    [
        (
            "ErrImageNeverPull",
            'Container image "a" is not present with pull policy of Never',
            "a",
            FailureReason.NEVER_PULL,
        ),
        ("InspectFailed", 'Failed to apply default image tag "A": no', "A", FailureReason.INVALID_NAME),
        ("InspectFailed", 'Failed to inspect image "": no', "", FailureReason.OTHER),
        ("Failed", 'Failed to pull image "a": pull QPS exceeded', "a", FailureReason.KUBELET_RATE_LIMIT),
    ],
)
def test_other_failures(counter: FailureCounter, reason: str, message: str, image: str, why: FailureReason) -> None:
    assert counter.count(event(ADDED, message=message, reason=reason)) == Failures(image, why, 1)


def test_starts_of_containers_are_no_pulls(counter: FailureCounter) -> None:
    message = "Error: failed to create containerd task: OCI runtime create failed: not found"
    assert counter.count(event(ADDED, message=message)) is None


def test_memory_is_bounded() -> None:
    counter = FailureCounter(limit=2)
    names = [f"web.{number}" for number in range(3)]
    for name in names:
        assert counter.count(event(ADDED, name=name)) == once()
    assert len(counter) == 2
    assert counter.count(event(MODIFIED, 2, name=names[2])) == once()
    assert counter.count(event(MODIFIED, 2, name=names[0])) is None, "forgotten, so a baseline again"
    assert counter.count(event(MODIFIED, 3, name=names[0])) == once()


def test_events_without_failures_are_not_remembered(counter: FailureCounter) -> None:
    for number in range(100):
        counter.count(event(ADDED, message='Pulling image "a:1"', name=f"a.{number}", reason="Pulling"))
        counter.count(event(ADDED, message="Error: ErrImagePull", name=f"b.{number}"))
    assert len(counter) == 0


@dataclass
class Cluster:
    """Events of three pods, and a counter that lists and watches them."""

    counter: FailureCounter = field(default_factory=FailureCounter)
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
        increment = self.counter.count(seen)
        self.counted += increment.times if increment else 0


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
