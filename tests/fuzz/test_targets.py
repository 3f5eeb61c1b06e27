"""No input that a fuzzer makes of what peers send leads to an exception but our own, or takes long, or much memory."""

from pathlib import Path

import pytest

from fuzz.running import fuzz
from fuzz.targets import SHARES

pytestmark = pytest.mark.contract

RUNS_FOR_EACH_SHARE = 80
"""Three or four seconds for each target; `make fuzz` goes on from there."""


@pytest.mark.parametrize("name", SHARES)
def test_no_input_leads_to_an_exception_but_our_own(name: str, tmp_path: Path) -> None:
    outcome = fuzz(name, tmp_path, runs=SHARES[name] * RUNS_FOR_EACH_SHARE, seed=1, patience=100)
    assert not outcome.fault, f"{outcome.fault}\ntests/fuzz/corpus/{name} is for the input, once it is mended"
    assert outcome.runs >= SHARES[name] * RUNS_FOR_EACH_SHARE
