"""The chain on a real node: API server, kubelet and containerd, up to the receiver of the alerts."""

from pathlib import Path

import pytest

from rig import debian, needs
from rig.kubernetes import node
from rig.workday import workday

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def test_what_goes_wrong_on_a_real_node_is_told_by_its_pods_name(tmp_path: Path) -> None:
    if reason := node.reason_missing():
        needs.miss(reason)
    for package in (debian.PROMETHEUS, debian.ALERTMANAGER):
        needs.program(package)
    with node.RealNode() as real, workday(real, tmp_path) as day:
        day.missing_image()
        day.stalled_pull()
        told = [one for one in day.desk.hook.notifications if one.status == "firing"]
        by_pod = {one.labels["pod"]: one for one in told if "pod" in one.labels}
        assert by_pod["missing"].name == "PulltraceImageNotFound"
        assert by_pod["stalled"].name == "PulltracePullStalled"
        assert "Verdict: stalled." in by_pod["stalled"].annotations["description"]
        assert "behind" not in by_pod
        for one in told:
            assert "<no value>" not in " ".join(one.annotations.values())
