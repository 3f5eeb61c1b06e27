import math
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pulltrace_aggregator.kubelet.messages import (
    COMBINED_PREFIX,
    EVENTS,
    IMAGE_WAITING_REASONS,
    NEWEST,
    OLDEST,
    UNKNOWN,
    WAITING,
    Kind,
    Message,
    parse_event,
    parse_waiting,
)
from pulltrace_aggregator.model.containers import ContainerType, ImageUser, parse_field_path

pytestmark = pytest.mark.unit

VERSIONS = range(23, 37)
IMAGE = "registry.example:5000/team/app:1.2@sha256:" + "0123456789abcdef" * 4
CAUSE = 'rpc error: code = NotFound desc = failed to resolve reference "a/b:c": a/b:c: not found'


def said(minor: int) -> Iterator[tuple[str, str, Message]]:
    """What a kubelet of this version says: reason, message and what that means."""
    yield "Pulling", f'Pulling image "{IMAGE}"', Message(Kind.PULLING, IMAGE)
    pulled = f'Successfully pulled image "{IMAGE}" in '
    if minor <= 25:
        yield "Pulled", pulled + "1m2.345678901s", Message(Kind.PULLED, IMAGE, 62.345678901)
    elif minor <= 29:
        yield (
            "Pulled",
            pulled + "1.3s (4.701234567s including waiting)",
            Message(Kind.PULLED, IMAGE, 1.3, 4.701234567),
        )
    else:
        yield (
            "Pulled",
            pulled + "1h0m3s (1h0m3.5s including waiting). Image size: 26221772 bytes.",
            Message(Kind.PULLED, IMAGE, 3603, 3603.5, 26221772),
        )
    yield "Pulled", f'Container image "{IMAGE}" already present on machine', Message(Kind.PRESENT, IMAGE)
    if minor >= 33:
        text = f'Container image "{IMAGE}" already present on machine and can be accessed by the pod'
        yield "Pulled", text, Message(Kind.PRESENT, IMAGE)
    yield "Failed", f'Failed to pull image "{IMAGE}": {CAUSE}', Message(Kind.PULL_FAILED, IMAGE, error=CAUSE)
    yield "Failed", "Error: ErrImagePull", Message(Kind.CONTAINER_FAILED, error="ErrImagePull")
    yield "Failed", "Error: ImagePullBackOff", Message(Kind.CONTAINER_FAILED, error="ImagePullBackOff")
    yield "BackOff", f'Back-off pulling image "{IMAGE}"', Message(Kind.BACK_OFF, IMAGE)
    never = f'Container image "{IMAGE}" is not present with pull policy of Never'
    yield "ErrImageNeverPull", never, Message(Kind.NEVER_PULL, IMAGE)
    # From 1.32 on the kubelet prints the image that it has not found.
    named = IMAGE if minor < 32 else ""
    inspect = f'Failed to inspect image "{named}": rpc error: code = Unknown desc = no'
    yield "InspectFailed", inspect, Message(Kind.INSPECT_FAILED, named, error="rpc error: code = Unknown desc = no")
    invalid = 'couldn\'t parse image reference "UP": invalid reference format: repository name must be lowercase'
    apply = f'Failed to apply default image tag "UP": {invalid}'
    yield "InspectFailed", apply, Message(Kind.INVALID_NAME, "UP", error=invalid)


REAL = [(reason, text) for minor in VERSIONS for reason, text, _ in said(minor)]


@pytest.mark.parametrize("minor", VERSIONS)
def test_every_message_of_every_version(minor: int) -> None:
    for reason, text, message in said(minor):
        assert parse_event(reason, text) == message


@pytest.mark.parametrize("minor", VERSIONS)
def test_the_table_has_no_gap(minor: int) -> None:
    kinds = {message.kind for _, _, message in said(minor)}
    assert kinds == {form.kind for form in EVENTS if form.since <= minor <= form.until}
    assert kinds == {*Kind} - {Kind.UNKNOWN}


def test_the_table_spans_what_is_said() -> None:
    assert (VERSIONS[0], VERSIONS[-1]) == (OLDEST, NEWEST)
    assert all(OLDEST <= form.since <= form.until <= NEWEST for form in (*EVENTS, *WAITING))


@pytest.mark.parametrize(("reason", "text"), REAL)
def test_combined_events(reason: str, text: str) -> None:
    alone, combined = parse_event(reason, text), parse_event(reason, COMBINED_PREFIX + text)
    assert combined.combined
    assert not alone.combined
    assert (combined.kind, combined.image, combined.error) == (alone.kind, alone.image, alone.error)


@pytest.mark.parametrize(
    ("pull", "total", "waiting"),
    [
        ("1.3s", "4.7s", 3.4),
        ("350µs", "1.5ms", 1.15e-3),
        ("12ns", "12ns", 0),
        ("2s", "1s", 0),  # never seen; a queue is not left before it is entered
        ("-1s", "1s", 2),
        ("0s", "1h0m3s", 3603),
    ],
)
def test_time_in_the_queue(pull: str, total: str, waiting: float) -> None:
    message = parse_event("Pulled", f'Successfully pulled image "a" in {pull} ({total} including waiting)')
    assert message.kind is Kind.PULLED
    assert message.waiting_seconds == pytest.approx(waiting)


def test_before_1_26_the_queue_is_not_told() -> None:
    assert parse_event("Pulled", 'Successfully pulled image "a" in 2s').waiting_seconds is None


def test_a_size_that_the_kubelet_did_not_learn() -> None:
    text = 'Successfully pulled image "a" in 1s (1s including waiting). Image size: 0 bytes.'
    assert parse_event("Pulled", text).size_bytes == 0


def test_a_duration_beyond_go_is_left_out() -> None:
    text = f'Successfully pulled image "a" in {"9" * 19}h (1s including waiting)'
    assert parse_event("Pulled", text) == Message(Kind.PULLED, "a", None, 1)


@pytest.mark.parametrize(
    ("quoted", "image"),
    [
        (r'"a\"b"', 'a"b'),
        (r'"a\\"', "a\\"),
        (r'" spaces : and \": quotes"', ' spaces : and ": quotes'),
        (r'"\t\x00\u2028\U000e0001"', "\t\0\u2028\U000e0001"),
        ('"ümlaut"', "ümlaut"),
    ],
)
def test_images_are_quoted_as_go_does(quoted: str, image: str) -> None:
    assert parse_event("Pulling", f"Pulling image {quoted}").image == image
    failed = parse_event("Failed", f'Failed to pull image {quoted}: "x": y')
    assert (failed.image, failed.error) == (image, '"x": y')


def test_causes_of_several_lines() -> None:
    failed = parse_event("Failed", 'Failed to pull image "a": 429 Too Many Requests\ntoomanyrequests: slow\n')
    assert failed.error == "429 Too Many Requests\ntoomanyrequests: slow\n"


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("Failed", "Error: failed to create containerd task: failed to create shim task: OCI runtime create failed"),
        ("Failed", "Error: context deadline exceeded"),
        ("BackOff", "Back-off restarting failed container app in pod web_default(0b5d)"),
        ("BackOff", "Back-off restarting failed container"),
        ("Pulling", "Pulling image a"),
        ("Pulling", 'Pulling image "a" '),
        ("Pulling", 'Pulling image "a'),
        ("Pulling", 'pulling image "a"'),
        ("Pulled", 'Successfully pulled image "a"'),
        ("Pulled", 'Successfully pulled image "a" in soon'),
        ("Pulled", 'Successfully pulled image "a" in 1s (1s including waiting). Image size: many bytes.'),
        ("Pulled", f'Successfully pulled image "a" in 1s (1s including waiting). Image size: {"9" * 5000} bytes.'),
        ("Created", 'Pulling image "a"'),
        ("Pulled", 'Pulling image "a"'),
        ("", ""),
        ("Failed", ""),
        ("Failed", COMBINED_PREFIX),
    ],
)
def test_what_is_not_known_is_unknown(reason: str, text: str) -> None:
    assert parse_event(reason, text).kind is Kind.UNKNOWN


@pytest.mark.parametrize(
    ("reason", "text", "message"),
    [
        ("ErrImagePull", CAUSE, Message(Kind.PULL_FAILED, error=CAUSE)),
        ("ImagePullBackOff", 'Back-off pulling image "a"', Message(Kind.BACK_OFF, "a")),
        (
            "ImagePullBackOff",
            f'Back-off pulling image "a": ErrImagePull: {CAUSE}',
            Message(Kind.BACK_OFF, "a", error=f"ErrImagePull: {CAUSE}"),
        ),
        (
            "ErrImageNeverPull",
            'Container image "a" is not present with pull policy of Never',
            Message(Kind.NEVER_PULL, "a"),
        ),
        ("ImageInspectError", 'Failed to inspect image "": no', Message(Kind.INSPECT_FAILED, error="no")),
        ("InvalidImageName", 'Failed to apply default image tag "A": no', Message(Kind.INVALID_NAME, "A", error="no")),
        (
            "RegistryUnavailable",
            "image pull failed for a:1 because the registry is unavailable.",
            Message(Kind.PULL_FAILED, "a:1", error="the registry is unavailable."),
        ),
        (
            "SignatureValidationFailed",
            "image pull failed for a:1 because the signature validation failed: Source image rejected",
            Message(Kind.PULL_FAILED, "a:1", error="the signature validation failed: Source image rejected"),
        ),
        ("ImageVolumeMountFailed", "whatever", UNKNOWN),
        ("ContainerCreating", "", UNKNOWN),
        ("PodInitializing", "", UNKNOWN),
        ("CrashLoopBackOff", "back-off 5m0s restarting failed container=app pod=web_default(0b5d)", UNKNOWN),
        ("rpc error: code = Unknown desc = no", "Failed to record image pull intent", UNKNOWN),
    ],
)
def test_what_waiting_containers_say(reason: str, text: str, message: Message) -> None:
    assert parse_waiting(reason, text) == message


@pytest.mark.parametrize(
    ("path", "user"),
    [
        ("spec.containers{app}", ImageUser(ContainerType.CONTAINER, "app")),
        ("spec.initContainers{init-1}", ImageUser(ContainerType.INIT, "init-1")),
        ("spec.ephemeralContainers{debugger-x7f2q}", ImageUser(ContainerType.EPHEMERAL, "debugger-x7f2q")),
        ("", ImageUser(ContainerType.VOLUME)),
        ("spec.containers[2]", None),
        ("spec.containers{}", None),
        ("spec.containers{a}{b}", None),
        ("spec.containers{app}\n", None),
        ("spec.volumes{data}", None),
        ("implicitly required container POD", None),
        ("status", None),
    ],
)
def test_field_paths(path: str, user: ImageUser | None) -> None:
    assert parse_field_path(path) == user


ANY = st.text(st.characters(codec=None))
EVENT_REASONS = st.one_of(st.sampled_from(sorted({reason for reason, _ in REAL})), ANY)
WAITING_REASONS = st.one_of(st.sampled_from(sorted(IMAGE_WAITING_REASONS)), ANY)
PIECES = st.one_of(
    ANY,
    st.sampled_from(
        ['"', "\\", "\\x", "\\ud800", "\\U00110000", ": ", "(", "9" * 5000, "h", "µ", COMBINED_PREFIX, "\0"]
    ),
)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, str]:
    """A message of a kubelet with a piece cut out and another put in."""
    reason, text = draw(st.sampled_from(REAL))
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, len(text)))
    return reason, text[:start] + draw(PIECES) + text[end:]


def check(message: Message) -> None:
    """What may be said of any message."""
    message.image.encode()
    for seconds in (message.pull_seconds, message.total_seconds, message.waiting_seconds):
        assert seconds is None or math.isfinite(seconds)
    assert message.size_bytes is None or message.size_bytes >= 0


@given(EVENT_REASONS, ANY)
def test_no_text_raises(reason: str, text: str) -> None:
    check(parse_event(reason, text))


@given(mutated())
@example(("Pulling", 'Pulling image "\ud800"'))
def test_no_mutation_of_a_message_raises(mutation: tuple[str, str]) -> None:
    reason, text = mutation
    check(parse_event(reason, text))


@given(WAITING_REASONS, st.one_of(ANY, mutated().map(lambda mutation: mutation[1])))
@example("RegistryUnavailable", "image pull failed for \ud800 because ")
def test_no_waiting_message_raises(reason: str, text: str) -> None:
    check(parse_waiting(reason, text))


@given(ANY)
def test_no_field_path_raises(path: str) -> None:
    user = parse_field_path(path)
    assert user is None or user.type in ContainerType
