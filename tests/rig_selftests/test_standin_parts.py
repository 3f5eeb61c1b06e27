"""The stand-in's own small languages: filters and references."""

import pytest

from rig.standin.filters import BadFilter, parse
from rig.standin.reference import BadReference, Reference

pytestmark = pytest.mark.unit

FIELDS = {
    ("topic",): "/content/create",
    ("namespace",): "k8s.io",
    ("labels", "containerd.io/gc.expire"): "2030-01-01T00:00:00Z",
    ("target", "digest"): "sha256:abc",
}


@pytest.mark.parametrize(
    ("texts", "matches"),
    [
        ([], True),
        ([""], True),
        (['labels."containerd.io/gc.expire"'], True),
        (['labels."containerd.io/gc.flat"'], False),
        (["target.digest==sha256:abc"], True),
        (['target.digest=="sha256:abc"'], True),
        (["target.digest==sha256:abd"], False),
        (["target.digest!=sha256:abd"], True),
        (['topic=="/content/create",namespace==k8s.io'], True),
        (['topic=="/content/create",namespace==default'], False),
        (["namespace==default", "namespace==k8s.io"], True),
        (['topic~="^/content/"'], True),
        (["topic~=/create$/"], True),
        (["topic~=|images|"], False),
    ],
)
def test_filters(texts: list[str], *, matches: bool) -> None:
    assert parse(texts)(FIELDS.get) == matches


@pytest.mark.parametrize("text", ["topic=", "==x", "topic==", "a b", "topic==/x/", "lease.,x", "a==b,"])
def test_bad_filters_are_refused(text: str) -> None:
    with pytest.raises(BadFilter):
        parse([text])


@pytest.mark.parametrize(
    ("text", "name", "source_host"),
    [
        ("redis", "docker.io/library/redis:latest", "docker.io"),
        ("team/app:1", "docker.io/team/app:1", "docker.io"),
        ("localhost:5005/team/app", "localhost:5005/team/app:latest", "localhost"),
        ("[::1]:5005/app:1", "[::1]:5005/app:1", "::1"),
        ("registry.example/app:1@sha256:ab", "registry.example/app@sha256:ab", "registry.example"),
    ],
)
def test_references(text: str, name: str, source_host: str) -> None:
    reference = Reference.parse(text)
    assert (reference.name, reference.source_host) == (name, source_host)


@pytest.mark.parametrize("text", ["", "Team/App", "registry.example/"])
def test_bad_references_are_refused(text: str) -> None:
    with pytest.raises(BadReference):
        Reference.parse(text)
