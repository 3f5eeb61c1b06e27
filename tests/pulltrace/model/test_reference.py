import re
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pulltrace.errors import PulltraceError
from pulltrace.model.reference import InvalidReference, Reference

pytestmark = pytest.mark.unit

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"

WORDS = st.text("abz019", min_size=1, max_size=4)
COMPONENTS = st.one_of(WORDS, st.builds("{}{}{}".format, WORDS, st.sampled_from([".", "_", "__", "-", "---"]), WORDS))
PATHS = st.lists(COMPONENTS, min_size=1, max_size=4).map("/".join)
HOSTS = st.one_of(
    st.sampled_from(["localhost", "127.0.0.1", "[::1]", "[2001:db8::A]", "A", "REGISTRY", "a-b.Example.com"]),
    st.builds("{}-{}.{}".format, WORDS, WORDS, WORDS),
)
PORTS = st.one_of(st.just(""), st.integers(0, 99999).map(":{}".format))
REGISTRIES = st.one_of(st.just("docker.io"), st.builds("{}{}".format, HOSTS, PORTS))
TAGS = st.one_of(st.none(), st.builds("{}{}".format, st.sampled_from("aZ0_"), st.text("aZ0_.-", max_size=9)))
DIGESTS = st.one_of(
    st.none(),
    st.builds(
        lambda kind, number: f"{kind[0]}:{number:0{kind[1]}x}",
        st.sampled_from([("sha256", 64), ("sha384", 96), ("sha512", 128)]),
        st.integers(0, 16**64 - 1),
    ),
)


def suffixed(name: str, tag: str | None, digest: str | None) -> str:
    return name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


WRITTEN = st.builds(
    lambda registry, path, tag, digest: suffixed(f"{registry}/{path}", tag, digest), REGISTRIES, PATHS, TAGS, DIGESTS
)

# The grammar once more, as one expression over a name whose registry is written out.
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_PATH = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_GRAMMAR = re.compile(
    rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
    rf"/(?P<path>{_PATH}(?:/{_PATH})*)(?::[a-zA-Z0-9_][a-zA-Z0-9_.-]{{0,127}})?"
    r"(?:@(?:sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128}))?"
)


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("alpine", "docker.io", "library/alpine", None, None),
        ("alpine:3.20", "docker.io", "library/alpine", "3.20", None),
        ("team/app", "docker.io", "team/app", None, None),
        ("docker.io/alpine", "docker.io", "library/alpine", None, None),
        ("docker.io/team/sub/app:1", "docker.io", "team/sub/app", "1", None),
        ("index.docker.io/alpine", "docker.io", "library/alpine", None, None),
        ("index.docker.io/team/app", "docker.io", "team/app", None, None),
        # The host that Docker Hub's registry really answers on is an ordinary registry to every runtime.
        ("registry-1.docker.io/library/alpine", "registry-1.docker.io", "library/alpine", None, None),
        ("docker.io:443/alpine", "docker.io:443", "alpine", None, None),
        ("localhost", "docker.io", "library/localhost", None, None),
        ("localhost:5000", "docker.io", "library/localhost", "5000", None),
        ("localhost/app", "localhost", "app", None, None),
        ("localhost:5000/app:5000", "localhost:5000", "app", "5000", None),
        ("registry:5000/app", "registry:5000", "app", None, None),
        ("registry.example.com", "docker.io", "library/registry.example.com", None, None),
        ("registry.example.com/a/b/c", "registry.example.com", "a/b/c", None, None),
        ("REGISTRY/app", "REGISTRY", "app", None, None),
        ("Registry.Example.Com/app", "Registry.Example.Com", "app", None, None),
        ("10.0.0.1:5000/app", "10.0.0.1:5000", "app", None, None),
        ("[::1]/app", "[::1]", "app", None, None),
        ("[fd00::5]:5000/team/app:1", "[fd00::5]:5000", "team/app", "1", None),
        (f"alpine@{DIGEST}", "docker.io", "library/alpine", None, DIGEST),
        (f"ghcr.io/team/app:v1@{DIGEST}", "ghcr.io", "team/app", "v1", DIGEST),
        (f"app@sha512:{HEX}{HEX}", "docker.io", "library/app", None, f"sha512:{HEX}{HEX}"),
        # No host by the grammar, but a component of a path: the runtime pulls from what stands before the first slash.
        ("docker_test.artifactory.example/app:v1", "docker_test.artifactory.example", "app", "v1", None),
        ("docker_test/app:v1", "docker.io", "docker_test/app", "v1", None),
        ("a/b__c/d---e/f.g", "docker.io", "a/b__c/d---e/f.g", None, None),
        (f"app:{'x' * 128}", "docker.io", "library/app", "x" * 128, None),
        (f"ghcr.io/{'a/' * 127}a", "ghcr.io", "a/" * 127 + "a", None, None),
        (f"docker.io/library/sha256:{HEX}", "docker.io", "library/sha256", HEX, None),
    ],
)
def test_parts(text: str, registry: str, repository: str, tag: str | None, digest: str | None) -> None:
    assert Reference.parse(text) == Reference(registry, repository, tag, digest)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it is empty"),
        (HEX, "it is an image ID, not a name"),
        (DIGEST, "it is an image ID, not a name"),
        ("https://ghcr.io/team/app", "it has a URL scheme"),
        ("ghcr.io/", "it names no repository"),
        ("docker.io/", "it names no repository"),
        (":tag", "it names no repository"),
        (f"@{DIGEST}", "it names no repository"),
        ("ghcr.io//app", "a component of its repository is empty"),
        ("team/app/", "a component of its repository is empty"),
        ("/app", "a component of its repository is empty"),
        ("team/App", "'App' in its repository has upper-case letters"),
        ("Alpine", "'Alpine' in its repository has upper-case letters"),
        ("team/a..b", "'a..b' is not a component of a repository"),
        ("team/a___b", "'a___b' is not a component of a repository"),
        ("team/-app", "'-app' is not a component of a repository"),
        (" alpine", "' alpine' is not a component of a repository"),
        ("alpine\n", "'alpine\\n' is not a component of a repository"),
        ("team/äpp", "'äpp' is not a component of a repository"),
        ("alpine:", "'' is not a tag"),
        ("alpine:-1", "'-1' is not a tag"),
        ("alpine:1:2", "'1:2' is not a tag"),
        (f"alpine:{'x' * 129}", f"'{'x' * 119}…' is not a tag"),
        ("-host.com/app", "'-host.com' is not a registry host with an optional port"),
        ("host.com:port/app", "'host.com:port' is not a registry host with an optional port"),
        ("host..com/app", "'host..com' is not a registry host with an optional port"),
        ("docker_test.example:5000/app", "'docker_test.example:5000' is not a registry host with an optional port"),
        ("_test.example/app", "'_test.example' is not a registry host with an optional port"),
        ("::1/app", "'::1' is not a registry host with an optional port"),
        ("[fe80::1%eth0]/app", "'[fe80::1%eth0]' is not a registry host with an optional port"),
        ("app@", "its digest's algorithm '' is not one of sha256, sha384, sha512"),
        (f"app@md5:{HEX[:32]}", "its digest's algorithm 'md5' is not one of sha256, sha384, sha512"),
        (f"app@SHA256:{HEX}", "its digest's algorithm 'SHA256' is not one of sha256, sha384, sha512"),
        ("app@sha256:0123", "a sha256 digest has 64 lower-case hexadecimal digits"),
        (f"app@sha256:{HEX.upper()}", "a sha256 digest has 64 lower-case hexadecimal digits"),
        (f"app@{DIGEST}\n", "a sha256 digest has 64 lower-case hexadecimal digits"),
        (f"ghcr.io/{'a/' * 127}aa", "its repository has 256 characters, 255 are allowed"),
        (f"{'a' * 248}", "its repository has 256 characters, 255 are allowed"),
    ],
)
def test_refusals_say_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        Reference.parse(text)
    assert caught.value.problem == problem
    assert isinstance(caught.value, PulltraceError)


def test_a_refusal_names_the_reference_and_stays_short() -> None:
    with pytest.raises(InvalidReference, match=r"^invalid image reference 'team/App': 'App' in its repository"):
        Reference.parse("team/App")
    with pytest.raises(InvalidReference) as caught:
        Reference.parse("A" * 100_000)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("alpine", "docker.io"),
        ("localhost:5005/team/app", "localhost"),
        ("[fd00::5]:5000/app", "fd00::5"),
        ("[fd00::5]/app", "fd00::5"),
        ("docker_test.artifactory.example/app", "docker_test.artifactory.example"),
        ("Registry.example.com:443/app", "Registry.example.com"),
    ],
)
def test_host_is_what_containerd_labels_content_with(text: str, host: str) -> None:
    assert Reference.parse(text).host == host


@pytest.mark.parametrize(
    ("text", "requested"),
    [
        ("alpine", "docker.io/library/alpine:latest"),
        ("alpine:3.20", "docker.io/library/alpine:3.20"),
        (f"alpine@{DIGEST}", f"docker.io/library/alpine@{DIGEST}"),
        (f"alpine:3.20@{DIGEST}", f"docker.io/library/alpine@{DIGEST}"),
    ],
)
def test_what_a_runtime_asks_for(text: str, requested: str) -> None:
    assert str(Reference.parse(text).requested) == requested


@given(WRITTEN)
@example("docker.io/index.docker.io/a")
def test_round_trip(text: str) -> None:
    reference = Reference.parse(text)
    assert Reference.parse(str(reference)) == reference
    if reference.registry != "docker.io":
        assert str(reference) == text


@given(
    st.one_of(
        REGISTRIES.filter(lambda registry: registry != "docker.io"), st.builds("{}.{}".format, COMPONENTS, WORDS)
    ),
    PATHS,
    TAGS,
)
def test_what_containerd_pulls_meets_itself(registry: str, path: str, tag: str | None) -> None:
    """containerd asks the host before the first slash, and labels what comes with it and with the path."""
    reference = Reference.parse(suffixed(f"{registry}/{path}", tag, None))
    labelled = urlsplit(f"dummy://{registry}/{path}")
    assert (reference.host.lower(), reference.repository) == (labelled.hostname, labelled.path[1:])
    assert reference.name == f"{registry}/{path}"


@given(COMPONENTS, TAGS, DIGESTS)
@example("localhost", "5000", None)
def test_every_spelling_of_docker_hub_is_one_reference(name: str, tag: str | None, digest: str | None) -> None:
    prefixes = ["", "library/", "docker.io/", "docker.io/library/", "index.docker.io/", "index.docker.io/library/"]
    found = {Reference.parse(suffixed(prefix + name, tag, digest)) for prefix in prefixes}
    assert found == {Reference("docker.io", f"library/{name}", tag, digest)}


@given(st.text())
@example("a:" + "9" * 5000 + "/b")
@example("[" + ":" * 100 + "]/a")
def test_arbitrary_text_gives_a_reference_or_our_own_error(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidReference:
        return
    assert Reference.parse(str(reference)) == reference
    assert reference.host
    assert "/" not in reference.registry


@given(WRITTEN, st.data())
def test_accepts_exactly_what_the_grammar_accepts(text: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(text)))
    removed = data.draw(st.integers(0, 2))
    inserted = data.draw(st.text("aZ0./:@_-[] ", max_size=2))
    spoilt = "reg.example.com:1/" + text[:place] + inserted + text[place + removed :]
    found = _GRAMMAR.fullmatch(spoilt)
    allowed = found is not None and len(found["path"]) <= 255
    try:
        Reference.parse(spoilt)
    except InvalidReference:
        assert not allowed
    else:
        assert allowed


@pytest.mark.parametrize("text", ["a-" * 50_000, "a." * 50_000 + "/", "A-" * 50_000 + "/x", "a__" * 50_000 + "/:"])
def test_long_nonsense_is_refused_in_linear_time(text: str) -> None:
    with pytest.raises(InvalidReference):
        Reference.parse(text)
