import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aggregator.pull_cases import CASES, PATIENCE_CASES, SMALL_DISK_CASES
from aggregator.pull_failures import collect
from pulltrace_aggregator.kubelet.failures import LONGEST, RULES, classify
from pulltrace_aggregator.kubelet.messages import parse_event, parse_waiting
from pulltrace_aggregator.model.states import FailureReason
from rig import debian, needs

DATA = Path(__file__).parents[1] / "data"
UNKNOWN_CODE = "rpc error: code = Unknown desc = "
ANY = st.text(st.characters(codec=None))


@cache
def known() -> tuple[dict[str, str], ...]:
    """Every text of the data files with its reason."""
    files = (DATA / "containerd.toml", DATA / "registries.toml")
    return tuple(entry for file in files for entry in tomllib.loads(file.read_text())["failure"])


def named(entry: dict[str, str]) -> str:
    return entry.get("from") or f"{entry['version']}-{entry['case']}"


def variants(text: str) -> tuple[str, ...]:
    """What kubelets make of a runtime's error: newer ones leave `code = Unknown` out, each pull secret adds one."""
    return text, text.removeprefix(UNKNOWN_CODE), f"[{text}, {text}]"


def check(text: str, reason: str) -> None:
    """The text has this reason wherever the kubelet says it."""
    for error in variants(text):
        failed = parse_event("Failed", f'Failed to pull image "timeout:429": {error}')
        assert failed.failure == reason, error
        assert parse_waiting("ErrImagePull", error).failure == reason, error
        backing_off = f'Back-off pulling image "timeout:429": ErrImagePull: {error}'
        assert parse_waiting("ImagePullBackOff", backing_off).failure == reason, error


@pytest.mark.unit
@pytest.mark.parametrize("entry", known(), ids=named)
def test_collected_texts(entry: dict[str, str]) -> None:
    check(entry["text"], entry["reason"])


@pytest.mark.unit
def test_every_reason_has_a_text() -> None:
    assert {entry["reason"] for entry in known()} == {*FailureReason}


@pytest.mark.unit
def test_the_reasons_are_those_of_the_metric() -> None:
    assert sorted(FailureReason) == [
        "canceled",
        "disk_full",
        "dns",
        "invalid_name",
        "kubelet_rate_limit",
        "never_pull",
        "not_found",
        "other",
        "rate_limited",
        "registry_unavailable",
        "signature",
        "timeout",
        "tls",
        "unauthorized",
    ]


@pytest.mark.unit
@pytest.mark.parametrize(("reason", "pattern"), [(rule.reason, each) for rule in RULES for each in rule.patterns])
def test_every_pattern_was_seen(reason: str, pattern: str) -> None:
    """In a text of that reason: what nobody says is no rule, and what an earlier rule hides is none either."""
    texts = [entry["text"] for entry in known() if entry["reason"] == reason]
    assert any(re.search(pattern, text, re.IGNORECASE) for text in texts)


@pytest.mark.unit
@pytest.mark.parametrize(
    ("reason", "message", "expected"),
    [
        ("ErrImageNeverPull", 'Container image "a" is not present with pull policy of Never', FailureReason.NEVER_PULL),
        (
            "InvalidImageName",
            'Failed to apply default image tag "A": invalid reference format',
            FailureReason.INVALID_NAME,
        ),
        ("InvalidImageName", "", FailureReason.INVALID_NAME),
        ("SignatureValidationFailed", "image pull failed for a because the signature validation failed", "signature"),
        ("RegistryUnavailable", "image pull failed for a because the registry is unavailable.", "registry_unavailable"),
        ("RegistryUnavailable", "image pull failed for a because the registry is unavailable: i/o timeout", "timeout"),
        ("RegistryUnavailable", "in words of its own", "registry_unavailable"),
        ("ImagePullBackOff", 'Back-off pulling image "denied"', None),  # until 1.31 the kubelet does not say why
        ("ImagePullBackOff", "in words of its own", None),
        ("ImagePullBackOff", "in words of its own: 429 Too Many Requests", "rate_limited"),
        ("ImagePullBackOff", 'Back-off pulling image "a": in words of its own', "other"),
        (
            "ImageInspectError",
            'Failed to inspect image "a": rpc error: code = Unavailable desc = transport is closing',
            "other",
        ),
        ("ImageVolumeMountFailed", "no space left on device", "disk_full"),
        ("ErrImagePull", "", None),
        ("ContainerCreating", "", None),
        ("CrashLoopBackOff", "access denied", None),
    ],
)
def test_waiting_containers(reason: str, message: str, expected: str | None) -> None:
    assert parse_waiting(reason, message).failure == expected


@pytest.mark.unit
@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("Pulling", 'Pulling image "denied"'),
        ("Pulled", 'Container image "denied" already present on machine'),
        ("Failed", "Error: ErrImagePull"),
        ("BackOff", 'Back-off pulling image "denied"'),
    ],
)
def test_events_that_tell_of_no_failure_of_their_own(reason: str, message: str) -> None:
    assert parse_event(reason, message).failure is None


@pytest.mark.unit
def test_a_page_of_html_does_not_drown_what_stands_before_it() -> None:
    page = "<p>words</p> " * LONGEST + "dial tcp: lookup registry: no such host"
    assert classify(f"unexpected status from GET request to x: 403 Forbidden\n{page}") == "unauthorized"


@pytest.mark.unit
@given(ANY, ANY)
@example("RegistryUnavailable", "\ud800")
def test_no_text_raises(reason: str, text: str) -> None:
    assert classify(text) in FailureReason
    assert parse_waiting(reason, text).failure in {None, *FailureReason}


@pytest.mark.unit
@given(st.sampled_from(known()), st.integers(0, 400), st.integers(0, 400), ANY)
def test_no_mutation_of_a_text_raises(entry: dict[str, str], start: int, end: int, piece: str) -> None:
    text = entry["text"][:start] + piece + entry["text"][end:]
    assert parse_event("Failed", f'Failed to pull image "a": {text}').failure in {*FailureReason}


@pytest.mark.integration
@pytest.mark.timeout(300)
@pytest.mark.parametrize("label", debian.CONTAINERD)
def test_what_real_containerds_say(label: str) -> None:
    needs.containerd(label)
    slow = label == max(debian.CONTAINERD)
    failures = list(collect(label, slow=slow))
    possible = {case.name for case in (*CASES, *SMALL_DISK_CASES, *PATIENCE_CASES) if label not in case.not_on}
    assert {failure.case for failure in failures} >= possible - {"tls-handshake"}
    for failure in failures:
        check(failure.text, failure.reason)
