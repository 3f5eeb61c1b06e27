import math
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pulltrace_aggregator.kubelet.messages import (
    COMBINED_PREFIX,
    EVENTS,
    MISSING_REASONS,
    NEWEST,
    OLDEST,
    WAITING,
    parse_event,
    parse_field_path,
    parse_waiting,
)
from pulltrace_aggregator.model.cluster import ImageUser
from pulltrace_aggregator.model.image_message import UNKNOWN, ImageMessage, Kind, same_error
from pulltrace_aggregator.model.states import ContainerType, FailureReason

pytestmark = pytest.mark.unit

VERSIONS = range(23, 38)
PAUSE = "registry.k8s.io/pause:3.9"
IMAGE = "registry.example:5000/denied/app:429@sha256:" + "0123456789abcdef" * 4
"""An image whose name sounds like failures."""
RAW = "failed to record image pull intent: write /var/lib/kubelet/image_manager/pulling: no space left on device"
CAUSE = 'rpc error: code = NotFound desc = failed to resolve reference "a/b:c": a/b:c: not found'


def said(minor: int) -> Iterator[tuple[str, str, ImageMessage]]:
    """What a kubelet of this version says: reason, message and what that means."""
    yield "Pulling", f'Pulling image "{IMAGE}"', ImageMessage(Kind.PULLING, IMAGE)
    pulled = f'Successfully pulled image "{IMAGE}" in '
    if minor <= 25:
        yield "Pulled", pulled + "1m2.345678901s", ImageMessage(Kind.PULLED, IMAGE, None, 62.345678901)
    elif minor <= 29:
        yield (
            "Pulled",
            pulled + "1.3s (4.701234567s including waiting)",
            ImageMessage(Kind.PULLED, IMAGE, None, 1.3, 4.701234567),
        )
    else:
        yield (
            "Pulled",
            pulled + "1h0m3s (1h0m3.5s including waiting). Image size: 26221772 bytes.",
            ImageMessage(Kind.PULLED, IMAGE, None, 3603, 3603.5),
        )
    yield "Pulled", f'Container image "{IMAGE}" already present on machine', ImageMessage(Kind.PRESENT, IMAGE)
    if minor >= 33:
        text = f'Container image "{IMAGE}" already present on machine and can be accessed by the pod'
        yield "Pulled", text, ImageMessage(Kind.PRESENT, IMAGE)
    yield (
        "Failed",
        f'Failed to pull image "{IMAGE}": {CAUSE}',
        ImageMessage(Kind.FAILED, IMAGE, FailureReason.NOT_FOUND),
    )
    yield "Failed", "Error: ErrImagePull", ImageMessage(Kind.NOT_STARTED)
    yield "Failed", "Error: ImagePullBackOff", ImageMessage(Kind.BACK_OFF)
    yield "Failed", f"Error: {RAW}", ImageMessage(Kind.ERROR, failure=FailureReason.DISK_FULL, error=RAW)
    yield "BackOff", f'Back-off pulling image "{IMAGE}"', ImageMessage(Kind.BACK_OFF, IMAGE)
    never = f'Container image "{IMAGE}" is not present with pull policy of Never'
    yield "ErrImageNeverPull", never, ImageMessage(Kind.FAILED, IMAGE, FailureReason.NEVER_PULL)
    # From 1.32 on the kubelet prints the image that it has not found.
    named = IMAGE if minor < 32 else ""
    inspect = f'Failed to inspect image "{named}": rpc error: code = Unknown desc = no'
    yield "InspectFailed", inspect, ImageMessage(Kind.FAILED, named, FailureReason.OTHER)
    invalid = 'couldn\'t parse image reference "UP": invalid reference format: repository name must be lowercase'
    apply = f'Failed to apply default image tag "UP": {invalid}'
    yield "InspectFailed", apply, ImageMessage(Kind.FAILED, "UP", FailureReason.INVALID_NAME)

    sandbox = 'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to start sandbox "4711": '
    pause = f'failed to get sandbox image "{PAUSE}": failed to pull image "{PAUSE}": failed to pull and unpack image '
    cause = f'"{PAUSE}": failed to resolve reference "{PAUSE}": unexpected status: 401 Unauthorized'
    yield (
        "FailedCreatePodSandBox",
        sandbox + pause + cause,
        ImageMessage(Kind.FAILED, PAUSE, FailureReason.UNAUTHORIZED),
    )
    current = (
        f'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to pull image "{PAUSE}": failed to '
    )
    denied = f'pull and unpack image "{PAUSE}": failed to resolve image: pull access denied, repository does not exist'
    yield "FailedCreatePodSandBox", current + denied, ImageMessage(Kind.FAILED, PAUSE, FailureReason.UNAUTHORIZED)
    docker = f'Failed to create pod sandbox: rpc error: code = Unknown desc = failed pulling image "{PAUSE}": '
    daemon = "Error response from daemon: Head https://a/v2/pause/manifests/3.9: dial tcp 10.0.0.1:443: i/o timeout"
    yield "FailedCreatePodSandBox", docker + daemon, ImageMessage(Kind.FAILED, PAUSE, FailureReason.TIMEOUT)
    crio = f"Failed to create pod sandbox: rpc error: code = Unknown desc = initializing source docker://{PAUSE}: "
    source = 'pinging container registry registry.k8s.io: Get "https://a/v2/": dial tcp: lookup a: no such host'
    yield "FailedCreatePodSandBox", crio + source, ImageMessage(Kind.FAILED, PAUSE, FailureReason.DNS)


REAL = sorted({(reason, text) for minor in VERSIONS for reason, text, _ in said(minor)})


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
    assert (combined.kind, combined.image, combined.failure) == (alone.kind, alone.image, alone.failure)


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


def test_a_duration_beyond_go_is_left_out() -> None:
    text = f'Successfully pulled image "a" in {"9" * 19}h (1s including waiting)'
    assert parse_event("Pulled", text) == ImageMessage(Kind.PULLED, "a", None, None, 1)


@pytest.mark.parametrize(
    ("quoted", "image"), [(r'"a\\"', "a\\"), (r'" spaces : and \": quotes"', ' spaces : and ": quotes')]
)
def test_images_are_quoted_as_go_does(quoted: str, image: str) -> None:
    assert parse_event("Pulling", f"Pulling image {quoted}").image == image
    failed = parse_event("Failed", f'Failed to pull image {quoted}: "x": not found')
    assert failed == ImageMessage(Kind.FAILED, image, FailureReason.NOT_FOUND)


def test_causes_of_several_lines() -> None:
    failed = parse_event("Failed", 'Failed to pull image "a": 429 Too Many Requests\ntoomanyrequests: slow\n')
    assert failed == ImageMessage(Kind.FAILED, "a", FailureReason.RATE_LIMITED)


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("Failed", "Error: "),
        ("FailedCreatePodSandBox", "Failed to create pod sandbox: plugin failed (add): no more addresses"),
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
def test_an_unknown_value_is_unknown(reason: str, text: str) -> None:
    assert parse_event(reason, text).kind is Kind.UNKNOWN


@pytest.mark.parametrize(
    ("reason", "text", "message"),
    [
        ("ErrImagePull", CAUSE, ImageMessage(Kind.FAILED, "", FailureReason.NOT_FOUND)),
        ("ErrImagePull", "", ImageMessage(Kind.FAILED)),
        # Until 1.31 the kubelet does not say why it pauses.
        ("ImagePullBackOff", 'Back-off pulling image "denied"', ImageMessage(Kind.BACK_OFF, "denied")),
        (
            "ImagePullBackOff",
            f'Back-off pulling image "a": ErrImagePull: {CAUSE}',
            ImageMessage(Kind.BACK_OFF, "a", FailureReason.NOT_FOUND),
        ),
        (
            "ImagePullBackOff",
            'Back-off pulling image "a": in words of its own',
            ImageMessage(Kind.BACK_OFF, "a", FailureReason.OTHER),
        ),
        ("ImagePullBackOff", "in words of its own", ImageMessage(Kind.BACK_OFF)),
        (
            "ImagePullBackOff",
            "in words of its own: 429 Too Many Requests",
            ImageMessage(Kind.BACK_OFF, "", FailureReason.RATE_LIMITED),
        ),
        (
            "ErrImageNeverPull",
            'Container image "a" is not present with pull policy of Never',
            ImageMessage(Kind.FAILED, "", FailureReason.NEVER_PULL),
        ),
        (
            "ImageInspectError",
            'Failed to inspect image "": rpc error: code = Unavailable desc = transport is closing',
            ImageMessage(Kind.FAILED, "", FailureReason.OTHER),
        ),
        (
            "InvalidImageName",
            'Failed to apply default image tag "A": no',
            ImageMessage(Kind.FAILED, "", FailureReason.INVALID_NAME),
        ),
        ("InvalidImageName", "", ImageMessage(Kind.FAILED, "", FailureReason.INVALID_NAME)),
        (
            "RegistryUnavailable",
            "image pull failed for a:1 because the registry is unavailable.",
            ImageMessage(Kind.FAILED, "a:1", FailureReason.REGISTRY_UNAVAILABLE),
        ),
        (
            "RegistryUnavailable",
            "image pull failed for a:1 because the registry is unavailable: i/o timeout",
            ImageMessage(Kind.FAILED, "a:1", FailureReason.TIMEOUT),
        ),
        (
            "RegistryUnavailable",
            "in words of its own",
            ImageMessage(Kind.FAILED, "", FailureReason.REGISTRY_UNAVAILABLE),
        ),
        (
            "SignatureValidationFailed",
            "image pull failed for a:1 because the signature validation failed: Source image rejected",
            ImageMessage(Kind.FAILED, "", FailureReason.SIGNATURE),
        ),
        (
            "ImageVolumeMountFailed",
            "no space left on device",
            ImageMessage(Kind.FAILED, "", FailureReason.DISK_FULL),
        ),
        ("ContainerCreating", "", UNKNOWN),
        ("PodInitializing", "", UNKNOWN),
        (
            "CrashLoopBackOff",
            "back-off 5m0s restarting failed container=denied pod=web_default(0b5d)",
            ImageMessage(Kind.PRESENT),
        ),
    ],
)
def test_what_waiting_containers_say(reason: str, text: str, message: ImageMessage) -> None:
    assert parse_waiting(reason, text) == message


@pytest.mark.parametrize(
    ("reason", "failure"),
    [
        (RAW, FailureReason.DISK_FULL),
        ("json: cannot unmarshal array into Go struct field DockerConfigJson.auths", FailureReason.UNAUTHORIZED),
        ("rpc error: code = NotFound desc = a/b:c: not found", FailureReason.NOT_FOUND),
        ("failed to record image pull intent: permission denied", FailureReason.OTHER),
    ],
)
def test_an_error_in_place_of_the_waiting_reason_is_the_images(reason: str, failure: FailureReason) -> None:
    waiting = parse_waiting(reason, "")
    assert waiting == ImageMessage(Kind.FAILED, failure=failure, error=reason)
    assert same_error(parse_event("Failed", f"Error: {reason}"), waiting)
    assert not same_error(parse_event("Failed", "Error: OCI runtime create failed"), waiting)


@pytest.mark.parametrize("reason", ["SomethingNew", "😀", ""])
def test_a_reason_of_one_word_that_nobody_knows_tells_nothing(reason: str) -> None:
    assert parse_waiting(reason, "no such host") == UNKNOWN


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
WAITING_REASONS = st.one_of(st.sampled_from(sorted(MISSING_REASONS)), ANY)
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


def check(message: ImageMessage) -> None:
    """What may be said of any message."""
    message.image.encode()
    for seconds in (message.pull_seconds, message.total_seconds, message.waiting_seconds):
        assert seconds is None or math.isfinite(seconds)


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
@example("RegistryUnavailable", "\ud800")
def test_no_waiting_message_raises(reason: str, text: str) -> None:
    check(parse_waiting(reason, text))


@given(ANY)
def test_no_field_path_raises(path: str) -> None:
    user = parse_field_path(path)
    assert user is None or user.type in ContainerType
