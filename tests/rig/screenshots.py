"""Pictures of the dashboards, drawn by Grafana's frontend packages in Chromium: `python -m rig.screenshots [FOLDER]`.

Without a folder the pictures of the docs are written. With one, every dashboard is drawn at two widths, dark and light,
with data, without, and with exporters that are gone, for a person to look at.
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashboards.scenes import scene
from rig import grafana, needs
from rig.dashboards import Json, files, panels
from rig.grafana import STEP, Question
from rig.processes import run
from rig.prometheus import Prometheus
from rig.sample_hour.loaded import loaded
from rig.sample_hour.scenario import sample_hour
from rig.sample_hour.stored_series import stored_hour
from rig.sample_hour.timelines import HOUR_END

PROJECT = Path(__file__).parents[2] / "dashboards/grafana/screenshots"
DOCS = Path(__file__).parents[2] / "docs/dashboards"
WIDE, NARROW = 1440, 1140
GONE_SECONDS = 240.0
"""How long after the last scrape the exporters and the aggregator of the sample hour are gone."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A dashboard at a moment, in a theme, at a width in pixels."""

    name: str
    file: Path
    theme: str = "dark"
    width: int = WIDE
    moment: str = "data"


def main(arguments: Sequence[str]) -> int:
    """Draw, and name the tables that have to be scrolled sideways."""
    wanted = list(_review(Path(arguments[0])) if arguments else _docs())
    end = time.time() // STEP * STEP
    with tempfile.TemporaryDirectory() as folder:
        stored = stored_hour(sample_hour(), end - HOUR_END, STEP)
        with loaded(stored, end, STEP, Path(folder)) as server:
            asked = [_input(picture, server, end) for picture in wanted]
        print(_drawn(asked, Path(folder)), end="")  # noqa: T201
    return 0


def _docs() -> Iterator[Picture]:
    for name in files():
        yield Picture(name, DOCS / f"{name}.png")


def _review(folder: Path) -> Iterator[Picture]:
    folder.mkdir(parents=True, exist_ok=True)
    for name in files():
        for width in (WIDE, NARROW):
            for theme in ("dark", "light"):
                for moment in ("data", "nothing", "gone"):
                    yield Picture(name, folder / f"{name}-{width}-{theme}-{moment}.png", theme, width, moment)


def _input(picture: Picture, server: Prometheus, end: float) -> Json:
    now = end + (GONE_SECONDS if picture.moment == "gone" else 0)
    dashboard = files()[picture.name]
    shown = {"now-1h": 3600.0, "now-30m": 1800.0}[dashboard["time"]["from"]]
    return {
        "dashboard": dashboard,
        "answers": {panel["id"]: _answers(picture, panel, server, now) for panel in panels(dashboard)},
        "from": (now - shown) * 1000,
        "to": now * 1000,
        "theme": picture.theme,
        "width": picture.width,
        "file": str(picture.file.absolute()),
    }


def _answers(picture: Picture, panel: Json, server: Prometheus, now: float) -> Mapping[str, Any]:
    if picture.moment == "nothing":
        return {}
    asked: Question = grafana.question(server, picture.name, panel, scene(picture.name, panel["id"]), now)
    found: Mapping[str, Any] = asked.as_json()["answers"]
    return found


def _drawn(asked: Sequence[Json], folder: Path) -> str:
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("chromium is not installed; Debian: apt-get install chromium")
    built = grafana.packages(PROJECT)
    for part in ("index.html", "vite.config.js", "src"):
        copy = shutil.copytree if (PROJECT / part).is_dir() else shutil.copy
        shutil.rmtree(built / part, ignore_errors=True)
        copy(PROJECT / part, built / part)
    shutil.copy(PROJECT.parent / "frames.mjs", built / "src")
    run([built / "node_modules/.bin/vite", "build", "--logLevel", "error"], timeout=300, cwd=built)
    file = folder / "input.json"
    file.write_text(json.dumps(asked))
    return run([needs.node(), PROJECT / "shoot.mjs", built, chromium, file], timeout=600)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
