import os
import subprocess
from pathlib import Path

import pytest

from rig.debian import PROMTOOL, PackageUnavailable, unpacked

pytestmark = pytest.mark.integration

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def promtool() -> Path:
    try:
        return unpacked(PROMTOOL) / PROMTOOL.program
    except PackageUnavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


def test_promtool_has_nothing_to_say_about_the_golden_scrape(promtool: Path) -> None:
    with (GOLDEN / "plain.prom").open() as scrape:
        checked = subprocess.run(
            [promtool, "check", "metrics"], stdin=scrape, capture_output=True, text=True, check=False
        )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
