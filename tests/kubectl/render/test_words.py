"""How sizes, times, bars and names read."""

import pytest

from pulltrace_kubectl.render import words

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "-"), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (31_000_000, "31 MB"), (4.2e9, "4.2 GB"),
     (999_600, "1.0 MB"), (8.1e12, "8.1 TB")],
)  # fmt: skip
def test_sizes_are_decimal_with_two_or_three_digits(count: float | None, text: str) -> None:
    assert words.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0, "0s"), (-3, "0s"), (59.4, "59s"), (60, "1m"), (125, "2m5s"), (660, "11m"), (3600, "1h"),
     (11_520, "3h12m"), (400_000, "4d15h")],
)  # fmt: skip
def test_times_read_as_kubectl_writes_ages(seconds: float | None, text: str) -> None:
    assert words.duration(seconds) == text


def test_only_what_is_whole_is_a_hundred_percent() -> None:
    assert words.percent(0.999) == "99%"
    assert words.percent(1.0) == "100%"
    assert words.percent(None) == "-"


def test_a_bar_grows_in_eighths_and_never_beyond_its_width() -> None:
    assert words.bar(0.0, 4, unicode=True) == "░░░░"
    assert words.bar(0.30, 4, unicode=True) == "█▏░░"
    assert words.bar(1.7, 4, unicode=True) == "████"
    assert words.bar(None, 4, unicode=True) == "░░░░"
    assert words.bar(0.5, 4, unicode=False) == "##.."


def test_a_digest_is_cut_and_a_tag_is_not() -> None:
    assert words.image("registry.example/app@sha256:" + "a" * 64) == "registry.example/app@sha256:aaaaaaaaaaaa"
    assert words.image("registry.example/app:1.2") == "registry.example/app:1.2"


@pytest.mark.parametrize(
    ("media_type", "text"),
    [
        ("application/vnd.oci.image.layer.v1.tar+gzip", "tar+gzip"),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", "tar.gzip"),
        ("application/wasm", "application/wasm"),
        ("", "-"),
    ],
)
def test_media_types_are_told_by_what_differs(media_type: str, text: str) -> None:
    assert words.media_type(media_type) == text


def test_text_of_strangers_stays_in_its_line() -> None:
    assert words.cell("a\nb") == "a b"
