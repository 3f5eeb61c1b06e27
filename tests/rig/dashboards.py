"""The dashboards' files as tests read them: panels, queries and variables, and what a Prometheus answers to them."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rig.prometheus import Prometheus, Series

FOLDER = Path(__file__).parents[2] / "dashboards"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """A query of a panel. `instant` ones are asked for one moment, the others for a range."""

    dashboard: str
    panel: str
    panel_id: int
    ref: str
    expr: str
    instant: bool

    @property
    def key(self) -> str:
        """What it is called in lists of queries; it does not change with the panel's place or title."""
        return f"{self.dashboard}/{self.panel_id}{self.ref}"

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel} ({self.panel_id}{self.ref})"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a variable offers: the values of a label on the series of a selector."""

    dashboard: str
    name: str
    selector: str
    label: str

    def __str__(self) -> str:
        return f"{self.dashboard}: ${self.name}"


@cache
def files() -> Mapping[str, Json]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def panels(dashboard: Json) -> Iterator[Json]:
    """The panels that show something, headings left out."""
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def queries(name: str, dashboard: Json) -> list[Query]:
    return [
        Query(name, panel["title"], panel["id"], target["refId"], target["expr"], bool(target.get("instant")))
        for panel in panels(dashboard)
        for target in panel.get("targets", ())
    ]


def choices(name: str, dashboard: Json) -> list[Choice]:
    found = []
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
            assert asked, variable["query"]
            found.append(Choice(name, variable["name"], asked[1], asked[2]))
    return found


def all_queries(dashboards: Mapping[str, Json]) -> list[Query]:
    return [query for name, dashboard in dashboards.items() for query in queries(name, dashboard)]


def all_choices(dashboards: Mapping[str, Json]) -> list[Choice]:
    return [choice for name, dashboard in dashboards.items() for choice in choices(name, dashboard)]


@dataclass(frozen=True, slots=True)
class Look:
    """The last `seconds` until `end` in a dashboard on this Prometheus, with a point of a graph each `step` seconds."""

    server: Prometheus
    end: float
    seconds: float
    step: float
    rate_interval: int

    def answer(self, query: Query, chosen: Mapping[str, str]) -> list[Series]:
        """What Grafana gets for a panel with this choice; raises QueryFailed."""
        expr = substituted(query.expr, chosen, int(self.seconds), self.rate_interval)
        if query.instant:
            return self.server.query(expr, self.end)
        return self.server.query_range(expr, self.end - self.seconds, self.end, self.step)

    def offered(self, choice: Choice, chosen: Mapping[str, str]) -> list[str]:
        """The values that a variable offers; raises QueryFailed."""
        selector = substituted(choice.selector, chosen, int(self.seconds), self.rate_interval)
        return self.server.label_values(choice.label, selector, self.end - self.seconds, self.end)


def substituted(text: str, chosen: Mapping[str, str], seconds: int, interval: int = 60) -> str:
    """A query as Grafana sends it: what is not chosen is All."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        built_in = {"__range": f"{seconds}s", "__rate_interval": f"{interval}s"}
        return built_in.get(name) or chosen.get(name, ".*")

    return re.sub(r"\$([a-zA-Z_]\w*)", value, text)


def used_variables(texts: Sequence[str]) -> set[str]:
    """The variables that are named in these texts, Grafana's own left out."""
    found = {name for text in texts for pair in re.findall(r"\$([a-zA-Z_]\w*)|\$\{(\w+)", text) for name in pair}
    return {name for name in found if name and not name.startswith("__")}
