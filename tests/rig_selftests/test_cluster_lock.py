"""The lock of clusters: held by whoever has a copy of the open file, also when its first holder has gone."""

import os
from pathlib import Path

import pytest

from rig.kube import lock

pytestmark = pytest.mark.unit


def test_the_next_cluster_waits_for_the_last_copy_and_is_told_who_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PATH", tmp_path / "lock")
    first = lock.take()
    copy = os.dup(first)
    os.close(first)
    with pytest.raises(lock.ClusterRunning, match=f"process {os.getpid()} has run a cluster"):
        lock.take(timeout=0)
    os.close(copy)
    os.close(lock.take(timeout=0))
