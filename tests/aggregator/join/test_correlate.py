"""The join: which pull of a node is for which image that its pods want."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulltrace.clock import NodeTime
from pulltrace.model.pull import ImageKey, Phase
from pulltrace.model.reference import ImageName, image_name, same_image
from pulltrace_aggregator.join.correlate import UNMATCHED, Claim, Match, TagDigests, correlate
from pulltrace_aggregator.model.node import NodePull
from pulltrace_aggregator.model.states import MatchKind, PodPhase
from rig.images import digest
from rig.sample_views import a_pull, an_ended_pull
from rig.simulated_cluster import Cluster

pytestmark = pytest.mark.unit

NOW = 10_000.0
D1, D2, D3 = digest("one"), digest("two"), digest("three")
EXACT, REPOSITORY, AMBIGUOUS = MatchKind.EXACT, MatchKind.REPOSITORY, MatchKind.AMBIGUOUS


def pull(
    name: str = "registry.example/team/app",
    root: str = D1,
    *,
    at: float = NOW,
    refs: tuple[str, ...] = (),
    **more: object,
) -> NodePull:
    registry, _, repository = name.partition("/")
    made = a_pull(repository, references=refs, started_at=at, layers=())
    made = replace(made, key=ImageKey(registry, repository, root), **more)  # type: ignore[arg-type]
    return NodePull("node-1", made, None, 0.0)


def claim(image: str = "registry.example/team/app:1", *, asked: float | None = NOW - 5, **more: object) -> Claim:
    requested_at = None if asked is None else NodeTime(asked)
    since = NodeTime(NOW - 5) if requested_at is None else requested_at
    return replace(Claim(image, image, requested_at, since), **more)  # type: ignore[arg-type]


def nothing(_: ImageName) -> str | None:
    return None


def joined(claims: list[Claim], *pulls: NodePull, taught: Mapping[str, str] | None = None) -> dict[str, Match]:
    taught = {} if taught is None else taught
    found = correlate(claims, pulls, lambda name: taught.get(name.canonical))
    return {str(key): match for key, match in found.items()}


def one(claim: Claim, *pulls: NodePull) -> Match:
    return correlate([claim], pulls, nothing)[claim.key]


# By digest


def test_a_digest_matches_the_same_root_whatever_the_exporter_calls_it() -> None:
    wanted = claim(f"registry.example/team/app@{D1}")
    assert one(wanted, pull(root=D2), pull(root=D1)).pull == pull(root=D1)
    assert one(wanted, pull(root=D1)).kind is EXACT
    assert one(wanted, pull("mirror.example/other/name", root=D1)).kind is EXACT


def test_a_digest_matches_nothing_else() -> None:
    assert one(claim(f"registry.example/team/app@{D3}"), pull(root=D1), pull(root=D2)) == UNMATCHED


def test_with_tag_and_digest_the_digest_counts() -> None:
    wanted = claim(f"registry.example/team/app:1@{D2}")
    tagged = pull(root=D1, refs=("registry.example/team/app:1",))
    assert one(wanted, tagged) == UNMATCHED
    assert one(wanted, tagged, pull(root=D2)).pull == pull(root=D2)


def test_a_digest_in_two_repositories_is_that_of_its_own() -> None:
    wanted = claim(f"registry.example/team/app@{D1}")
    assert one(wanted, pull("registry.example/a/other"), pull()).pull == pull()


# By reference


def test_the_exporters_reference_makes_it_exact() -> None:
    known = pull(refs=("registry.example/team/app:1",))
    assert one(claim(), known) == Match(EXACT, known)


def test_a_pull_of_another_tag_is_no_candidate() -> None:
    assert one(claim(), pull(refs=("registry.example/team/app:2",))) == UNMATCHED


def test_a_reference_by_digest_says_nothing_of_the_tag() -> None:
    assert one(claim(), pull(refs=(f"registry.example/team/app@{D1}",))).kind is REPOSITORY


def test_another_port_is_another_registry() -> None:
    known = pull(refs=("registry.example:5000/team/app:1",))
    assert one(claim("registry.example:5000/team/app:1"), known).kind is EXACT
    assert one(claim("registry.example:6000/team/app:1"), known) == UNMATCHED
    assert one(claim("registry.example:6000/team/app:1"), pull()).kind is REPOSITORY


@pytest.mark.parametrize(
    ("written", "of", "known"),
    [
        ("alpine", "docker.io/library/alpine", "docker.io/library/alpine:latest"),
        ("docker.io/library/alpine:latest", "docker.io/library/alpine", "alpine"),
        ("index.docker.io/alpine", "docker.io/library/alpine", "library/alpine"),
        ("team/app", "docker.io/team/app", "docker.io/team/app:latest"),
        ("Registry.Example/team/app:1", "registry.example/team/app", "registry.example/team/app:1"),
        ("registry.example/team/app:1", "REGISTRY.example/team/app", "REGISTRY.example/team/app:1"),
        ("registry.example:5000/team/app", "registry.example/team/app", "registry.example:5000/team/app:latest"),
        ("localhost:5000/app", "localhost/app", "localhost:5000/app"),
        ("[::1]:5000/app:1", "::1/app", "[::1]:5000/app:1"),
    ],
)
def test_an_image_is_the_same_however_it_is_written(written: str, of: str, known: str) -> None:
    assert one(claim(written), pull(of)).kind is REPOSITORY
    assert one(claim(written), pull(of, refs=(known,))).kind is EXACT


def test_tags_and_repositories_have_case() -> None:
    assert not same_image("a/b:Rc1", "a/b:rc1")
    assert same_image("Reg.Io/b:Rc1", "reg.io/b:Rc1")
    assert image_name("reg.io/B") is None


@pytest.mark.parametrize("text", ["", "UPPER/case", "a b", "x" * 5000, "http://a/b", "a@sha256:1", "\0", "é/é:1"])
def test_an_invalid_reference_matches_nothing(text: str) -> None:
    assert one(claim(text), pull()) == UNMATCHED


# By repository


def test_the_only_pull_of_the_repository_is_it_also_when_it_began_before() -> None:
    early = pull(at=NOW - 100)
    assert one(claim(), early) == Match(REPOSITORY, early)
    assert one(claim(asked=None), early) == Match(REPOSITORY, early)


def test_the_pull_that_began_not_before_the_request_is_taken() -> None:
    early, late = pull(root=D1, at=NOW - 6), pull(root=D2, at=NOW - 4)
    assert one(claim(), early, late) == Match(REPOSITORY, late)
    same_second = pull(root=D3, at=NOW - 5)
    assert one(claim(), early, same_second) == Match(REPOSITORY, same_second)


def test_several_that_all_began_before_are_ambiguous() -> None:
    early, earlier = pull(root=D1, at=NOW - 6), pull(root=D2, at=NOW - 7)
    assert one(claim(), early, earlier) == Match(AMBIGUOUS, candidates=(early, earlier))
    assert one(claim(asked=None), early, earlier).kind is AMBIGUOUS


FIRST, SECOND = (claim(f"registry.example/team/app:{tag}", asked=NOW - 10 + tag) for tag in (1, 2))


def test_two_tags_of_one_repository_pulling_at_once_are_served_in_order() -> None:
    one_, two = pull(root=D1, at=NOW - 7), pull(root=D2, at=NOW - 6)
    found = joined([SECOND, FIRST], two, one_)
    assert found[FIRST.image] == Match(REPOSITORY, one_)
    assert found[SECOND.image] == Match(REPOSITORY, two)


def test_a_second_tag_is_not_served_by_a_pull_that_only_the_first_one_asked_for() -> None:
    running = pull(at=NOW - 7)
    found = joined([FIRST, SECOND], running)
    assert found[FIRST.image] == Match(REPOSITORY, running)
    assert found[SECOND.image] == UNMATCHED
    both = pull(at=NOW - 7, requests=2)
    assert joined([FIRST, SECOND], both)[SECOND.image] == Match(REPOSITORY, both)


def test_one_in_back_off_leaves_the_pull_to_one_that_asks() -> None:
    resting = claim("registry.example/team/app:1", asked=None, trying=False)
    asking = claim("registry.example/team/app:2")
    running = pull()
    assert joined([resting, asking], running)[resting.image] == UNMATCHED
    assert joined([resting], running)[resting.image] == Match(REPOSITORY, running)


def test_a_root_that_is_known_from_several_repositories() -> None:
    shared = pull("registry.example/team/other", repositories=("team/app", "team/other"))
    assert one(claim(), shared) == Match(REPOSITORY, shared)
    own = pull(root=D2)
    assert one(claim(), shared, own) == Match(REPOSITORY, own)


# What was learnt


def test_a_pull_on_another_node_ranks_candidates() -> None:
    one_, two = pull(root=D1, at=NOW - 3), pull(root=D2, at=NOW - 2)
    wanted = claim()
    assert joined([wanted], one_, two, taught={wanted.image: D2})[wanted.image] == Match(REPOSITORY, two)
    early = [pull(root=D1, at=NOW - 9), pull(root=D2, at=NOW - 9)]
    assert joined([wanted], *early, taught={wanted.image: D2})[wanted.image].kind is AMBIGUOUS
    unasked = claim(asked=None)
    assert joined([unasked], *early, taught={wanted.image: D2})[wanted.image].pull == early[1]


def test_a_pull_on_another_node_makes_no_candidate() -> None:
    wanted = claim()
    assert joined([wanted], pull("registry.example/team/other"), taught={wanted.image: D1})[wanted.image] == UNMATCHED


def test_a_tag_that_moved_matches_its_new_digest() -> None:
    wanted = claim()
    moved = pull(root=D2)
    assert joined([wanted], moved, taught={wanted.image: D1})[wanted.image] == Match(REPOSITORY, moved)


def test_two_tags_of_one_digest_are_not_told_apart_by_it() -> None:
    pulls = [pull(root=D1, at=NOW - 5), pull(root=D2, at=NOW - 4)]
    found = joined([FIRST, SECOND], *pulls, taught=dict.fromkeys((FIRST.image, SECOND.image), D1))
    assert [found[tag.image].pull for tag in (FIRST, SECOND)] == pulls


def test_learnt_from_each_success_once_and_the_latest_counts() -> None:
    learnt = TagDigests(limit=2)
    name = image_name("registry.example/team/app:1")
    assert name is not None
    old = an_ended_pull(references=("registry.example/team/app:1",), key=ImageKey("r", "team/app", D1))
    new = replace(old, key=old.key._replace(digest=D2))
    learnt.update("a", [old])
    learnt.update("b", [new])
    learnt.update("a", [old, a_pull()])
    assert learnt.digest_of(name) == D2
    learnt.update("c", [replace(new, references=("x:1",)), replace(old, references=("y:1",))])
    assert learnt.digest_of(name) is None
    learnt.update("d", [replace(new, phase=Phase.FAILED)])
    assert learnt.digest_of(name) is None


# Ended pulls


@pytest.mark.parametrize(("ended", "found"), [(NOW - 4, True), (NOW - 5, True), (NOW - 6, False)])
def test_an_ended_pull_counts_if_it_ended_within_the_attempt(ended: float, found: bool) -> None:
    for refs in ((), ("registry.example/team/app:1",)):
        over = pull(refs=refs, phase=Phase.FAILED, ended_at=ended)
        assert (one(claim(), over).pull is not None) is found
    assert one(claim(evident=False), over) == UNMATCHED


def test_a_running_pull_comes_before_one_that_ended() -> None:
    over = pull(phase=Phase.FAILED, ended_at=NOW, refs=("registry.example/team/app:1",))
    running = pull(root=D2)
    assert one(claim(), over, running).pull == running


def test_an_image_that_has_come_is_nobody_elses_download() -> None:
    done = claim(done=True, asked=None)
    assert one(done, pull()) == UNMATCHED
    own = pull(phase=Phase.SUCCEEDED, ended_at=NOW, refs=("registry.example/team/app:1",))
    assert one(done, pull(root=D2), own) == Match(EXACT, own)


# Through the core


def test_an_ambiguous_match_shows_no_progress_and_the_phase_that_all_have(cluster: Cluster) -> None:
    node = cluster.node()
    node.pull("registry.example/team/app:8", bytes_per_second=1.0)
    node.pull("registry.example/team/app:9", bytes_per_second=1.0)
    cluster.sleep(2)
    pod = cluster.pod()
    pod.pulling()
    cluster.tick()
    row = pod.row()
    assert (row.match, row.phase, row.pull, row.digest) == (AMBIGUOUS, PodPhase.DOWNLOADING, None, "")
    assert row.repository == "team/app"
    node.change("registry.example/team/app:9", phase=Phase.UNPACKING)
    cluster.tick()
    assert pod.row().phase is PodPhase.UNKNOWN


def test_several_pods_and_a_digest_learnt_on_another_node(cluster: Cluster) -> None:
    teacher, node = cluster.node("node-2"), cluster.node()
    teacher.pull("registry.example/team/app:2", content="second")
    teacher.end("registry.example/team/app:2")
    pods = [cluster.pod(name, "registry.example/team/app:2") for name in ("a", "b")]
    for pod in pods:
        pod.pulling()
    cluster.sleep(1)
    node.pull("registry.example/team/app:1", content="first")
    node.pull("registry.example/team/app:2", content="second")
    cluster.tick()
    assert {pod.row().digest for pod in pods} == {digest("second")}


# Whatever comes

TEXTS = st.sampled_from(["a:1", "a:2", "a", f"a@{D1}", f"a:1@{D2}", "b.example/a:1", "B.example/a", "", "no ref"])
TIMES = st.sampled_from([NOW - 9, NOW - 5, NOW - 4.5, NOW])
PULLS = st.builds(
    pull,
    st.sampled_from(["docker.io/library/a", "b.example/a"]),
    st.sampled_from([D1, D2, D3]),
    at=TIMES,
    refs=st.lists(TEXTS, max_size=2).map(tuple),
    phase=st.sampled_from(list(Phase)),
    ended_at=TIMES,
    requests=st.integers(0, 2),
)
CLAIMS = st.builds(
    claim,
    TEXTS,
    asked=st.none() | TIMES,
    evident=st.booleans(),
    trying=st.booleans(),
    done=st.booleans(),
    key=st.integers(0, 100),
)


@given(
    st.lists(CLAIMS, max_size=6, unique_by=lambda each: each.key),
    st.lists(PULLS, max_size=5, unique_by=lambda each: each.key),
    st.dictionaries(TEXTS, st.sampled_from([D1, D2])),
)
def test_every_match_is_of_the_right_image(claims: list[Claim], pulls: list[NodePull], taught: dict[str, str]) -> None:
    found = correlate(claims, pulls, lambda name: taught.get(name.canonical))
    assert found.keys() == {each.key for each in claims}
    for each in claims:
        match, name = found[each.key], image_name(each.image)
        assert (match.pull is not None) == (match.kind in (EXACT, REPOSITORY))
        assert bool(match.candidates) == (match.kind is AMBIGUOUS)
        for candidate in (*match.candidates, *([match.pull] if match.pull else [])):
            assert name is not None
            assert name.digest in (None, candidate.key.digest)
            if name.digest is None and match.kind is not EXACT:
                assert (candidate.key.registry, candidate.key.repository) == (name.host, name.repository)
            if not candidate.running:
                assert each.evident
            else:
                assert not each.done


@given(
    st.lists(CLAIMS, max_size=6, unique_by=lambda each: each.key),
    st.lists(PULLS, max_size=5, unique_by=lambda p: p.key),
)
def test_the_order_of_what_is_told_does_not_matter(claims: list[Claim], pulls: list[NodePull]) -> None:
    there = correlate(claims, pulls, nothing)
    back = correlate(claims[::-1], pulls[::-1], nothing)
    for key, match in there.items():
        assert back[key].kind is match.kind
