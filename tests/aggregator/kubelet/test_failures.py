import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.pull_cases import CASES, PATIENCE_CASES, SMALL_DISK_CASES
from aggregator.pull_failures import collect
from pulltrace_aggregator.kubelet.failures import LONGEST, RULES, classify, without_names
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
@pytest.mark.parametrize(("reason", "pattern"), [(rule.reason, each) for rule in RULES for each in rule.patterns])
def test_every_pattern_was_seen(reason: str, pattern: str) -> None:
    """A pattern matches a known text of its reason. Without one it is not needed, or an earlier rule hides it."""
    texts = [without_names(entry["text"]) for entry in known() if entry["reason"] == reason]
    assert any(re.search(pattern, text, re.IGNORECASE) for text in texts)


@pytest.mark.unit
def test_a_page_of_html_does_not_drown_what_stands_before_it() -> None:
    page = "<p>words</p> " * LONGEST + "dial tcp: lookup registry: no such host"
    assert classify(f"unexpected status from GET request to x: 403 Forbidden\n{page}") == "unauthorized"


@pytest.mark.unit
@given(st.sampled_from(known()), st.integers(0, 400), st.integers(0, 400), ANY)
def test_no_mutation_of_a_text_raises(entry: dict[str, str], start: int, end: int, piece: str) -> None:
    text = entry["text"][:start] + piece + entry["text"][end:]
    assert parse_event("Failed", f'Failed to pull image "a": {text}').failure in {*FailureReason}


PREFIXES = st.sampled_from(
    [
        "",
        "rpc error: code = Unknown desc = Error response from daemon: ",
        'rpc error: code = Unknown desc = failed to pull and unpack image "not-found.example/denied:429": ',
        'failed to resolve reference "not-found.example/denied:429": failed to do request: Head "https://x509.test/": ',
    ]
)
WORDS = st.lists(st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=9), min_size=1, max_size=5).map(" ".join)
PORTS = st.integers(1, 65535)
ADDRESSES = st.one_of(
    st.builds("{}:{}".format, st.ip_addresses(v=4), PORTS), st.builds("[{}]:{}".format, st.ip_addresses(v=6), PORTS)
)
PLATFORMS = st.builds(
    "{}/{}{}".format,
    st.sampled_from(["linux", "windows", "freebsd"]),
    st.sampled_from(["amd64", "arm", "arm64", "ppc64le", "s390x", "riscv64", "loong64"]),
    st.sampled_from(["", "/v6", "/v7", "/v8"]),
)


@pytest.mark.unit
@given(PREFIXES, st.sampled_from(["connect", "connectex", "bind"]), ADDRESSES, WORDS)
def test_a_connection_that_cannot_be_made_is_the_registrys_whatever_the_system_says(
    prefix: str, call: str, address: str, error: str
) -> None:
    assert classify(f"{prefix}dial tcp {address}: {call}: {error}") == "registry_unavailable"


@pytest.mark.unit
@given(PREFIXES, st.sampled_from(["read: ", "write: ", "wsarecv: ", "wsasend: "]), ADDRESSES, ADDRESSES, WORDS)
def test_a_connection_that_breaks_is_the_registrys_whatever_the_system_says(
    prefix: str, call: str, ours: str, theirs: str, error: str
) -> None:
    verb = "write" if call in ("write: ", "wsasend: ") else "read"
    assert classify(f"{prefix}{verb} tcp {ours}->{theirs}: {call}{error}") == "registry_unavailable"


@pytest.mark.unit
@given(PREFIXES, ADDRESSES, st.sampled_from(["dial tcp {}: connectex: ", "read tcp 10.0.0.1:9->{}: wsarecv: "]), WORDS)
def test_windows_says_that_nobody_responded(prefix: str, address: str, call: str, more: str) -> None:
    text = call.format(address) + "A connection attempt failed because the connected party did not properly respond "
    assert classify(prefix + text + more) == "timeout"


@pytest.mark.unit
@given(PREFIXES, PLATFORMS, st.booleans())
def test_no_image_for_a_platform_is_none(prefix: str, platform: str, nested: bool) -> None:
    system, machine = platform.split("/")[:2]
    behind = ": no match for platform in manifest: not found" if nested else ""
    for text in (
        f"no matching manifest for {platform} in the manifest list entries{behind}",
        f'choosing image instance: no image found in manifest list for architecture {machine}, variant "", OS {system}',
        f'no image found in image index for architecture "{machine}", variant "v8", OS "{system}"',
    ):
        assert classify(prefix + text) == "not_found"


@pytest.mark.unit
@given(
    PREFIXES,
    st.one_of(
        st.sampled_from([(401, "unauthorized"), (403, "unauthorized"), (407, "unauthorized"), (404, "not_found")]),
        st.sampled_from([(408, "timeout"), (429, "rate_limited")]),
        st.integers(500, 599).map(lambda status: (status, "registry_unavailable")),
    ),
    st.sampled_from(
        [
            "unexpected status from GET request to https://registry.example/v2/team/app/manifests/1: {} Words",
            "pulling from host registry.example failed with status code [manifests 1]: {} Words",
            "error parsing HTTP {} response body: invalid character '<' looking for beginning of value",
            "received unexpected HTTP status: {} Words",
            'Error: Status {} trying to pull repository team/app: "page"',
            "StatusCode: {}, page",
        ]
    ),
)
def test_an_http_status_gives_the_reason_in_whatever_form_it_is_told(
    prefix: str, status: tuple[int, str], form: str
) -> None:
    assert classify(prefix + form.format(status[0])) == status[1]


@pytest.mark.unit
@given(
    PREFIXES,
    st.sampled_from(
        [
            'failed to update image store "sha256:{0}": get image info from containerd: content digest sha256:{0}: ',
            "failed to get reader from content store: blob sha256:{0} expected at /var/lib/x: blob ",
            'snapshot "{0}" does not exist: ',
            'lease "{0}": ',
            "rejecting {1} byte manifest for registry.example/team/app:1: ",
            "unexpected media type text/html for sha256:{0}: ",
        ]
    ),
    st.text("0123456789abcdef", min_size=64, max_size=64),
    st.integers(4 << 20, 1 << 40),
)
def test_a_file_missing_on_the_node_is_not_a_missing_image(prefix: str, form: str, digest: str, size: int) -> None:
    assert classify(f"{prefix}{form.format(digest, size)}not found") == "other"


@pytest.mark.unit
@given(
    st.sampled_from(["code = NotFound", "code = Unknown"]),
    st.sampled_from(["", "registry.example/", "registry.example:5000/"]),
    st.lists(st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=9), min_size=1, max_size=3).map("/".join),
)
def test_a_reference_that_a_registry_does_not_know_is_not_found(code: str, registry: str, path: str) -> None:
    for what in (f"{registry}{path}:1", f"{registry}{path}@sha256:{'0' * 64}"):
        resolved = f'failed to pull and unpack image "{what}": failed to resolve reference "{what}": {what}: not found'
        assert classify(f"rpc error: {code} desc = {resolved}") == "not_found"


@pytest.mark.unit
@given(st.sampled_from(["{}: There is not enough space on the disk.", "write {}: no space left on device"]), WORDS)
def test_a_full_disk_is_one_wherever_it_shows(form: str, where: str) -> None:
    for prefix in ("", "failed to register layer: re-exec error: exit status 1: output: ", "failed to extract layer: "):
        assert classify(prefix + form.format(where)) == "disk_full"


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
