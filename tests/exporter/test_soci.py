"""SOCI's folder of downloads, as it is on disk."""

import logging
import os
from pathlib import Path

import pytest

from pulltrace_exporter.model.observation import FetchedLayer
from pulltrace_exporter.soci import UnpackFolder
from rig.images import KIB, digest

pytestmark = pytest.mark.unit

SIZE = 256 * KIB
LAYER = digest("layer")


class Download:
    """The file of one layer in a folder of its own, as long as the layer at once."""

    def __init__(self, folder: Path, job: str = "Ab3dEf6hIj", layer: str = LAYER) -> None:
        self.folder = folder / job
        (self.folder / "fs/etc").mkdir(parents=True)
        self.file = self.folder / layer
        self.file.touch()
        os.truncate(self.file, SIZE)
        os.utime(self.folder, (1000, 1000))

    def write(self, start: int, size: int, at: float) -> None:
        with self.file.open("r+b") as file:
            file.seek(start)
            file.write(os.urandom(size))
        os.utime(self.file, (at, at))


def only(folder: UnpackFolder) -> FetchedLayer:
    ((layer,),) = folder.layers().values()
    return layer


def test_what_has_come_of_a_layer_is_what_its_file_has_allocated(tmp_path: Path) -> None:
    folder, download = UnpackFolder(tmp_path), Download(tmp_path)
    assert folder.layers() == {LAYER: (FetchedLayer(0, 1000.0),)}  # type: ignore[arg-type]
    download.write(128 * KIB, 64 * KIB, at=1001)
    assert only(folder).downloaded == 64 * KIB


def test_a_layer_is_complete_when_all_of_it_is_written(tmp_path: Path) -> None:
    folder, download = UnpackFolder(tmp_path), Download(tmp_path)
    download.write(0, SIZE - 4 * KIB, at=1001)
    assert (only(folder).downloaded, only(folder).complete) == (SIZE - 4 * KIB, False)
    download.write(SIZE - 4 * KIB, 4 * KIB, at=1002)
    assert (only(folder).downloaded, only(folder).complete) == (SIZE, True)


def test_what_is_allocated_ahead_is_not_taken_for_bytes(tmp_path: Path) -> None:
    folder, download = UnpackFolder(tmp_path), Download(tmp_path)
    with download.file.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, SIZE)
    download.write(0, 4 * KIB, at=1001)
    download.write(128 * KIB, 64 * KIB, at=1001)
    assert (only(folder).downloaded, only(folder).complete) == (68 * KIB, False)
    download.write(0, SIZE, at=1002)
    assert (only(folder).downloaded, only(folder).complete) == (SIZE, True)


def test_a_folder_whose_layer_was_unpacked_before_is_left_over(tmp_path: Path) -> None:
    download = Download(tmp_path)
    folder = UnpackFolder(tmp_path)
    assert only(folder)
    (download.folder / "fs").rename(tmp_path.parent / "snapshot")
    assert only(folder).started_at == 1000.0, "it stays that of the layer's start"
    assert not UnpackFolder(tmp_path).layers()


def test_several_jobs_may_fetch_one_layer(tmp_path: Path) -> None:
    Download(tmp_path, "first").write(0, 4 * KIB, at=1001)
    Download(tmp_path, "second")
    ((*layers,),) = UnpackFolder(tmp_path).layers().values()
    assert sorted(layer.downloaded or 0 for layer in layers) == [0, 4 * KIB]


def test_what_is_no_download_or_goes_meanwhile_is_passed_over(tmp_path: Path) -> None:
    folder, download = UnpackFolder(tmp_path), Download(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / digest("linked")).symlink_to(download.file)
    os.mkfifo(tmp_path / "empty" / digest("pipe"))
    assert list(folder.layers()) == [LAYER]
    download.file.unlink()
    assert not folder.layers()


def test_a_folder_that_is_off_or_absent_is_empty_and_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert not UnpackFolder(None).layers()
    assert not UnpackFolder(tmp_path / "absent").layers()
    assert not caplog.records


def test_a_folder_that_was_deleted_and_made_anew_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """SOCI does so at each start; what is mounted is the old one then."""
    made = tmp_path / "unpack"
    made.mkdir()
    descriptor = os.open(made, os.O_RDONLY)
    try:
        folder = UnpackFolder(Path(f"/proc/self/fd/{descriptor}"))
        assert not folder.layers()
        made.rmdir()
        with caplog.at_level(logging.WARNING):
            assert not folder.layers()
            assert not folder.layers()
    finally:
        os.close(descriptor)
    (record,) = caplog.records
    assert "restart this exporter" in str(record.__dict__)
