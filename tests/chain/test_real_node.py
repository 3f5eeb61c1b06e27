"""The chain on a real node: API server, kubelet and containerd, up to the receiver of the alerts.

On the way each query of each dashboard is asked; which ones show something is seen on the chain of stand-ins.
"""

from functools import partial
from pathlib import Path

import pytest

from chain.panels import Panels
from rig import debian, needs
from rig.alertmanager import Notification
from rig.kubernetes.real import single_node
from rig.real_node_scenarios import real_node_scenarios

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def test_alerts_of_a_real_node_name_the_pod(tmp_path: Path) -> None:
    if reason := single_node.reason_missing():
        needs.miss(reason)
    for package in (debian.PROMETHEUS, debian.ALERTMANAGER):
        needs.program(package)
    with single_node.RealNode() as real, real_node_scenarios(real, tmp_path) as day:
        pods = ({"namespace": day.out.namespace, "pod": name} for name in ("stalled", "behind", "missing"))
        panels = Panels({"node": ({"node": real.name},), "pod": tuple(pods)})
        look = partial(panels.ask, day.monitoring, again=True)
        day.missing_image()
        look()
        told: list[Notification] = []

        def look_in_the_stall() -> None:
            look()
            told.extend(one for one in day.monitoring.hook.notifications if one.status == "firing")

        day.stalled_pull(look_in_the_stall)
        look()
        by_pod = {one.labels["pod"]: one for one in told if "pod" in one.labels}
        assert (by_pod["missing"].name, by_pod["missing"].labels["reason"]) == (
            "PulltraceImagePullFailing",
            "not_found",
        )
        assert by_pod["stalled"].name == "PulltracePullStalled"
        assert "Blocked by: stalled." in by_pod["stalled"].annotations["description"]
        assert "behind" not in by_pod
        for one in told:
            assert "<no value>" not in " ".join(one.annotations.values())
