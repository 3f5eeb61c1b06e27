"""Draw all dashboards into docs/dashboards, or another folder."""

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import cast

from matplotlib.figure import Figure
from PIL import Image

from rig import prometheus
from rig.dashboards import files, panels
from rig.sample_hour.scenario import sample_hour
from rig.sample_hour.stored_series import stored_hour
from rig.sample_hour.timelines import HOUR_END
from rig.sketch.answers import Moment, answers
from rig.sketch.drawing import figure

FOLDER = Path(__file__).parents[3] / "docs/dashboards"
STEP = 15
SCENES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "overview": ("all of the cluster", {}),
    "pod": ("shop / web-7c9f5d-slow1", {"namespace": "shop", "pod": "web-7c9f5d-slow1"}),
    "node": ("node-10", {"node": "node-10"}),
    "registry": ("all registries and images", {}),
    "itself": ("all of the cluster", {}),
}


def main(arguments: Sequence[str]) -> None:
    """Play, ask, draw."""
    folder = Path(arguments[0]) if arguments else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    epoch = time.time() // STEP * STEP - HOUR_END
    with tempfile.TemporaryDirectory() as name:
        data = prometheus.written(prometheus.NEW, stored_hour(sample_hour(), epoch, STEP).lines(), Path(name))
        with prometheus.prometheus(data=data, lookback=f"{STEP - 1}s") as server:
            for name, (caption, chosen) in SCENES.items():
                dashboard = files()[name]
                minutes = {"now-1h": 60, "now-30m": 30}[dashboard["time"]["from"]]
                moment = Moment(epoch + HOUR_END - 60 * minutes, epoch + HOUR_END, chosen)
                found = {}
                for panel in panels(dashboard):
                    panel["moment"] = (moment.start, moment.end)
                    found[panel["id"]] = answers(server, panel, moment)
                picture = figure(dashboard, found, f"sketch of a made-up hour, not a screenshot · {caption}")
                _save(picture, folder / f"{name}.png")


def _save(picture: Figure, path: Path) -> None:
    """As a small file: the colours that most of it has are enough, and stay as they are."""
    content = BytesIO()
    picture.savefig(content, dpi=100)
    image = Image.open(content).convert("RGB")
    counted = sorted(image.getcolors(image.width * image.height) or (), reverse=True)[:256]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, colour in counted for part in cast("tuple[int, int, int]", colour)])
    image.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
