"""The kubelet's pull intents, read from a real folder, and the queue that they make."""

import json
import logging
import os
from pathlib import Path

import pytest

from pulltrace.clock import NodeTime
from pulltrace_exporter.kubelet import MAX_FILE_BYTES, MAX_FILES, IntentFolder
from pulltrace_exporter.model.observation import Intent

pytestmark = pytest.mark.unit


def intend(
    folder: Path, image: str, name: str | None = None, at: float = 1000.0, kind: str = "ImagePullIntent"
) -> Path:
    path = folder / (name or f"sha256-{abs(hash(image)):x}")
    path.write_text(json.dumps({"kind": kind, "apiVersion": "kubelet.config.k8s.io/v1alpha1", "image": image}))
    os.utime(path, (at, at))
    return path


def references(folder: IntentFolder) -> list[str]:
    return [intent.reference for intent in folder.intents()]


def test_images_come_in_the_order_in_which_they_were_asked_for(tmp_path: Path) -> None:
    intend(tmp_path, "registry.example/second:2", at=2000)
    intend(tmp_path, "registry.example/first:1", at=1000)
    assert IntentFolder(tmp_path).intents() == (
        Intent("registry.example/first:1", NodeTime(1000.0)),
        Intent("registry.example/second:2", NodeTime(2000.0)),
    )


def test_an_intent_that_is_gone_is_no_longer_reported(tmp_path: Path) -> None:
    path = intend(tmp_path, "app:1")
    folder = IntentFolder(tmp_path)
    assert references(folder) == ["app:1"]
    path.unlink()
    assert references(folder) == []


def test_a_half_written_file_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "sha256-1"
    path.write_text('{"kind": "ImagePullIntent", "ima')
    folder = IntentFolder(tmp_path)
    assert references(folder) == []
    intend(tmp_path, "app:1", path.name)
    assert references(folder) == ["app:1"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"[]",
        b"null",
        b'{"kind": "ImagePulledRecord", "image": "app:1"}',
        b'{"kind": "ImagePullIntent", "image": 7}',
        b'{"kind": "ImagePullIntent"}',
        b"[" * 100_000,
        b'{"kind": "ImagePullIntent", "image": "' + b"a" * MAX_FILE_BYTES + b'"}',
    ],
)
def test_a_file_that_is_no_intent_harms_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sha256-odd").write_bytes(content)
    intend(tmp_path, "app:1")
    assert references(IntentFolder(tmp_path)) == ["app:1"]


def test_pipes_folders_links_and_other_names_are_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "sha256-pipe")
    (tmp_path / "sha256-folder").mkdir()
    elsewhere = tmp_path / "elsewhere"
    intend(tmp_path, "secret:1", elsewhere.name)
    (tmp_path / "sha256-link").symlink_to(elsewhere)
    (tmp_path / "sha256-dangling").symlink_to(tmp_path / "nowhere")
    intend(tmp_path, "app:1")
    assert references(IntentFolder(tmp_path)) == ["app:1"]


def test_a_file_that_the_kubelet_was_still_writing_when_it_crashed_is_no_intent(tmp_path: Path) -> None:
    """It writes `sha256-….tmp` and renames it; one that a crash left behind is never cleared."""
    intend(tmp_path, "left-over:1", "sha256-5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef.tmp")
    intend(tmp_path, "app:1")
    assert references(IntentFolder(tmp_path)) == ["app:1"]


def test_thousands_of_files_cost_a_bounded_number_of_intents(tmp_path: Path) -> None:
    for number in range(MAX_FILES + 500):
        intend(tmp_path, f"app{number}:1", f"sha256-{number}")
    assert len(IntentFolder(tmp_path).intents()) == MAX_FILES


def test_no_folder_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert IntentFolder(tmp_path / "absent").intents() == ()
    assert IntentFolder(None).intents() == ()
    assert not caplog.records


def test_a_folder_that_cannot_be_read_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "file"
    path.write_text("")
    folder = IntentFolder(path)
    with caplog.at_level(logging.WARNING):
        folder.intents()
        folder.intents()
    assert [record.message for record in caplog.records] == ["the kubelet's pull intents cannot be read"]
