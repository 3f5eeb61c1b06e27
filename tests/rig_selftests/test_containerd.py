"""A real containerd of the tests says why it does not start, and leaves nothing behind."""

import os
from pathlib import Path

import pytest

from rig import debian, needs
from rig.containerd import NodeFailed, RealContainerd
from rig.containerd_config import Settings
from rig.images import KIB, build
from rig.registry import Registry

pytestmark = pytest.mark.integration


@pytest.fixture
def label() -> str:
    label = next(iter(debian.CONTAINERD))
    needs.containerd(label)
    return label


def test_closing_leaves_nothing_behind(label: str) -> None:
    with Registry() as registry, RealContainerd.fresh(label) as node:
        pid, folder = node.pid, node.folders.base
        node.pull(registry.push(build("team/app", (KIB,))).reference(registry.host)).wait()
    assert not folder.exists()
    assert str(folder) not in Path("/proc/self/mountinfo").read_text()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_daemon_that_cannot_start_says_why(label: str) -> None:
    with pytest.raises(NodeFailed, match="TOML"):
        RealContainerd.fresh(label, Settings(extra="nonsense"))
