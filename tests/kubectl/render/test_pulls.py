"""Single pulls, where a reader would miss a word."""

import pytest

from pulltrace_kubectl.model.pulls import Pull
from pulltrace_kubectl.render.pulls import amount

pytestmark = pytest.mark.unit


def test_an_image_that_was_left_unfetched_is_not_told_as_a_small_one() -> None:
    pull = Pull(
        "registry.example", "ai/llm", "sha256:a1", "succeeded", {}, size=30_000_000_500, cached=0, downloaded=500,
        remote=30_000_000_000, snapshotter="soci", ended_age=10.0,
    )  # fmt: skip
    assert amount(pull) == "500 B of 500 B (and 30 GB by SOCI)"
