"""What the stand-in shows of pulls, asked with bare stubs: the facts seen on live daemons."""

import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from rig import images
from rig.node import PullFailed
from rig.registry import Registry
from rig.standin import MIB, V1_6, V1_7, V2_1, Flavour, Layer, StandIn, SyntheticRegistry
from rig.standin.asking import Asking, wait_until
from rig.standin.descriptors import chain_ids

pytestmark = pytest.mark.contract

SOURCE = "containerd.io/distribution.source.127.0.0.1"


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as registry:
        yield registry


@pytest.fixture(params=[V1_6, V1_7, V2_1], ids=lambda flavour: flavour.name)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    flavour: Flavour = request.param
    return flavour


@pytest.fixture
def node(tmp_path: Path, flavour: Flavour) -> Iterator[StandIn]:
    with StandIn(tmp_path / "c", flavour=flavour) as node:
        yield node


@pytest.fixture
def newest(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn(tmp_path / "c") as node:
        yield node


@pytest.fixture
def ask(request: pytest.FixtureRequest) -> Iterator[Asking]:
    used = "node" if "node" in request.fixturenames else "newest"
    with Asking(request.getfixturevalue(used).socket) as asking:
        yield asking


def test_a_pull_is_a_lease_that_comes_first_and_goes_last(node: StandIn, registry: Registry, ask: Asking) -> None:
    image = registry.push(images.build("team/app", (3 * MIB,)))
    reference = image.reference(registry.host)
    silence = registry.hang("team/app")
    pull = node.pull(reference)
    (lease,) = wait_until(ask.leases)
    assert [ask.resources(lease.id, kind) for kind in ("content", "ingests", "snapshots")] == [[], [], []]
    silence.release()
    with node.unpacking.held():
        wait_until(lambda: image.layers[0].digest in ask.resources(lease.id, "content"))
        assert not ask.images()
        assert [each.id for each in ask.leases()] == [lease.id]
    pull.wait()
    assert not ask.leases()
    record = ask.images()[reference]
    assert record.target.digest == image.root.digest
    assert record.updated_at.ToNanoseconds() >= lease.created_at.ToNanoseconds()
    assert set(ask.images()) == {
        reference,
        f"{registry.host}/team/app@{image.root.digest}",
        image.config.digest,
    }


def test_documents_are_bound_together_before_the_first_layer_starts(
    node: StandIn, registry: Registry, ask: Asking
) -> None:
    image = registry.push(images.build("team/app", (2 * MIB, MIB)))
    stalls = [registry.stall(layer.digest) for layer in image.layers]
    pull = node.pull(image.reference(registry.host))
    wait_until(lambda: len(ask.ingests()) == len(image.layers))
    root, manifest = ask.labels(image.root.digest), ask.labels(image.manifest.digest)
    assert root["containerd.io/gc.ref.content.m.0"] == image.manifest.digest
    assert manifest["containerd.io/gc.ref.content.config"] == image.config.digest
    assert manifest["containerd.io/gc.ref.content.l.1"] == image.layers[1].digest
    assert {SOURCE: "team/app"}.items() <= root.items()
    for stall in stalls:
        stall.release()
    pull.wait()
    assert ask.labels(image.layers[0].digest)[SOURCE] == "team/app"
    assert ask.read(image.manifest.digest) == image.manifest.data
    assert ask.read(image.manifest.digest, offset=10, size=5) == image.manifest.data[10:15]


def test_the_source_is_said_last(newest: StandIn, registry: Registry, ask: Asking) -> None:
    newest.runtime.pause = 0.2
    image = registry.push(images.build("team/app"))
    pull = newest.pull(image.reference(registry.host))
    lease = wait_until(ask.leases)[0]
    wait_until(lambda: ask.resources(lease.id, "content") == [image.root.digest])
    assert SOURCE not in ask.labels(image.root.digest)
    wait_until(lambda: SOURCE in ask.labels(image.root.digest))
    pull.wait()


def test_a_blob_of_several_repositories_names_them_sorted(node: StandIn, registry: Registry, ask: Asking) -> None:
    layer = images.layer(64 * 1024, "shared")
    for name in ("team/b", "team/a", "team/b"):
        image = registry.push(images.build(name, (layer,)))
        node.pull(image.reference(registry.host)).wait()
    node.pull(image.reference(registry.local_name)).wait()
    labels = ask.labels(image.root.digest)
    assert (labels[SOURCE], labels["containerd.io/distribution.source.localhost"]) == ("team/b", "team/b")
    assert ask.labels(image.config.digest)[SOURCE] == "team/a,team/b"


def test_a_download_advances_by_whole_mebibytes(node: StandIn, registry: Registry, ask: Asking) -> None:
    image = registry.push(images.build("team/app", (3 * MIB,)))
    layer = image.layers[0]
    stall = registry.stall(layer.digest, 2 * MIB + 5000)
    pull = node.pull(image.reference(registry.host))
    stall.wait_held()
    wait_until(lambda: ask.ingests()[f"layer-{layer.digest}"].offset == 2 * MIB)
    status = ask.ingests()[f"layer-{layer.digest}"]
    assert (status.total, status.expected) == (layer.size, "")
    assert status.started_at.ToNanoseconds() < status.updated_at.ToNanoseconds()
    stall.release()
    pull.wait()
    assert not ask.ingests()


def test_the_snapshot_is_prepared_before_the_download_ends(node: StandIn, registry: Registry, ask: Asking) -> None:
    image = registry.push(images.build("team/app", (MIB, MIB)))
    chains = list(chain_ids(list(image.diff_ids)))
    stall = registry.stall(image.layers[1].digest, 1000)
    pull = node.pull(image.reference(registry.host))
    lease = wait_until(ask.leases)[0]

    def second_prepared() -> str | None:
        held = ask.resources(lease.id, "snapshots")
        return next((key for key in held if key.startswith("extract-") and key.endswith(chains[1])), None)

    key = wait_until(second_prepared)
    assert ask.stat(key).parent == chains[0]
    assert chains[0] in ask.resources(lease.id, "snapshots")
    uncompressed = "containerd.io/uncompressed"
    assert ask.labels(image.layers[0].digest)[uncompressed] == image.diff_ids[0]
    stall.release()
    pull.wait()
    assert {info.name for info in ask.snapshots()} == set(chains)
    assert ask.labels(image.config.digest)["containerd.io/gc.ref.snapshot.overlayfs"] == chains[1]


def test_a_second_pull_of_the_same_image_waits_with_content_and_no_ingests(
    node: StandIn, registry: Registry, ask: Asking
) -> None:
    image = registry.push(images.build("team/app", (MIB,)))
    stall = registry.stall(image.layers[0].digest, 1000)
    pulls = [node.pull(image.reference(registry.host)) for _ in range(2)]
    stall.wait_held()
    leases = wait_until(lambda: len(found := ask.leases()) == 2 and found)
    documents = sorted(blob.digest for blob in (image.root, image.manifest, image.config))
    wait_until(lambda: all(ask.resources(lease.id, "content") == documents for lease in leases))
    ref = f"layer-{image.layers[0].digest}"
    assert sorted(ask.resources(lease.id, "ingests") for lease in leases) == [[], [ref]]
    stall.release()
    for pull in pulls:
        pull.wait()
    assert registry.sent(image.layers[0].digest) == image.layers[0].size


def test_a_layer_that_two_pulls_share_is_fetched_once(node: StandIn, registry: Registry, ask: Asking) -> None:
    shared = images.layer(2 * MIB, "shared")
    first = registry.push(images.build("team/first", (MIB, shared)))
    second = registry.push(images.build("team/second", (shared, MIB)))
    digest = second.layers[0].digest
    stall = registry.stall(digest, MIB)
    pulls = [node.pull(first.reference(registry.host))]
    stall.wait_held()
    pulls.append(node.pull(second.reference(registry.host)))
    wait_until(lambda: len(ask.leases()) == 2)
    registry.wait_requested(second.config.digest)
    holders = [lease for lease in ask.leases() if f"layer-{digest}" in ask.resources(lease.id, "ingests")]
    assert len(holders) == 1
    stall.release()
    for pull in pulls:
        pull.wait()
    assert registry.sent(digest) == second.layers[0].size
    assert sum(request.target == digest for request in registry.requests) == 1


def test_layers_whose_chain_is_there_are_not_fetched(node: StandIn, registry: Registry, ask: Asking) -> None:
    base = images.layer(MIB, "base")
    node.pull(registry.push(images.build("team/base", (base,))).reference(registry.host)).wait()
    image = registry.push(images.build("team/app", (base, MIB)))
    stall = registry.stall(image.layers[1].digest)
    pull = node.pull(image.reference(registry.host))
    stall.wait_held()
    lease = ask.leases()[0]
    assert image.layers[0].digest not in ask.resources(lease.id, "content")
    present = next(chain_ids(list(image.diff_ids))) in ask.resources(lease.id, "snapshots")
    assert present == (node.name != "standin-1.6")
    stall.release()
    pull.wait()
    assert sum(request.target == image.layers[0].digest for request in registry.requests) == 1


@pytest.mark.parametrize(("flavour", "shown"), [(V1_7, 3), (V2_1, 5)], ids=["1.7", "2.1"])
def test_a_layer_that_waits_for_a_slot_has_an_ingest_from_2_1_on(
    tmp_path: Path, registry: Registry, flavour: Flavour, shown: int
) -> None:
    image = registry.push(images.build("team/app", [MIB] * 5))
    stalls = [registry.stall(layer.digest) for layer in image.layers]
    with StandIn(tmp_path / "c", flavour=flavour) as node, Asking(node.socket) as ask:
        pull = node.pull(image.reference(registry.host))
        wait_until(lambda: len(ask.ingests()) == shown)
        fetching = {request.target for request in registry.requests} & {layer.digest for layer in image.layers}
        assert len(fetching) <= 3
        for stall in stalls:
            stall.release()
        pull.wait()


def test_a_cancelled_pull_leaves_its_ingest_and_the_next_one_resumes(
    node: StandIn, registry: Registry, ask: Asking
) -> None:
    image = registry.push(images.build("team/app", (4 * MIB,)))
    layer = image.layers[0]
    stall = registry.stall(layer.digest, 2 * MIB)
    pull = node.pull(image.reference(registry.host))
    wait_until(lambda: f"layer-{layer.digest}" in ask.ingests())
    wait_until(lambda: ask.ingests()[f"layer-{layer.digest}"].offset == 2 * MIB)
    pull.cancel()
    assert not ask.leases()
    assert ask.ingests()[f"layer-{layer.digest}"].offset == 2 * MIB
    with pytest.raises(PullFailed, match="context canceled"):
        pull.wait()
    stall.release()
    node.pull(image.reference(registry.host)).wait()
    offsets = [request.offset for request in registry.requests if request.target == layer.digest]
    assert offsets == [0, 2 * MIB]
    assert registry.sent(layer.digest) == layer.size


def test_a_cut_connection_is_taken_up_where_it_broke(node: StandIn, registry: Registry) -> None:
    image = registry.push(images.build("team/app", (3 * MIB,)))
    layer = image.layers[0]
    registry.cut(layer.digest, MIB + 777)
    node.pull(image.reference(registry.host)).wait()
    offsets = [request.offset for request in registry.requests if request.target == layer.digest]
    assert offsets == [0, MIB + 777]
    assert registry.sent(layer.digest) == layer.size


@pytest.mark.parametrize(("status", "text"), [(404, "not found"), (401, "pull access denied"), (500, "500")])
def test_a_pull_that_does_not_resolve_leaves_no_trace(
    newest: StandIn, registry: Registry, ask: Asking, status: int, text: str
) -> None:
    image = registry.push(images.build("team/app"))
    registry.deny("team/app", status)
    with pytest.raises(PullFailed, match=text):
        newest.pull(image.reference(registry.host)).wait()
    assert not ask.leases()
    assert not ask.images()
    assert not ask.ingests()


def test_a_layer_that_is_refused_fails_the_pull_and_leaves_the_rest(
    node: StandIn, registry: Registry, ask: Asking
) -> None:
    image = registry.push(images.build("team/app", (MIB, MIB)))
    registry.deny(image.layers[1].digest, 404)
    with pytest.raises(PullFailed, match=f"could not fetch content descriptor {image.layers[1].digest}"):
        node.pull(image.reference(registry.host)).wait()
    assert not ask.leases()
    assert not ask.images()
    assert ask.info(image.root.digest).size == image.root.size


def test_a_pull_of_what_is_there_moves_the_record(node: StandIn, registry: Registry, ask: Asking) -> None:
    image = registry.push(images.build("team/app"))
    reference = image.reference(registry.host)
    node.pull(reference).wait()
    before = ask.images()[reference]
    node.pull(reference).wait()
    after = ask.images(f"target.digest=={image.root.digest}")[reference]
    assert after.created_at == before.created_at
    assert after.updated_at.ToNanoseconds() > before.updated_at.ToNanoseconds()
    assert registry.sent(image.layers[0].digest) == image.layers[0].size


@pytest.mark.parametrize("docker", [False, True], ids=["oci", "docker"])
@pytest.mark.parametrize("index", [False, True], ids=["manifest", "index"])
def test_every_form_of_image_is_pulled_by_tag_and_digest(
    newest: StandIn, registry: Registry, ask: Asking, *, docker: bool, index: bool
) -> None:
    twice = images.layer(64 * 1024, "twice")
    image = registry.push(images.build("team/app", (twice, MIB, twice), docker=docker, index=index))
    newest.pull(image.digest_reference(registry.host)).wait()
    newest.pull(image.reference(registry.host)).wait()
    assert image.digest_reference(registry.host) in ask.images()
    assert len(ask.snapshots()) == 3
    assert sum(request.target == image.layers[0].digest for request in registry.requests) == 1


def test_a_layer_of_no_bytes_is_refused(newest: StandIn, registry: Registry, ask: Asking) -> None:
    source = SyntheticRegistry()
    source.publish("registry.example/team/empty", [Layer("a", MIB), Layer("empty", 0)])
    newest.runtime.source = source
    with pytest.raises(PullFailed, match="content size of zero"):
        newest.pull("registry.example/team/empty").wait()
    assert not ask.leases()


def test_a_killed_client_leaves_its_lease(node: StandIn, registry: Registry, ask: Asking) -> None:
    image = registry.push(images.build("team/app", (2 * MIB, MIB)))
    stall = registry.stall(image.layers[0].digest, MIB)
    kill = node.client_pull(image.reference(registry.host))
    stall.wait_held()
    kill()
    (lease,) = ask.leases()
    assert f"layer-{image.layers[0].digest}" in ask.resources(lease.id, "ingests")
    stall.release()
    node.pull(image.reference(registry.host)).wait()
    assert [each.id for each in ask.leases()] == [lease.id]
    assert f"layer-{image.layers[0].digest}" in ask.resources(lease.id, "ingests")


def test_a_client_that_lives_ends_its_pull_with_a_record(newest: StandIn, registry: Registry, ask: Asking) -> None:
    image = registry.push(images.build("team/app", (MIB, MIB)))
    newest.client_pull(image.reference(registry.host))
    wait_until(lambda: image.reference(registry.host) in ask.images() and not ask.leases())
    assert len(ask.snapshots()) == 2


def test_an_import_holds_content_without_a_source(
    newest: StandIn, registry: Registry, ask: Asking, tmp_path: Path
) -> None:
    image = images.build("team/app", (MIB,))
    archive = images.write_archive(image, tmp_path / "image.tar", "registry.example/team/app:1")
    with newest.importing.held():
        work = newest.begin_import(archive)
        lease = wait_until(ask.leases)[0]
        wait_until(lambda: ask.resources(lease.id, "ingests"))
    with newest.unpacking.held():
        wait_until(lambda: image.root.digest in {each.target.digest for each in ask.images().values()})
        unpacking = wait_until(lambda: [each for each in ask.leases() if each.id != lease.id])[0]
        wait_until(lambda: ask.resources(unpacking.id, "snapshots"))
        assert not ask.resources(unpacking.id, "content")
        assert not any(key.startswith("containerd.io/distribution") for key in ask.labels(image.root.digest))
    work.wait()
    assert not ask.leases()
    assert "registry.example/team/app:1" in ask.images()


def test_leases_that_are_no_pulls(newest: StandIn, ask: Asking) -> None:
    newest.add_sandbox("sandbox")
    drop = newest.hold_lease("start")
    assert [lease.id for lease in ask.leases()] == ["start"]
    assert [lease.id for lease in ask.leases("id==sandbox")] == ["sandbox"]
    assert not ask.resources("start", "content")
    drop()
    assert not ask.leases()


def test_removing_an_image_takes_its_blobs(node: StandIn, registry: Registry, ask: Asking) -> None:
    image = registry.push(images.build("team/app"))
    kept = registry.push(images.build("team/kept"))
    for each in (image, kept):
        node.pull(each.reference(registry.host)).wait()
    node.remove_image(image.reference(registry.host))
    assert {record.target.digest for record in ask.images().values()} == {kept.root.digest}
    with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
        ask.info(image.layers[0].digest)
    assert ask.info(kept.layers[0].digest).size == kept.layers[0].size
    node.pull(image.reference(registry.host)).wait()


def test_a_blob_of_another_namespace_is_not_fetched(newest: StandIn, registry: Registry, ask: Asking) -> None:
    image = registry.push(images.build("team/app", (MIB,)))
    newest.pull(image.reference(registry.host)).wait()
    with newest.records.lock:
        newest.records.namespaces["other"] = newest.records.namespaces.pop("k8s.io")
    newest.pull(image.reference(registry.host)).wait()
    with Asking(newest.socket, "other") as other:
        first = other.info(image.layers[0].digest).created_at.ToNanoseconds()
    assert ask.info(image.layers[0].digest).created_at.ToNanoseconds() > first
    assert sum(request.target == image.layers[0].digest for request in registry.requests) == 1


def test_unpacked_layers_may_be_discarded(tmp_path: Path, registry: Registry) -> None:
    flavour = Flavour("standin", "2.1.9", discards_unpacked_layers=True)
    image = registry.push(images.build("team/app", (MIB,)))
    with StandIn(tmp_path / "c", flavour=flavour) as node, Asking(node.socket) as ask:
        node.pull(image.reference(registry.host)).wait()
        node.collect_garbage()
        with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
            ask.info(image.layers[0].digest)
        assert ask.info(image.config.digest).size == image.config.size
        node.pull(image.reference(registry.host)).wait()
    assert sum(request.target == image.layers[0].digest for request in registry.requests) == 1


def test_a_remote_snapshotter_downloads_nothing(tmp_path: Path, registry: Registry) -> None:
    image = registry.push(images.build("team/app", (MIB, MIB)))
    with StandIn(tmp_path / "c", snapshotter="stargz", remotely=lambda _: True) as node, Asking(node.socket) as ask:
        node.pull(image.reference(registry.host)).wait()
        assert len(ask.snapshots("stargz")) == 2
        with pytest.raises(grpc.RpcError, match="snapshotter not loaded"):
            ask.snapshots()
    assert not registry.sent(image.layers[0].digest)


def test_several_layers_may_be_unpacked_at_once(tmp_path: Path, registry: Registry) -> None:
    flavour = Flavour("standin", "2.2.0", opens_ingests_early=True, unpacks=3)
    image = registry.push(images.build("team/app", [MIB] * 4))
    with StandIn(tmp_path / "c", flavour=flavour) as node, Asking(node.socket) as ask:
        with node.unpacking.held():
            pull = node.pull(image.reference(registry.host))
            prepared = wait_until(lambda: len(found := ask.snapshots()) >= 3 and found)
            assert {info.parent for info in prepared} == {""}
        pull.wait()
        parents = {info.name: info.parent for info in ask.snapshots()}
    chains = list(chain_ids(list(image.diff_ids)))
    assert [parents[chain] for chain in chains] == ["", *chains[:-1]]


def test_a_layer_may_be_fetched_in_pieces(tmp_path: Path, registry: Registry) -> None:
    flavour = Flavour("standin", "2.1.9", opens_ingests_early=True, fetch_buffer=MIB)
    image = registry.push(images.build("team/app", (5 * MIB,)))
    layer = image.layers[0]
    registry.throttle(8 * MIB)
    seen = []
    with StandIn(tmp_path / "c", flavour=flavour) as node, Asking(node.socket) as ask:
        pull = node.pull(image.reference(registry.host))
        while not pull.done:
            seen += [status.offset for ref, status in ask.ingests().items() if ref == f"layer-{layer.digest}"]
        pull.wait()
        assert ask.read(layer.digest) == layer.data
    assert seen == sorted(seen)
    offsets = {request.offset for request in registry.requests if request.target == layer.digest}
    assert offsets == {number * MIB for number in range(6)}


def test_a_synthetic_image_of_any_size_costs_no_bytes(newest: StandIn, ask: Asking, tmp_path: Path) -> None:
    source = SyntheticRegistry()
    layers = [Layer(f"layer {number}", 10**10 + number) for number in range(3)]
    source.publish("registry.example/team/huge:1", layers, bandwidth=lambda seconds: 4e9 if seconds < 0.3 else 1e12)
    newest.runtime.source = source
    newest.runtime.unpack_seconds = lambda _: 0.0
    pull = newest.pull("registry.example/team/huge:1")
    status = wait_until(lambda: next((each for each in ask.ingests().values() if each.offset >= MIB), None))
    assert status.offset % MIB == 0
    pull.wait()
    assert ask.info(layers[2].descriptor.digest).size == 10**10 + 2
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 100_000


def test_no_thread_outlives_the_daemon(tmp_path: Path, registry: Registry) -> None:
    image = registry.push(images.build("team/app", [MIB] * 3))
    before = threading.active_count()
    node = StandIn(tmp_path / "c")
    stall = registry.stall(image.layers[0].digest)
    node.pull(image.reference(registry.host))
    node.client_pull(image.reference(registry.local_name))
    stall.wait_held()
    node.close()
    wait_until(lambda: threading.active_count() <= before)
    assert not (tmp_path / "c").exists()
