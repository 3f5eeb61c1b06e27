import subprocess
from pathlib import Path

import pytest

from rig import needs
from rig.debian import PROMTOOL

pytestmark = pytest.mark.integration

TESTS = Path(__file__).parent


@pytest.mark.parametrize("program", ["exporter", "aggregator"])
def test_promtool_has_nothing_to_say_about_the_golden_scrape(program: str) -> None:
    with (TESTS / program / "golden/plain.prom").open() as scrape:
        checked = subprocess.run(
            [needs.program(PROMTOOL), "check", "metrics"], stdin=scrape, capture_output=True, text=True, check=False
        )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
