"""The chain on a real node: API server, kubelet and containerd, up to the receiver of the alerts."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from chain.panels import NEVER, Panels
from rig import debian, needs
from rig.alertmanager import Notification
from rig.kubernetes.real import single_node
from rig.real_node_scenarios import real_node_scenarios

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

OTHERS = "another node"
CRASH = "a containerd that cannot be read, or an exporter or an API server that is gone"
RATE = "more than the first pull of a registry"
ELSEWHERE: Final[Mapping[str, str]] = {
    "itself/5A": CRASH,
    "itself/7A": CRASH,
    "itself/7C": CRASH,
    "itself/11A": CRASH,
    "itself/12A": CRASH,
    "node/3A": "a registry that does not answer",
    "node/10A": RATE,
    "node/12A": OTHERS,
    "node/13A": "a kubelet whose line the exporter is shown",
    "node/17A": CRASH,
    "overview/9B": "a layer that is unpacked at the moment of the look",
    "pod/11B": OTHERS,
    **dict.fromkeys(("pod/13A", "pod/13B", "pod/13C", "pod/13D"), OTHERS),
    **dict.fromkeys(("registry/1F", "registry/1G", "registry/1H"), RATE),
    "registry/2E": "a pull that fails when its image is known",
    "registry/2H": OTHERS,
    "registry/5A": RATE,
    "registry/6A": RATE,
    "registry/9D": OTHERS,
}
"""What the queries need that nothing is shown for here; the chain of stand-ins has it."""


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
        assert panels.empty().keys() - NEVER.keys() - ELSEWHERE.keys() == set(), panels.empty()
        assert panels.empty_choices() == set()
