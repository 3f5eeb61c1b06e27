"""The kubelet's pull intents from its folder to the series."""

import json
import os
from pathlib import Path

import pytest

from rig.exporter import RunningExporter
from rig.images import MIB, sha256
from rig.sanity import check_whole
from rig.scene import Scene
from rig.scrape import Scrape

QUEUED = "pulltrace_queued_pull_start_time_seconds"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pulling"
    made.mkdir()
    return made


@pytest.fixture
def exporter(stage: Scene, folder: Path) -> RunningExporter:
    return stage.exporter(f"--kubelet.intents-directory={folder}", idle="200ms")


def intend(folder: Path, reference: str) -> Path:
    """As the kubelet does: under another name first, then moved into place."""
    document = {"kind": "ImagePullIntent", "apiVersion": "kubelet.config.k8s.io/v1alpha1", "image": reference}
    draft = folder / ".draft"
    draft.write_text(json.dumps(document))
    return draft.rename(folder / sha256(reference.encode()).replace(":", "-"))


def queued(scrape: Scrape) -> set[str]:
    return {sample.labels["reference"] for sample in scrape.find(QUEUED)}


def test_a_queued_image_becomes_a_running_pull_with_its_tag_and_leaves(
    stage: Scene, folder: Path, exporter: RunningExporter
) -> None:
    image, later = stage.push("now", [2 * MIB]), stage.push("later", [300_000])
    files = [intend(folder, stage.reference(each)) for each in (image, later)]
    waiting = exporter.wait_until(lambda scrape: len(scrape.find(QUEUED)) == 2)
    assert queued(waiting) == {stage.reference(image), stage.reference(later)}
    (sample,) = waiting.find(QUEUED, repository=image.repository)
    assert sample.labels["registry"] == "127.0.0.1"
    assert sample.value == pytest.approx(files[0].stat().st_mtime, abs=0.01)
    assert sorted(each["reference"] for each in exporter.pulls()["queued"]) == sorted(queued(waiting))

    stall = stage.registry.stall(image.layers[0].digest, after=MIB + 500_000)
    stage.pull(image)
    running = exporter.wait_until(lambda scrape: (seen := scrape.pull(image)) and seen.layers)
    # The image record that would tell the tag is written at the end only.
    assert running.pull(image).reference == stage.reference(image)
    assert queued(running) == {stage.reference(later)}
    stall.release()
    end = exporter.wait_until(lambda scrape: scrape.phase(image) == "succeeded")
    check_whole(end.pull(image), image)
    for file in files:
        file.unlink()
    exporter.wait_until(lambda scrape: not scrape.find(QUEUED))
    assert exporter.pulls()["queued"] == []


def test_a_folder_that_goes_and_comes_back_is_read_again(stage: Scene, folder: Path, exporter: RunningExporter) -> None:
    file = intend(folder, "registry.example/team/app:v1")
    exporter.wait_until(lambda scrape: len(scrape.find(QUEUED)) == 1)
    file.unlink()
    folder.rmdir()
    gone = exporter.wait_until(lambda scrape: not scrape.find(QUEUED))
    assert gone.up
    folder.mkdir()
    intend(folder, "registry.example/team/app:v2")
    assert queued(exporter.wait_until(lambda scrape: bool(scrape.find(QUEUED)))) == {"registry.example/team/app:v2"}


def test_what_else_lies_in_the_folder_harms_nothing(stage: Scene, folder: Path, exporter: RunningExporter) -> None:
    image = stage.push(layers=[300_000])
    os.mkfifo(folder / "sha256-pipe")
    (folder / "sha256-folder").mkdir()
    (folder / "sha256-link").symlink_to("/dev/zero")
    (folder / "sha256-half").write_text('{"kind": "ImagePullIntent", "ima')
    (folder / "sha256-other").write_text('{"kind": "ImagePulledRecord", "image": "registry.example/pulled:v1"}')
    (folder / "sha256-huge").write_bytes(b" " * MIB)
    (folder / "sha256-name").write_text('{"kind": "ImagePullIntent", "image": "Not A Reference\\n\\u0000{}"}')
    for number in range(50):
        (folder / f"note-{number}").write_text(
            json.dumps({"kind": "ImagePullIntent", "image": f"r.example/a:{number}"})
        )
    intend(folder, "registry.example/team/app:v1")
    exporter.wait_until(lambda scrape: "registry.example/team/app:v1" in queued(scrape))
    stage.pulled(image)
    end = exporter.wait_until(lambda scrape: scrape.phase(image) == "succeeded")
    check_whole(end.pull(image), image)
    assert queued(end) == {"registry.example/team/app:v1"}
    assert end.total("pulltrace_exporter_poll_errors_total") == 0


def test_intents_by_the_thousand_cost_no_more_series_than_the_limit(stage: Scene, folder: Path) -> None:
    for number in range(3000):
        intend(folder, f"registry.example/team/app-{number}:v1")
    limits = (f"--kubelet.intents-directory={folder}", "--limit.pulls=20", "--limit.label-values=10")
    exporter = stage.exporter(*limits, idle="200ms")
    image = stage.pulled(stage.push(layers=[300_000]))
    end = exporter.wait_until(lambda scrape: scrape.phase(image) == "succeeded")
    check_whole(end.pull(image), image)
    assert len(end.find(QUEUED)) == 20
    assert end.value("pulltrace_exporter_suppressed_series", kind="pull") > 0
