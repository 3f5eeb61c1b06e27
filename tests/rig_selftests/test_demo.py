"""`make demo` as its user has it: shows what the exporter says, ends when told to, leaves nothing behind."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rig import containerd, needs
from rig.demo import pods, screen, stage, words
from rig.demo.shop import Wave
from rig.standin import SourceFailed

TESTS = Path(__file__).parents[1]
END_TIMEOUT = 15.0
LAYERS = [
    {"index": 0, "digest": "sha256:0", "sizeBytes": 10**9, "downloadedBytes": 10**9, "state": "cached"},
    {"index": 1, "digest": "sha256:1", "sizeBytes": 10**9, "downloadedBytes": 10**9, "state": "unpacked"},
    {"index": 2, "digest": "sha256:2", "sizeBytes": 2 * 10**9, "downloadedBytes": 10**9, "state": "downloading"},
    {"index": 3, "digest": "sha256:3", "sizeBytes": 0, "downloadedBytes": 0, "state": "waiting"},
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """For temporary files; its path is short, as those of sockets must be."""
    with tempfile.TemporaryDirectory(prefix="ptd-", dir="/tmp") as name:
        yield Path(name)


def a_pull(**changes: Any) -> dict[str, Any]:
    pull = {
        "registry": "registry.example",
        "repository": "ai/llm-server",
        "digest": "sha256:abc",
        "references": [],
        "phase": "downloading",
        "requests": 1,
        "sizeBytes": 4 * 10**9,
        "cachedBytes": 10**9,
        "downloadedBytes": 2 * 10**9,
        "unpackedBytes": 2 * 10**9,
        "bytesPerSecond": 5e7,
        "etaSeconds": 20.0,
        "ageSeconds": 41.0,
        "lastProgressAgeSeconds": 0.4,
        "layers": LAYERS,
    }
    return {key: value for key, value in {**pull, **changes}.items() if value is not None}


def an_ended_pull(**changes: Any) -> dict[str, Any]:
    return a_pull(
        phase="succeeded",
        bytesPerSecond=None,
        etaSeconds=None,
        downloadedBytes=3 * 10**9,
        endedAgeSeconds=5.0,
        references=["registry.example/ai/llm-server@sha256:abc", "registry.example/ai/llm-server:2.4"],
        **changes,
    )


def a_report(*pulls: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"resolving": [], "queued": [], "pulls": list(pulls), **changes}


def shown(report: dict[str, Any] | None, width: int) -> list[str]:
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(screen.picture(report, "The title", "http://127.0.0.1:1", width))
    return capture.get().splitlines()


@pytest.mark.unit
@pytest.mark.parametrize("width", [100, 44, 30])
def test_the_picture_fits_and_says_everything(width: int) -> None:
    report = a_report(an_ended_pull(), a_pull(), resolving=[{"ageSeconds": 4.0}])
    lines = shown(report, width)
    assert max(len(line) for line in lines) <= width
    text = "".join(lines).replace(" ", "")
    parts = ("http://127.0.0.1:1/metrics", "ai/llm-server", "67%", "50.0MB/s", "20sleft", "1cached", "▒▒▒■■■▅▅▅▁▁▁")
    for part in (*parts, "1pullwaitsforaregistry'sanswer,4s"):
        assert part in text
    if width == 100:
        assert "✓ registry.example/ai/llm-server:2.4  succeeded in 36 s" in lines[-1]


@pytest.mark.unit
def test_lines_tell_each_pull_with_its_phase_rate_and_layers() -> None:
    report = a_report(an_ended_pull(), a_pull(), resolving=[{"ageSeconds": 4.0}, {"ageSeconds": 9.0}])
    layers = "layers: 1 cached, 1 unpacked, 1 downloading, 1 waiting"
    image, amount = "registry.example/ai/llm-server", "3.0 GB (+1.0 GB cached)"
    assert list(screen.lines(report)) == [
        "resolving   2 pulls wait for a registry's answer, 9 s",
        f"downloading  67% {image}: 2.0 GB of {amount}; 50.0 MB/s, 20 s left; {layers}",
        f"succeeded   100% {image}:2.4: 3.0 GB of {amount}; in 36 s; {layers}",
    ]


@pytest.mark.unit
@pytest.mark.parametrize(
    ("pull", "pace"),
    [
        (a_pull(lastProgressAgeSeconds=12.0), "nothing for 12 s"),
        (a_pull(bytesPerSecond=None, etaSeconds=None), ""),
        (a_pull(etaSeconds=7500.0), "50.0 MB/s, 2 h 05 min left"),
        (a_pull(phase="unpacking", etaSeconds=None), "2.0 GB unpacked"),
        (a_pull(phase="failed", endedAgeSeconds=1.0, ageSeconds=66.0), "in 1 min 05 s"),
    ],
)
def test_the_pace_of_a_pull(pull: dict[str, Any], pace: str) -> None:
    assert words.pace(pull) == pace


@pytest.mark.unit
def test_what_is_not_known_is_not_made_up() -> None:
    unknown = a_pull(
        sizeBytes=None, cachedBytes=None, downloadedBytes=None, bytesPerSecond=None, etaSeconds=None, layers=None
    )
    assert words.share(unknown) is None
    assert any("size unknown" in line for line in shown(a_report(unknown), 80))
    assert any("no pull at the moment" in line for line in shown(a_report(), 80))
    assert any("does not answer" in line for line in shown(None, 80))
    assert list(screen.lines(None)) == ["the exporter does not answer"]


def a_row(**changes: Any) -> dict[str, Any]:
    row = {
        "pod": "web-1",
        "node": "node-1",
        "image": "registry.example/ai/llm-server:2.4",
        "phase": "downloading",
        "waitingSeconds": 41.0,
        "blockedBy": "slow_download",
        "pull": a_pull(),
    }
    return {key: value for key, value in {**row, **changes}.items() if value is not None}


VIEW = {
    "pods": [
        a_row(pod="done", phase="pulled", blockedBy=None, waitingSeconds=None, pull=an_ended_pull()),
        a_row(),
        a_row(pod="next", phase="queued", blockedBy="queue", behind="registry.example/ai/llm-server:2.4", pull=None),
    ]
}


@pytest.mark.unit
@pytest.mark.parametrize("width", [120, 60])
def test_the_picture_of_pods_fits_and_says_everything(width: int) -> None:
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(pods.picture(VIEW, "The title", "http://127.0.0.1:1", width))
    drawn = capture.get().splitlines()
    assert max(len(line.rstrip()) for line in drawn) <= width
    text = "".join(drawn).replace(" ", "")
    for part in ("http://127.0.0.1:1/metrics", "web-1", "67%", "slow_download", "behindai/llm-server:2.4", "pulled"):
        assert part in text, part
    assert text.index("web-1") < text.index("done")


@pytest.mark.unit
def test_lines_tell_each_pod_with_its_verdict() -> None:
    assert list(pods.lines(VIEW)) == [
        "queued           next on node-1: ai/llm-server:2.4; blocked by queue; behind ai/llm-server:2.4; for 41 s",
        "downloading  67% web-1 on node-1: ai/llm-server:2.4; blocked by slow_download; 50.0 MB/s, 20 s left, for 41 s",
        "pulled      100% done on node-1: ai/llm-server:2.4; in 36 s",
    ]
    assert list(pods.lines({"pods": []})) == ["no pod waits for an image"]
    assert list(pods.lines(None)) == ["the aggregator does not answer"]


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
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=lambda number: str(number.name))
def test_the_demo_of_one_node_shows_pulls_and_ends_without_a_trace(folder: Path, ending: signal.Signals) -> None:
    with _demo(folder, "--node", "--seed", "1") as demo:
        output = iter(demo.stdout or ())
        url = _until(output, r"metrics: (http://\S+)/metrics")[1]
        line = _until(output, r"downloading +\d+% (\S+): .* of .*; .*/s, .* left; layers: .*downloading")
        with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
            assert f'repository="{line[1].partition("/")[2]}"' in answer.read().decode()
        with urllib.request.urlopen(f"{url}/v1/pulls", timeout=5) as answer:
            assert json.load(answer)["containerd"]["version"] == "2.1.9"
        children = _children(demo.pid)
        assert children
        demo.send_signal(ending)
        assert demo.wait(END_TIMEOUT) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert not list(folder.iterdir())
    port = int(url.rpartition(":")[2])
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.contract
@pytest.mark.parametrize("flags", [("--node", "--duration=5"), ("--duration=7",)], ids=["node", "cluster"])
def test_the_demo_draws_bars_in_a_terminal_and_ends_by_itself(folder: Path, flags: tuple[str, ...]) -> None:
    terminal, side = os.openpty()
    with os.fdopen(terminal, "rb", buffering=0) as screen_of_user, _demo(folder, *flags, output=side) as demo:
        os.close(side)
        drawn = b"".join(_chunks(screen_of_user)).decode()
        assert demo.wait(END_TIMEOUT) == 0
    assert "━" in drawn
    assert "/metrics" in drawn
    assert drawn.rstrip().endswith("\x1b[?25h")  # the cursor is back
    assert not list(folder.iterdir())


@pytest.mark.contract
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=lambda number: str(number.name))
def test_the_demo_shows_pods_with_their_verdicts_and_ends_without_a_trace(folder: Path, ending: signal.Signals) -> None:
    with _demo(folder, "--seed", "1") as demo:
        output = iter(demo.stdout or ())
        url = _until(output, r"metrics: (http://\S+)/metrics")[1]
        _until(output, r"downloading +\d+% llm-server-\d on node-\d: ai/llm-server:\S+; blocked by progressing")
        _until(output, r"queued +\S+ on node-1: shop/api:\S+; blocked by queue; behind ai/llm-server")
        _until(output, r"llm-server-2 on node-3: .*; blocked by slow_download")
        with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
            assert 'cause="slow_download"} 1' in answer.read().decode()
        children = _children(demo.pid)
        assert len(children) == 4
        demo.send_signal(ending)
        assert demo.wait(END_TIMEOUT) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert not list(folder.iterdir())


@pytest.mark.contract
@pytest.mark.parametrize("flags", [(), ("--node",)], ids=["cluster", "node"])
def test_an_exporter_that_does_not_start_is_shown(folder: Path, flags: tuple[str, ...]) -> None:
    with _demo(folder, *flags, PULLTRACE_POLL_INTERVAL="often") as demo:
        output, errors = demo.communicate(timeout=30)
        assert demo.returncode == 1
    assert "often" in errors
    assert not output
    assert not list(folder.iterdir())


@pytest.mark.integration
def test_the_demo_on_a_real_containerd(folder: Path) -> None:
    needs.containerd("2.1")
    with _demo(folder, "--real", "--seed", "1") as demo:
        output = iter(demo.stdout or ())
        _until(output, r"Pulltrace on containerd [12]\.")
        _until(output, r"downloading +\d+% \S+ai/llm-server.*: .* left; layers: .*downloading")
        children = _children(demo.pid)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(END_TIMEOUT) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert not list(folder.iterdir())


@contextmanager
def _demo(
    folder: Path, *arguments: str, output: int = subprocess.PIPE, **environment: str
) -> Iterator["subprocess.Popen[str]"]:
    """The demo with its temporary files in `folder`; killed with all its children if it is still there at the end."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "rig.demo", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.PIPE if output == subprocess.PIPE else output,
        env={**os.environ, "PYTHONPATH": str(TESTS), "TMPDIR": str(folder), "REAL": "", "TERM": "xterm", **environment},
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
