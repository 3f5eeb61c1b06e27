"""Pulls by SOCI, real or imitated: all bytes with its folder, and nothing made up without it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from rig import needs
from rig.exporter import RunningExporter
from rig.go_programs import parts
from rig.images import KIB, MIB, Image
from rig.invariants import layer_size
from rig.mini_cluster import mini_cluster
from rig.node import PullFailed
from rig.node_setup import NodeSetup, node_setup
from rig.scrape import Scrape
from rig.soci import LABEL, NAME, Snapshotter, SociNode, SociSettings, indexed
from rig.standin import Parallel, StandIn

BLOCK = 4 * KIB


@dataclass(frozen=True, slots=True)
class Soci:
    """A node that pulls by SOCI."""

    setup: NodeSetup
    snapshotter: Snapshotter | Parallel
    behind: int
    """How far what is seen may be behind what the registry's socket took: the buffers of both sides."""

    def watching(self) -> RunningExporter:
        """An exporter that is shown the snapshotter's folder."""
        return self.setup.exporter(f"--soci.directory={self.snapshotter.unpack}")


@contextmanager
def real(folder: Path, settings: SociSettings | None = None) -> Iterator[Soci]:
    needs.containerd(LABEL)
    needs.built(parts.SOCI)
    with SociNode.made(settings) as node, node_setup(node, "soci", folder) as setup:
        yield Soci(setup, node.soci, behind=64 * KIB)


@contextmanager
def imitated(folder: Path, settings: SociSettings | None = None) -> Iterator[Soci]:
    parallel = Parallel(folder / "soci", stores=not (settings and settings.discard))
    with StandIn(folder / "c", remote=parallel) as node, node_setup(node, "soci", folder) as setup:
        yield Soci(setup, parallel, behind=MIB)


IMITATED = pytest.param(imitated, marks=pytest.mark.contract)
REAL = pytest.param(real, marks=[pytest.mark.integration, pytest.mark.xdist_group("soci")])
on_both = pytest.mark.parametrize("made", [IMITATED, REAL])
on_the_real_one = pytest.mark.parametrize("made", [REAL])
Made = Callable[..., AbstractContextManager[Soci]]


@on_both
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(SociSettings(), id="kept"),
        pytest.param(SociSettings(store="soci", discard=True, chunk="1mb"), id="discarded"),
    ],
)
def test_without_its_folder_a_pull_is_remote_and_nothing_is_made_up(
    made: Made, settings: SociSettings, tmp_path: Path
) -> None:
    with made(tmp_path, settings) as soci:
        setup = soci.setup
        image = setup.push(layers=[3 * MIB, 2 * MIB, MIB])
        exporter = setup.exporter()
        pull, stall = setup.pull_held(image, MIB)
        looks = exporter.watch(lambda scrape: "remote" in scrape.pull(image).states)
        seen = looks[-1].pull(image)
        assert (seen.phase, seen.states, seen.snapshotter) == ("downloading", ["remote"] * 3, NAME)
        assert seen.rate is seen.eta is seen.ratio is None
        assert (seen.cached, seen.downloaded, seen.unpacked) == (0, image.config.size, 0)
        assert looks[-1].layer_bytes == 0
        stall.release()
        pull.wait()
        looks += exporter.watch(lambda scrape: scrape.phase(image) == "succeeded")
        assert not any(look.pull(image).rate or look.pull(image).eta for look in looks)
        check_remote(looks[-1], image, ["unpacked"] * 3)


def check_remote(scrape: Scrape, image: Image, states: list[str]) -> None:
    """Fail unless the pull ended well, and all its layers came unseen."""
    end = scrape.pull(image)
    assert end.states == states
    assert end.cached == 0
    assert end.unpacked == (layer_size(image) if "unpacked" in states else 0)
    assert scrape.layer_bytes == 0
    assert scrape.total("pulltrace_cached_bytes_total") == 0
    assert scrape.total("pulltrace_remote_bytes_total") == layer_size(image)


@on_both
def test_with_its_folder_the_bytes_are_those_that_the_registry_sent(made: Made, tmp_path: Path) -> None:
    with made(tmp_path) as soci:
        setup = soci.setup
        image = setup.push(layers=[5 * MIB, 2 * MIB])
        setup.registry.throttle(3 * MIB)
        exporter = soci.watching()
        first, second = (setup.registry.stall(image.layers[0].digest, after) for after in (MIB, 2 * MIB))
        pull = setup.pull(image)
        exporter.wait_until(lambda scrape: (seen := scrape.pull(image)).layers and seen.layers[0].downloaded)
        first.release()
        exporter.wait_until(lambda scrape: scrape.pull(image).rate and scrape.pull(image).eta)
        second.release()
        looks = []
        while not pull.done:
            before = [setup.registry.sent(layer.digest) for layer in image.layers]
            looks.append(exporter.wait_polled())
            after = [setup.registry.sent(layer.digest) for layer in image.layers]
            shown = [layer.downloaded for layer in looks[-1].pull(image).layers]
            for least, seen, most in zip(before, shown, after, strict=True):
                assert least - soci.behind <= seen <= most + BLOCK, (before, shown, after)
        pull.wait()
        assert looks
        end = exporter.wait_whole(image)
        assert end.layer_bytes == layer_size(image)
        assert end.total("pulltrace_remote_bytes_total") == 0


@on_the_real_one
def test_a_pull_that_is_stuck_is_stale_for_what_can_be_seen_of_it(made: Made, tmp_path: Path) -> None:
    with made(tmp_path) as soci, mini_cluster(tmp_path) as cluster:
        setup = soci.setup
        image = setup.push(layers=[2 * MIB, MIB])
        exporters = {"seen": soci.watching(), "unseen": setup.exporter()}
        targets = [f"--exporter.target={name}=http://127.0.0.1:{each.port}" for name, each in exporters.items()]
        aggregator = cluster.aggregator("--stale.no-progress=2s", "--stale.remote=3s", *targets)
        for node in exporters:
            cluster.pod(f"waits-on-{node}", setup.reference(image), node=node)
        _, stall = setup.pull_held(image, MIB)
        reasons = {"seen": {"no_progress"}, "unseen": {"remote_no_progress"}}
        aggregator.wait(lambda _: _reasons(Scrape.parse(aggregator.metrics())) == reasons)
        stall.release()
        aggregator.wait(lambda _: not any(_reasons(Scrape.parse(aggregator.metrics())).values()))


def _reasons(scrape: Scrape) -> dict[str, set[str]]:
    """The stale reasons by node."""
    reasons: dict[str, set[str]] = {"seen": set(), "unseen": set()}
    for sample in scrape.find("pulltrace_pull_stale"):
        if sample.value:
            reasons[sample.labels["node"]].add(sample.labels["reason"])
    return reasons


@on_both
def test_a_pull_that_is_cut_off_and_one_after_a_restart_begin_anew(made: Made, tmp_path: Path) -> None:
    with made(tmp_path) as soci:
        setup = soci.setup
        image = setup.push(layers=[3 * MIB])
        digest = image.layers[0].digest
        exporter = soci.watching()
        pull, stall = setup.pull_held(image, MIB)
        exporter.wait_until(lambda scrape: scrape.phase(image) == "downloading")
        setup.registry.deny(digest, 500)
        setup.registry.cut(digest, after=MIB)
        stall.release()
        with pytest.raises(PullFailed):
            pull.wait()
        exporter.wait_until(lambda scrape: scrape.phase(image) == "failed")
        setup.registry.allow(digest)

        pull, stall = setup.pull_held(image, 2 * MIB)
        exporter.wait_until(lambda scrape: scrape.downloaded(image) >= 2 * MIB)
        soci.snapshotter.kill()
        with pytest.raises(PullFailed):
            pull.wait()
        exporter.wait_until(lambda scrape: scrape.phase(image) == "failed")
        stall.release()

        soci.snapshotter.start()
        pull, stall = setup.pull_held(image, MIB)
        scrape = exporter.wait_until(lambda scrape: scrape.phase(image) == "downloading")
        scrape = exporter.wait_polled()
        assert 0 < scrape.pull(image).layers[0].downloaded <= MIB + BLOCK
        stall.release()
        pull.wait()
        end = exporter.wait_whole(image, cached=None)
        assert end.pull(image).cached in (0, image.config.size), "the config may be left of the attempt before"


@on_the_real_one
def test_layers_that_it_leaves_to_containerd_are_ordinary(made: Made, tmp_path: Path) -> None:
    """By default SOCI brings only images with an index."""
    with made(tmp_path, SociSettings(parallel=False)) as soci:
        setup = soci.setup
        image = setup.push(layers=[4 * MIB, MIB])
        exporter = setup.exporter()
        pull, stall = setup.pull_held(image, 3 * MIB + 100_000)
        seen = exporter.wait_until(lambda scrape: scrape.downloaded(image) >= 3 * MIB).pull(image)
        assert (seen.snapshotter, seen.states[0]) == (NAME, "downloading")
        stall.release()
        pull.wait()
        end = exporter.wait_whole(image)
        assert end.total("pulltrace_remote_bytes_total") == 0


@on_the_real_one
def test_a_pull_of_an_image_with_an_index_ends_with_nothing_fetched(made: Made, tmp_path: Path) -> None:
    if not Path("/dev/fuse").exists():  # the kernel's: no package brings it
        pytest.skip("LEFT OUT: needs the device /dev/fuse, by which SOCI mounts such an image; this kernel has none")
    with made(tmp_path, SociSettings(parallel=False)) as soci:
        setup = soci.setup
        image = setup.registry.push(indexed(setup.push(layers=[2 * MIB, MIB]), tmp_path))
        exporter = setup.exporter()
        setup.pulled(image)
        end = exporter.wait_until(lambda scrape: scrape.phase(image) == "succeeded")
        assert sum(setup.registry.sent(layer.digest) for layer in image.layers) < KIB
        check_remote(end, image, ["remote", "remote"])
