"""`make demo` as its user has it: shows what goes on, ends when told to or left alone, leaves nothing behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pulltrace_demo import stage
from pulltrace_demo.shop import Wave
from rig import containerd, fake_kubectl, needs
from rig.standin import SourceFailed
from rig.web import wait_until

ROOT = Path(__file__).parents[2]
END_TIMEOUT = 60.0
ENDINGS = pytest.mark.parametrize(
    "ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: str(number.name)
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """For temporary files; its path is short, as those of sockets must be."""
    with tempfile.TemporaryDirectory(prefix="ptd-", dir="/tmp") as name:
        yield Path(name)


@pytest.mark.unit
def test_a_line_swings_stalls_and_breaks() -> None:
    wave = Wave(100.0, 8.0, stall_from=4.0, stall_until=6.0, breaks_at=9.0)
    assert wave(2.0) > 100 > wave(7.0) > 0
    assert wave(5.0) == 0
    with pytest.raises(SourceFailed):
        wave(9.5)


@pytest.mark.unit
def test_a_machine_without_containerd_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containerd, "available", lambda: {"2.1": "containerd needs root"})
    with pytest.raises(stage.Unavailable, match="containerd needs root"), stage.real(1):
        pass


@pytest.mark.contract
@ENDINGS
def test_the_demo_shows_pods_with_what_blocks_them_and_ends_without_a_trace(
    folder: Path, ending: signal.Signals
) -> None:
    with _demo(folder, "--seed", "1") as demo:
        output = iter(demo.stdout or ())
        url = _until(output, r"metrics +(http://\S+)/metrics")[1]
        _until(output, r"shop +llm-server-\d +main +\S+/ai/llm-server:\S+ +node-\d +downloading +\d+%")
        _until(output, r"queued .* queue +\S+/ai/llm-server:\S+$")
        _until(output, r"llm-server-2 .* node-3 .* slow_download")
        with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
            assert 'cause="slow_download"} 1' in answer.read().decode()
        children = _children(demo.pid)
        demo.send_signal(ending)
        assert demo.wait(END_TIMEOUT) == 0
    _assert_gone(children)
    assert not list(folder.iterdir())
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) != 0


@pytest.mark.contract
def test_the_demo_of_one_node_shows_its_pulls_layer_by_layer(folder: Path) -> None:
    wanted = (r"containerd 2\.1\.9", r"tar\+gzip .* downloading", "░")
    with _terminal() as (screen, side), _demo(folder, "--node", output=side) as demo:
        os.close(side)
        drawn, chunks = b"", _chunks(screen)
        while not all(re.search(pattern, drawn.decode(errors="replace")) for pattern in wanted):
            drawn += next(chunks)
        demo.send_signal(signal.SIGINT)
        drawn += b"".join(chunks)
        assert demo.wait(END_TIMEOUT) == 0
    assert drawn.rstrip().endswith(b"\x1b[?25h")  # the cursor is back
    assert not list(folder.iterdir())


@pytest.mark.contract
def test_a_kubectl_sees_the_demo_as_the_hint_says(folder: Path) -> None:
    with _demo(folder, "--seed", "1") as demo:
        output = iter(demo.stdout or ())
        config = _until(output, r"export KUBECONFIG=(\S+)")[1]
        _until(output, r"downloading")
        program = fake_kubectl.install(folder)
        path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
        seen = subprocess.run(
            [sys.executable, "-m", "pulltrace_kubectl", "llm-server-0"],
            env={**os.environ, "KUBECONFIG": config, "PATH": path},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert (seen.returncode, seen.stderr) == (0, "")
        assert seen.stdout.startswith("shop/llm-server-0 on node-1\n")
        assert "tar+gzip" in seen.stdout


@pytest.mark.contract
def test_a_demo_that_is_killed_takes_everything_with_it(folder: Path) -> None:
    with _demo(folder) as demo:
        _until(iter(demo.stdout or ()), r"downloading")
        children = _children(demo.pid)
        assert len(children) >= 5
        demo.kill()
        demo.wait(END_TIMEOUT)
    _assert_gone(children)


@pytest.mark.contract
def test_a_demo_whose_terminal_is_closed_ends(folder: Path) -> None:
    with _terminal() as (screen, side), _demo(folder, output=side, session=True) as demo:
        os.close(side)
        seen = b""
        while b"downloading" not in seen:
            seen += screen.read(65536)
        children = _children(demo.pid)
        screen.close()
        # The kernel sends SIGHUP to the session when its terminal is gone.
        demo.send_signal(signal.SIGHUP)
        demo.wait(END_TIMEOUT)
    _assert_gone(children)
    assert not list(folder.iterdir())


@pytest.mark.contract
@pytest.mark.parametrize("flags", [(), ("--node",)], ids=["cluster", "node"])
def test_an_exporter_that_does_not_start_is_shown(folder: Path, flags: tuple[str, ...]) -> None:
    with _demo(folder, *flags, PULLTRACE_POLL_INTERVAL="often") as demo:
        output, errors = demo.communicate(timeout=90)
        assert demo.returncode == 1
    assert "often" in errors
    assert not output
    assert not list(folder.iterdir())


@pytest.mark.integration
def test_the_demo_on_a_real_containerd(folder: Path) -> None:
    needs.containerd("2.1")
    with _terminal() as (screen, side), _demo(folder, "--real", "--seed=1", "--duration=20", output=side) as demo:
        os.close(side)
        drawn = b"".join(_chunks(screen)).decode()
        assert demo.wait(END_TIMEOUT) == 0
    assert re.search(r"containerd [12]\.", drawn)
    assert re.search(r"tar\+gzip .* downloading", drawn)
    assert not list(folder.iterdir())


@contextmanager
def _terminal() -> Iterator[tuple[Any, int]]:
    """The user's end of a terminal, and the side to write to, which the caller closes."""
    ours, side = os.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        yield screen, side


def _assert_gone(pids: Sequence[int]) -> None:
    wait_until(lambda: not any(map(_lives, pids)), END_TIMEOUT, lambda: [pid for pid in pids if _lives(pid)])


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@contextmanager
def _demo(
    folder: Path, *arguments: str, output: int = subprocess.PIPE, session: bool = False, **environment: str
) -> Iterator["subprocess.Popen[str]"]:
    """The demo with its temporary files in `folder`; killed with all its children if it is still there at the end."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "pulltrace_demo", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.PIPE if output == subprocess.PIPE else output,
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT / 'demo'}",
            "TMPDIR": str(folder),
            "REAL": "",
            "TERM": "xterm",
            "PYTHONUTF8": "1",
            "COLUMNS": "160",
            **environment,
        },
        start_new_session=session,
        text=True,
    )
    try:
        yield demo
    finally:
        if demo.poll() is None:
            for pid in (*_children(demo.pid), demo.pid):
                os.kill(pid, signal.SIGKILL)
        demo.wait()
        for pipe in (demo.stdout, demo.stderr):
            if pipe:
                pipe.close()


def _until(lines: Iterator[str], pattern: str) -> "re.Match[str]":
    found = next((match for line in lines if (match := re.search(pattern, line))), None)
    assert found, f"the demo ended without {pattern}"
    return found


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def _chunks(terminal: Any) -> Iterator[bytes]:
    while True:
        try:
            chunk = terminal.read(65536)
        except OSError:  # the other side is closed
            return
        if not chunk:
            return
        yield chunk
