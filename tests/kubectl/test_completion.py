"""What a shell is offered."""

import pytest

from pulltrace_kubectl.completion import complete

pytestmark = pytest.mark.unit

OBJECTS = {"pods": ["web-1", "web-2", "db"], "nodes": ["node-1"], "deployment": ["web"], "namespaces": ["shop"],
    "contexts": ["dev"], "pod": ["web-1"], "node": ["node-1"]}  # fmt: skip


def offered(*words: str) -> list[str]:
    return complete(words[:-1], words[-1], lambda what: OBJECTS.get(what, []))[0]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("we",), ["web-1", "web-2"]),
        (("-n", "shop", "d"), ["db", "deploy/", "daemonset/"]),
        (("deploy/",), ["deploy/web"]),
        (("deploy", ""), ["web"]),
        (("node", ""), ["node-1"]),
        (("node", "node-1", ""), []),
        (("ima",), ["images\teach image with its nodes"]),
        (("-o", "w"), ["wide"]),
        (("-o=w",), ["-o=wide"]),
        (("--output=w",), ["--output=wide"]),
        (("-n", ""), ["shop"]),
        (("--context", ""), ["dev"]),
        (("--tim",), ["--timeout"]),
        (("-w", "we"), ["web-1", "web-2"]),
    ],
)
def test_candidates(words: tuple[str, ...], found: list[str]) -> None:
    assert offered(*words) == found


def test_files_are_offered_for_files_alone() -> None:
    def nothing(_: str) -> list[str]:
        return []

    assert complete(["--ca-file"], "", nothing)[1] == ":0"
    assert complete([], "", nothing)[1] == ":4"
