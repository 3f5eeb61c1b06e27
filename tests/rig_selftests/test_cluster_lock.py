"""The lock of clusters: held by whoever has a copy of the open file, also when its first holder has gone."""

import os
from pathlib import Path

import pytest

from rig.kubernetes.real import cluster_lock

pytestmark = pytest.mark.unit


def test_the_next_cluster_waits_for_the_last_copy_and_is_told_who_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_lock, "PATH", tmp_path / "lock")
    first = cluster_lock.take()
    copy = os.dup(first)
    os.close(first)
    with pytest.raises(cluster_lock.ClusterRunning, match=f"process {os.getpid()} has run a cluster"):
        cluster_lock.take(timeout=0)
    os.close(copy)
    os.close(cluster_lock.take(timeout=0))
