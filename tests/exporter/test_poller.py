"""How often the exporter looks, what it says when it cannot, and that what is known stays."""

import logging
from collections.abc import Iterable, Iterator

import pytest

from pulltrace.clock import Instant, Monotonic, NodeTime
from pulltrace.model.pull import Daemon
from pulltrace_exporter.errors import ContainerdError, UnsafeSocketError
from pulltrace_exporter.model.image import Descriptor, Manifest
from pulltrace_exporter.model.observation import BlobInfo, Intent, Lease, Observation
from pulltrace_exporter.model.view import FailedCall
from pulltrace_exporter.poller import MIN_PAUSE_SECONDS, Intervals, Poller
from pulltrace_exporter.tracking.tracker import Tracked, Tracker

pytestmark = pytest.mark.unit

START = Instant(1_700_000_000.0, Monotonic(1000.0))
UP = Daemon(True, "2.1.9", NodeTime(START.wall - 3600))
NOTHING = Observation(UP)
REFUSED = ContainerdError("Leases/List", "UNAVAILABLE", "connection refused")


class ManualClock:
    """Moves when told."""

    def __init__(self) -> None:
        self._passed = 0.0

    def now(self) -> Instant:
        return Instant(START.wall + self._passed, Monotonic(START.monotonic + self._passed))

    def sleep(self, seconds: float) -> None:
        self._passed += seconds


class FakeSource:
    """Plays a list of looks, an error being one that fails; each wait passes at once, the last one ends the loop."""

    def __init__(self, clock: ManualClock, *looks: Observation | Exception, took: float = 0.0) -> None:
        self.busy = False
        self.urgent = False
        self.waits: list[float] = []
        self.poller: Poller | None = None
        self._clock = clock
        self._took = took
        self._left = len(looks)
        self._looks = iter(looks)

    def observe(self, ignored: Iterable[str]) -> Observation:
        self._clock.sleep(self._took)
        self._left -= 1
        look = next(self._looks)
        if isinstance(look, Exception):
            raise look
        return look

    def wait(self, seconds: float) -> bool:
        self.waits.append(round(seconds, 6))
        self._clock.sleep(seconds)
        if not self._left and self.poller:
            self.poller.stop()
        return False

    def wake(self) -> None:
        self._left = 0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(autouse=True)
def logs(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, "pulltrace_exporter"):
        yield caplog


def a_poller(source: FakeSource, clock: ManualClock, busy: float = 1.0, jitter: float = 1.0) -> Poller:
    tracker = Tracker(clock.now(), linger=120, abandoned=900, label_values=100)
    poller = Poller(source, tracker, Intervals(busy, 5.0), clock, jitter=lambda: jitter)
    source.poller = poller
    return poller


def pauses(source: FakeSource, clock: ManualClock, busy: float = 1.0, jitter: float = 1.0) -> list[float]:
    """The waits between the looks that the source plays."""
    a_poller(source, clock, busy, jitter).run()
    return source.waits


def test_an_idle_node_is_looked_at_seldom_and_a_busy_one_often(clock: ManualClock) -> None:
    idle, busy = FakeSource(clock, *[NOTHING] * 3), FakeSource(clock, *[NOTHING] * 3)
    busy.busy = True
    assert pauses(idle, clock) == [5.0] * 3
    assert pauses(busy, clock) == [1.0] * 3


def test_the_time_of_the_look_is_part_of_the_interval(clock: ManualClock) -> None:
    assert pauses(FakeSource(clock, NOTHING, took=0.75), clock) == [4.25]


def test_looks_that_take_longer_than_the_interval_leave_containerd_a_moment(clock: ManualClock) -> None:
    source = FakeSource(clock, *[NOTHING] * 2, took=7.0)
    assert pauses(source, clock) == [MIN_PAUSE_SECONDS] * 2


def test_a_pull_without_an_image_yet_is_looked_at_again_soon_but_not_for_ever(clock: ManualClock) -> None:
    source = FakeSource(clock, *[NOTHING] * 24)
    source.busy = source.urgent = True
    waits = pauses(source, clock)
    assert waits[:20] == [0.1] * 20
    assert waits[21:] == [1.0] * 3


def test_a_shorter_interval_is_kept_while_a_pull_settles(clock: ManualClock) -> None:
    source = FakeSource(clock, NOTHING)
    source.busy = source.urgent = True
    assert pauses(source, clock, busy=0.06) == [0.06]


def test_pauses_after_failures_grow_up_to_a_limit(clock: ManualClock) -> None:
    assert pauses(FakeSource(clock, *[REFUSED] * 7), clock) == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_pauses_after_failures_are_jittered_down_to_half(clock: ManualClock) -> None:
    assert pauses(FakeSource(clock, *[REFUSED] * 3), clock, jitter=0.0) == [0.125, 0.25, 0.5]


def test_a_success_makes_the_next_failure_a_first_one(clock: ManualClock) -> None:
    source = FakeSource(clock, REFUSED, REFUSED, NOTHING, REFUSED)
    assert pauses(source, clock) == [0.25, 0.5, 5.0, 0.25]


def test_an_ended_pull_leaves_when_its_linger_is_over_however_seldom_an_idle_node_is_looked_at(
    clock: ManualClock,
) -> None:
    source = FakeSource(clock, a_pull(), *[NOTHING] * 4)
    tracker = Tracker(clock.now(), linger=12, abandoned=900, label_values=100)
    poller = source.poller = Poller(source, tracker, Intervals(1.0, 5.0), clock)
    poller.run()
    assert source.waits == [5.0, 5.0, 5.0, 2.0, 5.0]
    assert not poller.view.pulls


def test_a_complaint_is_logged_once_until_it_changes_or_is_over(
    clock: ManualClock, logs: pytest.LogCaptureFixture
) -> None:
    unsafe = UnsafeSocketError("anybody may be answering there")
    a_poller(FakeSource(clock, REFUSED, REFUSED, unsafe, unsafe, NOTHING, NOTHING, REFUSED), clock).run()
    assert [(record.levelname, record.getMessage()) for record in logs.records] == [
        ("WARNING", "containerd cannot be read, retrying"),
        ("WARNING", "containerd cannot be read, retrying"),
        ("INFO", "containerd answers again"),
        ("WARNING", "containerd cannot be read, retrying"),
    ]
    assert "anybody may be answering there" in str(vars(logs.records[1]))


@pytest.mark.parametrize("words", ["odd", ""])
def test_a_fault_of_our_own_is_counted_and_its_traceback_logged_once(
    clock: ManualClock, logs: pytest.LogCaptureFixture, words: str
) -> None:
    poller = a_poller(FakeSource(clock, *[ValueError(words)] * 3), clock)
    poller.run()
    assert poller.view.polls.errors == {FailedCall("observe", "ValueError"): 3}
    assert sum(record.exc_info is not None for record in logs.records) == 1


def test_a_fault_in_the_tracker_is_no_success_of_containerd(clock: ManualClock, logs: pytest.LogCaptureFixture) -> None:
    class Faulty(Tracker):
        def observe(self, *_: object) -> Tracked:
            raise KeyError("odd")

    source = FakeSource(clock, *[NOTHING] * 3)
    tracker = Faulty(clock.now(), linger=120, abandoned=900, label_values=100)
    poller = source.poller = Poller(source, tracker, Intervals(1.0, 5.0), clock, jitter=lambda: 1.0)
    poller.run()
    assert source.waits == [0.25, 0.5, 1.0]
    assert not poller.view.daemon.up
    assert [record.levelname for record in logs.records] == ["ERROR", "WARNING"]


def test_a_fault_in_telling_is_said_and_looking_goes_on(clock: ManualClock, logs: pytest.LogCaptureFixture) -> None:
    def refuse(_events: object) -> None:
        raise ValueError("odd")

    tracker = Tracker(clock.now(), linger=120, abandoned=900, label_values=100)
    poller = Poller(FakeSource(clock, a_pull(), a_pull()), tracker, Intervals(1.0, 5.0), clock, write=refuse)
    poller.poll()
    poller.poll()
    assert poller.view.polls.durations.count == 2
    assert poller.view.daemon == UP
    assert {record.levelname for record in logs.records} == {"ERROR"}


def test_failed_calls_are_counted_by_call_and_code(clock: ManualClock) -> None:
    late = ContainerdError("Content/Info", "DEADLINE_EXCEEDED")
    poller = a_poller(FakeSource(clock, REFUSED, late, REFUSED, UnsafeSocketError("unsafe"), NOTHING), clock)
    poller.run()
    assert poller.view.polls.errors == {
        FailedCall("Leases/List", "UNAVAILABLE"): 2,
        FailedCall("Content/Info", "DEADLINE_EXCEEDED"): 1,
        FailedCall("connect", "UNSAFE_SOCKET"): 1,
    }


def test_the_last_state_stays_while_containerd_cannot_be_read(clock: ManualClock) -> None:
    poller = a_poller(FakeSource(clock, a_pull(), REFUSED), clock)
    poller.poll()
    before = poller.view
    assert [pull.key.repository for pull in before.pulls] == ["team/app"]
    clock.sleep(30)
    poller.poll()
    assert [(pull.key, pull.phase, pull.ended_at) for pull in poller.view.pulls] == [
        (pull.key, pull.phase, None) for pull in before.pulls
    ]
    assert poller.view.daemon == Daemon()
    assert before.daemon == UP, "a view that was given away does not change"


def test_the_kubelets_queue_is_read_while_containerd_cannot_be(clock: ManualClock) -> None:
    tracker = Tracker(clock.now(), linger=120, abandoned=900, label_values=100)
    queue = [Intent("registry.example/team/app:v1", NodeTime(START.wall))]
    poller = Poller(FakeSource(clock, *[REFUSED] * 3), tracker, Intervals(1.0, 5.0), clock, intents=lambda: queue)
    poller.poll()
    assert [image.reference for image in poller.view.queued] == ["registry.example/team/app:v1"]
    queue[:] = [Intent("registry.example/team/other:v1", NodeTime(START.wall))]
    poller.poll()
    assert [image.reference for image in poller.view.queued] == ["registry.example/team/other:v1"]


def test_polls_are_timed_and_stamped_failed_ones_too(clock: ManualClock) -> None:
    poller = a_poller(FakeSource(clock, NOTHING, REFUSED, took=0.5), clock)
    before = poller.view.polls
    poller.poll()
    poller.poll()
    polls = poller.view.polls
    assert (before.last_at, polls.last_at) == (None, clock.now().wall)
    assert (polls.durations.count, polls.durations.total) == (2, 1.0)


def a_pull() -> Observation:
    """A lease that has fetched the manifest of its image."""
    root, config = "sha256:" + "a" * 64, "sha256:" + "b" * 64
    source = ("registry.example", "team/app")
    content = BlobInfo(root, 500, NodeTime(START.wall - 1), sources=(source,), children=frozenset({config}))
    manifest = Manifest("application/vnd.oci.image.manifest.v1+json", Descriptor(config, 100, ""), ())
    lease = Lease("pull", NodeTime(START.wall - 2), contents={root: content}, ingests=frozenset({config}))
    return Observation(UP, leases=(lease,), documents={root: manifest})
