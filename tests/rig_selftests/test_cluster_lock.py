"""The lock of clusters: held by whoever has a copy of the open file, also when its first holder has gone."""

import os
from pathlib import Path

import pytest

from rig.kubernetes.real import enclosure

pytestmark = pytest.mark.unit


def test_the_next_cluster_waits_for_the_last_copy_and_is_told_who_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enclosure, "LOCK", tmp_path / "lock")
    with enclosure.locked() as first:
        copy = os.dup(first)
    with (
        pytest.raises(enclosure.ClusterRunning, match=f"process {os.getpid()} has run a cluster"),
        enclosure.locked(timeout=0),
    ):
        pass
    os.close(copy)
    with enclosure.locked(timeout=0):
        pass
