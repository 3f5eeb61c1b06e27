"""Which sockets the exporter opens. It runs as root: whoever answers there is trusted."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pulltrace_exporter.containerd import socket as sockets
from pulltrace_exporter.containerd.socket import KNOWN_DIRECTORIES, KNOWN_SOCKETS, check_socket, find_socket
from pulltrace_exporter.errors import UnsafeSocketError
from rig.exporter import RunningExporter
from rig.running import EXPORTER, run_to_end

NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that the socket may lie in; its path is short, as those of sockets must be."""
    with tempfile.TemporaryDirectory(prefix="pts-") as path:
        yield Path(path).resolve()


@pytest.fixture
def path(folder: Path) -> Path:
    return folder / "containerd.sock"


@pytest.fixture
def listening(path: Path) -> Iterator[Path]:
    """A socket as containerd makes it."""
    with listen(path):
        yield path


def listen(path: Path, mode: int = 0o660) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    try:
        server.bind(str(path))
        server.listen()
        path.chmod(mode)
    except BaseException:
        server.close()
        raise
    return server


# The rules


@pytest.mark.unit
def test_a_socket_of_our_own_in_an_allowed_directory_is_safe(listening: Path, folder: Path) -> None:
    found = check_socket(listening, [folder])
    assert found is not None
    assert found.path == listening
    assert found.made_at == found.path.stat().st_mtime


@pytest.mark.unit
def test_a_socket_made_anew_is_another_daemon(listening: Path, folder: Path) -> None:
    before = check_socket(listening, [folder])
    listening.rename(folder / "before.sock")  # keeps its inode from being used again at once
    with listen(listening):
        assert check_socket(listening, [folder]) != before


@pytest.mark.unit
@pytest.mark.parametrize("address", ["containerd.sock", "missing/containerd.sock"])
def test_an_absent_socket_may_come_later(folder: Path, address: str) -> None:
    assert check_socket(folder / address, [folder]) is None


@pytest.mark.unit
def test_a_directory_that_nobody_allowed_is_refused(listening: Path, folder: Path) -> None:
    with pytest.raises(UnsafeSocketError) as caught:
        check_socket(listening, [])
    text = str(caught.value)
    assert text.startswith(f"containerd socket {folder}/containerd.sock lies under none of the directories allowed (")
    assert all(str(known) in text for known in KNOWN_DIRECTORIES)
    assert "--containerd.allow-directory" in text


@pytest.mark.unit
@pytest.mark.parametrize("beside", ["-evil", "/.."], ids=["the beginning of its name", "going up from it"])
def test_what_only_begins_like_an_allowed_directory_is_refused(tmp_path: Path, beside: str) -> None:
    with pytest.raises(UnsafeSocketError, match="none of the directories allowed"):
        check_socket(Path(f"{tmp_path}{beside}/containerd.sock"), [tmp_path])


@pytest.mark.unit
def test_a_symbolic_link_out_of_an_allowed_directory_is_refused(listening: Path, folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "containerd.sock"
    link.symlink_to(listening)
    with pytest.raises(UnsafeSocketError, match=f"{link} leads to {folder}/containerd.sock, which lies under none"):
        check_socket(link, [tmp_path])


@pytest.mark.unit
def test_a_symbolic_link_within_what_is_allowed_leads_to_the_real_socket(
    listening: Path, folder: Path, tmp_path: Path
) -> None:
    link = tmp_path / "containerd.sock"
    link.symlink_to(listening)
    found = check_socket(link, [tmp_path, folder])
    assert found is not None
    assert found.path == listening


@pytest.mark.unit
def test_an_allowed_directory_may_itself_be_a_symbolic_link(listening: Path, folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "run"
    link.symlink_to(folder)
    assert check_socket(link / "containerd.sock", [link]) is not None


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.unit
@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, make_fifo], ids=["file", "directory", "fifo"])
def test_a_path_that_is_no_socket_is_refused(path: Path, folder: Path, make: Callable[[Path], None]) -> None:
    make(path)
    with pytest.raises(UnsafeSocketError, match=f"^containerd socket {path} is not a socket$"):
        check_socket(path, [folder])


@pytest.mark.unit
def test_a_path_that_cannot_be_examined_is_refused(folder: Path) -> None:
    loop = folder / "loop"
    loop.symlink_to(loop)
    for path, reason in ((loop, "symbolic links"), (folder / ("x" * 300), "name too long")):
        with pytest.raises(UnsafeSocketError, match=f"^containerd socket {path} cannot be examined: .*{reason}$"):
            check_socket(path, [folder])


@pytest.mark.unit
@pytest.mark.parametrize("mode", [0o777, 0o666, 0o662])
def test_a_socket_that_everybody_may_write_to_is_refused(path: Path, folder: Path, mode: int) -> None:
    with listen(path, mode), pytest.raises(UnsafeSocketError, match=rf"every user \(mode {mode:04o}\): anybody may be"):
        check_socket(path, [folder])


@pytest.mark.unit
def test_a_socket_of_another_user_is_refused(listening: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        os.chown(listening, NOBODY, NOBODY)
    else:
        monkeypatch.setattr("os.geteuid", lambda: NOBODY)
    owner = listening.stat().st_uid
    with pytest.raises(UnsafeSocketError, match=f"belongs to user {owner}, not to root or to the exporter's own user"):
        check_socket(listening, [folder])


@pytest.mark.unit
def test_a_socket_that_may_not_be_opened_is_an_error_of_permission(
    listening: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may everything
    with pytest.raises(PermissionError, match=r"no permission to open .*containerd\.sock; run the exporter as root"):
        check_socket(listening, [folder])


@pytest.mark.unit
def test_the_first_known_socket_that_exists_is_taken(
    listening: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "KNOWN_SOCKETS", (folder / "absent.sock", listening))
    assert find_socket() == listening
    monkeypatch.setattr(sockets, "KNOWN_SOCKETS", (folder / "absent.sock", folder / "other.sock"))
    assert find_socket() == folder / "absent.sock"
    assert str(KNOWN_SOCKETS[0]) == "/run/containerd/containerd.sock"


# The process


def start(socket_path: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run the exporter to the end that a refusal is."""
    return run_to_end(EXPORTER, f"--containerd.address={socket_path}", "--web.listen-address=127.0.0.1:0", *flags)


@pytest.mark.contract
def test_the_exporter_does_not_start_on_an_unsafe_socket(path: Path, folder: Path) -> None:
    with listen(path, 0o777):
        outside = start(path)
        inside = start(path, f"--containerd.allow-directory={folder}")
    for run, text in ((outside, "lies under none of the directories allowed"), (inside, "every user (mode 0777)")):
        assert (run.returncode, run.stdout) == (2, "")
        assert run.stderr.startswith(f"pulltrace-exporter: containerd socket {path} ")
        assert text in run.stderr
        assert len(run.stderr.splitlines()) == 1


@pytest.mark.contract
def test_the_exporter_does_not_start_without_permission(path: Path, folder: Path) -> None:
    folder.chmod(0o755)
    # Root may open everything, so it becomes somebody else; not before the program is read, which may lie in its home.
    become = f"import ctypes, os; from pulltrace_exporter import cli; os.geteuid() or os.setuid({NOBODY}); cli.main()"
    with listen(path, 0o600 if os.geteuid() == 0 else 0o000):
        where = (f"--containerd.address={path}", f"--containerd.allow-directory={folder}")
        run = run_to_end((sys.executable, "-c", become), *where)
    assert run.returncode == 2, run.stderr
    assert run.stderr == (
        f"pulltrace-exporter: no permission to open containerd socket {path}; run the exporter as root\n"
    )


@pytest.mark.contract
def test_an_unsafe_socket_that_comes_later_is_not_opened(path: Path, tmp_path: Path) -> None:
    with RunningExporter(path, tmp_path / "log") as exporter:
        assert exporter.get("/-/ready").status == 200
        with listen(path, 0o777) as server:
            refused = exporter.wait_until(
                lambda scrape: bool(scrape.value("pulltrace_exporter_poll_errors_total", code="UNSAFE_SOCKET"))
            )
            server.setblocking(False)
            with pytest.raises(BlockingIOError):
                server.accept()
        assert not refused.up
        assert any("every user (mode 0777)" in str(line) for line in exporter.logged())
        assert exporter.get("/-/healthy").status == 200
