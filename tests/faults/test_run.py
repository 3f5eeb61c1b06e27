"""A few rounds of a run of faults; `make faults` plays all kinds, and as many rounds as it is told."""

import pytest

from faults.run import faults
from rig import clock, needs
from rig.kubernetes.real import api_server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

CHOSEN = (
    "containerd killed",
    "registry killed",
    "exporter paused",
    "node's clock set back",
    "API server killed",
)


def test_what_must_hold_holds_after_each_fault() -> None:
    needs.containerd("2.1")
    if reason := api_server.reason_missing() or clock.reason_missing():
        needs.miss(reason)
    told: list[str] = []
    broken = faults(seed=1, steps=len(CHOSEN), label="2.1", names=CHOSEN, tell=told.append)
    assert not broken, "\n".join(told)
