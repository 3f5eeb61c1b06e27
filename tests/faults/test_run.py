"""A few rounds of a run of faults; `make faults` plays all kinds, and as many rounds as it is told."""

import pytest

from faults.run import faults
from rig import needs
from rig.kubernetes import real

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

CHOSEN = ("containerd killed", "registry's connections cut", "exporter paused", "API server killed")


def test_what_must_hold_holds_after_each_fault() -> None:
    needs.containerd("2.1")
    if reason := real.reason_missing():
        needs.miss(reason)
    told: list[str] = []
    broken = faults(seed=1, steps=len(CHOSEN), label="2.1", names=CHOSEN, tell=told.append)
    assert not broken, "\n".join(told)
