"""The kubelet's pull intents from its folder to the series."""

import json
from pathlib import Path

import pytest

from rig.containerd import RealContainerd
from rig.exporter import RunningExporter
from rig.images import MIB, build, sha256
from rig.node_setup import NodeSetup
from rig.scrape import Scrape

QUEUED = "pulltrace_queued_pull_start_time_seconds"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pulling"
    made.mkdir()
    return made


@pytest.fixture
def exporter(setup: NodeSetup, folder: Path) -> RunningExporter:
    return setup.exporter(f"--kubelet.intents-directory={folder}", idle="200ms")


def intend(folder: Path, reference: str) -> Path:
    """As the kubelet does: under another name first, then moved into place."""
    document = {"kind": "ImagePullIntent", "apiVersion": "kubelet.config.k8s.io/v1alpha1", "image": reference}
    draft = folder / ".draft"
    draft.write_text(json.dumps(document))
    return draft.rename(folder / sha256(reference.encode()).replace(":", "-"))


def queued(scrape: Scrape) -> set[str]:
    return {sample.labels["reference"] for sample in scrape.find(QUEUED)}


def test_a_queued_image_becomes_a_running_pull_with_its_tag_and_leaves(
    setup: NodeSetup, folder: Path, exporter: RunningExporter
) -> None:
    image, later = setup.push("now", [2 * MIB]), setup.push("later", [300_000])
    files = [intend(folder, setup.reference(each)) for each in (image, later)]
    waiting = exporter.wait_until(lambda scrape: len(scrape.find(QUEUED)) == 2)
    assert queued(waiting) == {setup.reference(image), setup.reference(later)}
    (sample,) = waiting.find(QUEUED, repository=image.repository)
    assert sample.labels["registry"] == "127.0.0.1"
    assert sample.value == pytest.approx(files[0].stat().st_mtime, abs=0.01)
    assert sorted(each["reference"] for each in exporter.pulls()["queued"]) == sorted(queued(waiting))

    stall = setup.registry.stall(image.layers[0].digest, after=MIB + 500_000)
    setup.pull(image)
    running = exporter.wait_until(lambda scrape: (seen := scrape.pull(image)) and seen.layers)
    # The image record that would tell the tag is written at the end only.
    assert running.pull(image).reference == setup.reference(image)
    assert queued(running) == {setup.reference(later)}
    stall.release()
    exporter.wait_whole(image)
    for file in files:
        file.unlink()
    exporter.wait_until(lambda scrape: not scrape.find(QUEUED))
    assert exporter.pulls()["queued"] == []


def test_a_registry_whose_host_has_an_underscore_meets_its_intent(
    setup: NodeSetup, folder: Path, exporter: RunningExporter
) -> None:
    setup.impossible({"standin": "it has no hosts.toml"})
    assert isinstance(setup.node, RealContainerd)
    host = "docker_test.artifactory.example"
    setup.node.trust(host, at=setup.registry.host)
    image = setup.registry.push(build("app", [2 * MIB], tag="v1"))
    reference = f"{host}/app:v1"
    file = intend(folder, reference)
    exporter.wait_until(lambda scrape: queued(scrape) == {reference})
    stall = setup.registry.stall(image.layers[0].digest, after=MIB + 500_000)
    pull = setup.pull_reference(reference)
    running = exporter.wait_until(lambda scrape: scrape.phase(image) == "downloading")
    shown = running.pull(image)
    assert (shown.registry, shown.repository, shown.reference) == (host, "app", reference)
    assert queued(running) == set()
    stall.release()
    pull.wait()
    file.unlink()
    end = exporter.wait_whole(image)
    assert end.pull(image).reference == reference


def test_a_folder_that_goes_and_comes_back_is_read_again(
    setup: NodeSetup, folder: Path, exporter: RunningExporter
) -> None:
    file = intend(folder, "registry.example/team/app:v1")
    exporter.wait_until(lambda scrape: len(scrape.find(QUEUED)) == 1)
    file.unlink()
    folder.rmdir()
    gone = exporter.wait_until(lambda scrape: not scrape.find(QUEUED))
    assert gone.up
    folder.mkdir()
    intend(folder, "registry.example/team/app:v2")
    assert queued(exporter.wait_until(lambda scrape: bool(scrape.find(QUEUED)))) == {"registry.example/team/app:v2"}
