"""A real node runs pods, and leaves the machine as it was."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rig import needs, runnable
from rig.kubernetes import objects
from rig.kubernetes.real import single_node
from rig.kubernetes.real.daemons import ClusterFailed
from rig.kubernetes.real.mount_namespace import MountNamespace
from rig.kubernetes.real.single_node import RealNode
from rig.kubernetes.real.supervisor import KERNEL
from rig.processes import Process
from rig.web import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

OUTSIDE = ("/var/log/pods", "/var/log/containers", "/var/lib/kubelet", "/usr/libexec/kubernetes")
"""Where kubelets write, and this one must not."""


@pytest.fixture(autouse=True)
def _possible() -> None:
    if reason := single_node.reason_missing():
        needs.miss(reason)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Its name is that of control groups, and must be the only one of its kind."""
    path = tmp_path / f"enclosed-{os.getpid()}"
    path.mkdir()
    yield path
    assert not remains(path)


def machine() -> dict[str, object]:
    """What a kubelet would change of it."""
    parameters = {name: Path("/proc/sys", name).read_text() for name in KERNEL}
    return {**parameters, **{path: sorted(Path(path).glob("*")) for path in OUTSIDE}}


def remains(folder: Path) -> list[str]:
    """Mounts and control groups of this folder, and processes that name it."""
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in line]
    groups = [path for path, _, _ in os.walk("/sys/fs/cgroup") if Path(path).name == folder.name]
    return [*mounts, *groups, *(command for command in commands() if str(folder) in command)]


def commands() -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # ended meanwhile


def test_a_pod_runs_and_nothing_of_it_outlives_the_node() -> None:
    before = machine()
    with RealNode() as running:
        folder = running.mounts.folder
        image = running.registry.push(runnable.runnable("team/app"))
        pod = running.pod("default", "app", objects.container(image=image.reference(running.registry.host)))
        wait_until(lambda: running.refreshed(pod)["status"]["phase"] == "Running", 60)
        assert remains(folder)
        assert machine() == before
    assert machine() == before
    assert not folder.exists()
    assert not remains(folder)


def test_what_cannot_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = machine()
    make, made = tempfile.mkdtemp, list[Path]()

    def noted(*arguments: Any, **named: Any) -> str:
        made.append(Path(make(*arguments, **named)))
        return str(made[-1])

    monkeypatch.setattr(tempfile, "mkdtemp", noted)
    with pytest.raises(ClusterFailed, match="kubelet ended"), RealNode(syncFrequency="never"):
        pass
    assert machine() == before
    assert made
    assert not [folder for folder in made if folder.exists() or remains(folder)]


def test_a_mount_namespace_ends_what_runs_in_it_and_hides_what_it_writes(folder: Path) -> None:
    before = machine()
    with MountNamespace(folder) as opened:
        script = f"touch /var/log/mine; echo 7 > /proc/sys/kernel/panic; : {folder}/; while :; do sleep 1000; done"
        inside = Process(["sh", "-c", script], folder / "inside.log", within=opened.within)
        wait_until((folder / "log/mine").exists)
        group = next(Path("/sys/fs/cgroup/pids").glob(folder.name), None)
        stray = Process(["sleep", "1000"], folder / "stray.log")
        if group:
            (group / "cgroup.procs").write_text(str(stray.pid))
        assert machine() == before
        assert not Path("/var/log/mine").exists()
    assert inside.wait() < 0
    if group:
        assert stray.wait() < 0
    stray.kill()
