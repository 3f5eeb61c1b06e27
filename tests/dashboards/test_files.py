"""The dashboards' files: fresh, whole, in the grid, and about metrics that exist."""

import itertools
import re
from collections import Counter
from enum import StrEnum
from pathlib import Path

import pytest

from pulltrace.model.pull import LayerState
from pulltrace_aggregator.model.states import Cause, FailureReason, PodPhase, StaleReason
from pulltrace_aggregator.pods.image_wait import Stage
from pulltrace_alerts.recorded import overviews
from pulltrace_alerts.settings import Settings
from pulltrace_dashboards import __main__ as generator
from pulltrace_dashboards import look, pages
from pulltrace_dashboards.page import FIRST_SCREEN, RUNBOOKS, WIDTH, Page
from rig import promql
from rig.dashboards import FOLDER, Json, all_queries, choices, files, panels, queries, used_variables

pytestmark = pytest.mark.unit

NAMES = ("itself", "node", "overview", "pod", "registry")
ALERTS = {"alertname", "alertstate", "severity", "namespace", "pod", "node", "registry"}
RULES = overviews(Settings())
KNOWN = {**promql.SCRAPED, "ALERTS": ALERTS, **{rule.name: set(rule.labels) for rule in RULES}}
SCREENS = (1440, 1140)
HONEST = re.compile("exporter|aggregator|rules|kubelet|unknown")
every_dashboard = pytest.mark.parametrize("name", NAMES)


def asked(name: str) -> list[str]:
    """What a dashboard asks for its panels and its variables."""
    dashboard = files()[name]
    return [each.expr for each in queries(name, dashboard)] + [each.selector for each in choices(name, dashboard)]


def tables(name: str) -> list[Json]:
    return [panel for panel in panels(files()[name]) if panel["type"] == "table"]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.uid)
def test_the_generated_files_are_fresh(page: Page) -> None:
    assert generator.path(page).read_text() == generator.text(page), "run `make dashboards`"


def test_there_are_no_other_files() -> None:
    assert {path.name for path in FOLDER.glob("*.json")} == {f"{name}.json" for name in NAMES}
    assert {generator.path(page) for page in pages()} == set(FOLDER.glob("*.json"))


def test_addresses_are_those_that_bookmarks_and_runbooks_hold() -> None:
    assert {name: files()[name]["uid"] for name in NAMES} == {name: f"pulltrace-{name}" for name in NAMES}


@every_dashboard
def test_panels_have_ids_that_do_not_depend_on_their_place(name: str) -> None:
    ids = [panel["id"] for panel in files()[name]["panels"]]
    assert len(set(ids)) == len(ids)
    assert all(0 < number < 100 for number in ids)


def test_known_panels_keep_their_ids() -> None:
    """Links to a single panel hold its id; one may be given up, but never to another panel."""
    held = dict(line.split("\t") for line in (Path(__file__).parent / "panels.tsv").read_text().splitlines())
    now = {f"{name}/{panel['id']}": panel["title"] for name in NAMES for panel in files()[name]["panels"]}
    assert now == held


@every_dashboard
def test_no_panel_overlaps_another_or_leaves_the_grid(name: str) -> None:
    cells: set[tuple[int, int]] = set()
    for panel in files()[name]["panels"]:
        place = panel["gridPos"]
        columns, rows = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        own = set(itertools.product(columns, rows))
        assert own
        assert not own & cells, panel["title"]
        assert max(x for x, _ in own) < WIDTH, panel["title"]
        cells |= own


@every_dashboard
def test_bands_fill_the_width(name: str) -> None:
    bands = Counter[int]()
    for panel in files()[name]["panels"]:
        bands[panel["gridPos"]["y"]] += panel["gridPos"]["w"]
    assert set(bands.values()) == {WIDTH}


@every_dashboard
def test_the_first_screen_ends_between_two_panels(name: str) -> None:
    """What a laptop shows without scrolling are whole panels that answer the dashboard's question."""
    places = [panel["gridPos"] for panel in panels(files()[name])]
    ends = {place["y"] + place["h"] for place in places if place["y"] + place["h"] <= FIRST_SCREEN}
    assert max(ends) >= FIRST_SCREEN - 1
    assert all(place["y"] >= max(ends) or place["y"] + place["h"] <= max(ends) for place in places)


@every_dashboard
def test_every_panel_says_what_good_looks_like_and_what_no_data_means(name: str) -> None:
    """Nothing to show is never told as calm alone: perhaps nobody looks."""
    for panel in panels(files()[name]):
        assert len(panel["description"]) > 60, panel["title"]
        defaults = panel["fieldConfig"]["defaults"]
        assert HONEST.search(defaults["noValue"]), panel["title"]
        words = panel["type"] in ("table", "state-timeline")
        assert "unit" in defaults or words or panel["options"]["reduceOptions"].get("values")


@every_dashboard
def test_an_empty_cell_does_not_say_what_an_empty_table_says(name: str) -> None:
    for panel in tables(name):
        titles = set(panel["transformations"][-1]["options"]["renameByName"].values())
        overrides = {item["matcher"]["options"]: item["properties"] for item in panel["fieldConfig"]["overrides"]}
        assert set(overrides) == titles
        assert all({"id": "noValue", "value": "-"} in properties for properties in overrides.values())


@every_dashboard
@pytest.mark.parametrize("screen", SCREENS)
def test_the_columns_of_a_table_fit_the_screen(name: str, screen: int) -> None:
    """The page, the grid and the panel have margins."""
    for panel in tables(name):
        columns = [each for each in panel["fieldConfig"]["overrides"] if each["matcher"]["options"] != "Cluster"]
        room = panel["gridPos"]["w"] / WIDTH * (screen - 24) - 26
        assert sum(_width(column) for column in columns) <= room, panel["title"]


@every_dashboard
def test_titles_fit_their_panels_on_the_narrow_screen(name: str) -> None:
    """A letter of a title takes 8.2 pixels; its margins and the mark of its description take 62."""
    for panel in panels(files()[name]):
        room = panel["gridPos"]["w"] / WIDTH * (min(SCREENS) - 24) - 62
        assert len(panel["title"]) * 8.2 <= room, panel["title"]


def _width(column: Json) -> int:
    """Without one it takes 150 pixels at least."""
    return next((item["value"] for item in column["properties"] if item["id"] == "custom.width"), 150)


@every_dashboard
def test_a_figure_of_now_is_asked_for_now(name: str) -> None:
    """The last value of a range is what an exporter said that has been gone for minutes."""
    for panel in panels(files()[name]):
        if panel["type"] in ("stat", "bargauge", "table"):
            assert all(target["instant"] and not target.get("range") for target in panel["targets"]), panel["title"]


@every_dashboard
def test_a_panel_says_which_choices_it_does_not_follow(name: str) -> None:
    offered = [one for one in files()[name]["templating"]["list"] if one["type"] == "query" and not one.get("hide")]
    for panel in panels(files()[name]):
        used = used_variables([target["expr"] for target in panel["targets"]])
        ignored = [one["label"] for one in offered if one["name"] not in used]
        assert all(label in panel["description"] for label in ignored), panel["title"]


@every_dashboard
def test_every_query_goes_to_the_chosen_source(name: str) -> None:
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels(files()[name]):
        for part in (panel, *panel.get("targets", ())):
            assert part.get("datasource", source) == source
    for variable in files()[name]["templating"]["list"][1:]:
        assert variable["datasource"] == source


@every_dashboard
def test_every_variable_is_used_and_every_used_one_is_there(name: str) -> None:
    dashboard = files()[name]
    offered = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert offered[:2] == ["datasource", "cluster"]
    assert used_variables(asked(name)) | {"datasource"} == set(offered)


@every_dashboard
def test_the_cluster_is_hidden_and_carried_in_every_query(name: str) -> None:
    cluster = files()[name]["templating"]["list"][1]
    assert cluster["hide"] == 2
    for query in queries(name, files()[name]):
        assert 'cluster=~"$cluster"' in query.expr, query


def test_what_rules_have_summed_over_all_nodes_is_not_summed_anew() -> None:
    """But for exact amounts, which a mean of rates does not give. A rule has no label of a node to choose by."""
    summed = {metric for rule in RULES for metric in promql.metrics_of(rule.expr)}
    anew = {
        query.key
        for query in all_queries(files())
        if "$node" not in query.expr and promql.metrics_of(query.expr) & summed
    }
    assert anew == {"registry/1A", "registry/1B"}


@every_dashboard
def test_alerts_that_fired_are_marked_on_the_charts(name: str) -> None:
    [mark] = files()[name]["annotations"]["list"]
    assert mark["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert promql.unknown(mark["expr"], KNOWN) == []
    assert 'cluster=~"$cluster"' in mark["expr"]
    named = set(re.findall(r"\{\{(\w+)\}\}", mark["titleFormat"] + mark["textFormat"]))
    assert named <= ALERTS


@every_dashboard
def test_links_carry_time_and_variables(name: str) -> None:
    dashboard = files()[name]
    assert [link for link in dashboard["links"] if link["keepTime"] and link["includeVars"]]
    assert [link["url"] for link in dashboard["links"] if link["title"] == "Runbooks"] == [RUNBOOKS]
    for url in _urls(dashboard):
        target, _, arguments = url.removeprefix("/d/").partition("?")
        assert target in {page.uid for page in pages()}
        assert "from=${__from}&to=${__to}" in arguments
        assert "var-datasource=${datasource}" in arguments
        assert "var-cluster=${__data.fields.cluster}" in arguments
        variables = {v["name"] for v in files()[target.removeprefix("pulltrace-")]["templating"]["list"]}
        assert {part.split("=")[0][4:] for part in arguments.split("&") if part.startswith("var-")} <= variables


@every_dashboard
def test_a_link_names_fields_that_its_table_has(name: str) -> None:
    for panel in panels(files()[name]):
        for url in _urls(panel):
            fields = {part.split(".")[2].rstrip("}") for part in url.split("&") if "__data.fields" in part}
            assert fields <= set(panel["transformations"][-1]["options"]["renameByName"]), panel["title"]


def _urls(part: object) -> list[str]:
    if isinstance(part, dict):
        own = [part["url"]] if isinstance(part.get("url"), str) and part["url"].startswith("/d/") else []
        return own + [url for value in part.values() for url in _urls(value)]
    return [url for value in part for url in _urls(value)] if isinstance(part, list) else []


@every_dashboard
def test_queries_speak_of_metrics_and_labels_that_exist(name: str) -> None:
    for text in asked(name):
        assert promql.unknown(text.replace("$__range", "5m"), KNOWN) == [], text


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (look.CAUSES, Cause),
        (look.POD_PHASES, PodPhase),
        (look.REASONS, FailureReason),
        (look.LAYER_STATES, LayerState),
        (look.STALE, StaleReason),
        (look.STAGES, Stage),
    ],
)
def test_every_value_of_a_label_has_a_word_and_a_colour(words: dict[str, object], values: type[StrEnum]) -> None:
    assert set(words) == {str(value) for value in values}


ALL_WORDS = (
    look.CAUSES,
    look.POD_PHASES,
    look.PULL_PHASES,
    look.LAYER_STATES,
    look.STALE,
    look.REASONS,
    look.SEVERITIES,
)


@pytest.mark.parametrize("colour", sorted({colour for words in ALL_WORDS for _, colour in words.values()}))
def test_the_word_on_a_coloured_cell_can_be_read(colour: str) -> None:
    """Grafana writes in its black on what is brighter than 180 of 255, in its white on the rest."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    bright = (299 * red + 587 * green + 114 * blue) / 1000 > 180
    letters = (32, 34, 38) if bright else (247, 248, 250)
    dark, light = sorted((_luminance(red, green, blue), _luminance(*letters)))
    assert (light + 0.05) / (dark + 0.05) >= 3


def _luminance(*channels: int) -> float:
    """As WCAG defines it, of a colour in sRGB."""
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (c / 255 for c in channels)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
