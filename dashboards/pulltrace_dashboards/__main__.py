"""`python -m pulltrace_dashboards`: write the JSON files beside the source."""

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from pulltrace_dashboards import pages
from pulltrace_dashboards.page import Page, dashboard

FOLDER = Path(__file__).parents[1]
OF_INTERVALS = ("auto", "auto_min", "auto_count")
"""What only a variable of intervals has, and the builders write into all."""


def text(page: Page) -> str:
    """The file of a dashboard."""
    model = json.loads(json.dumps(dashboard(page), cls=JSONEncoder))
    for variable in model["templating"]["list"]:
        for key in OF_INTERVALS:
            del variable[key]
    return json.dumps(model, indent=2, ensure_ascii=False) + "\n"


def path(page: Page) -> Path:
    """Where it is kept."""
    return FOLDER / f"{page.uid.removeprefix('pulltrace-')}.json"


def main() -> int:
    """Write all of them."""
    for page in pages():
        path(page).write_text(text(page))
    return 0


if __name__ == "__main__":
    sys.exit(main())
