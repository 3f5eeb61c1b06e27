"""What Grafana's own code makes of every panel, with the answers of a real Prometheus, and without any."""

import time
from collections.abc import Iterator

import pytest

from dashboards.scenes import scene
from pulltrace_aggregator.diagnosis.blocked_by import RULES
from pulltrace_dashboards import look
from rig import grafana
from rig.dashboards import Json, files, panels
from rig.grafana import STEP, Question
from rig.prometheus import Prometheus
from rig.sample_hour.loaded import loaded
from rig.sample_hour.scenario import sample_hour
from rig.sample_hour.stored_series import stored_hour
from rig.sample_hour.timelines import HOUR_END

pytestmark = pytest.mark.integration

CLUSTER = "east"
NO_COLOURS = ("rgba(0,0,0,0)", "#00000000")
OPTIONAL_COLUMNS = {"Cluster"}
"""Columns that are there only where series have the label."""


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, float]]:
    """The made-up hour in the newest Prometheus, and when it ends."""
    epoch = time.time() // STEP * STEP - HOUR_END
    stored = stored_hour(sample_hour(), epoch, STEP, cluster=CLUSTER)
    with loaded(stored, epoch + HOUR_END, STEP, tmp_path_factory.mktemp("hour")) as server:
        yield server, epoch + HOUR_END


@pytest.fixture(scope="module")
def shown(hour: tuple[Prometheus, float]) -> dict[str, Json]:
    """Grafana's report of each panel in the scene that fills it, by dashboard and id."""
    questions = {
        f"{name}/{panel['id']}": _asked(name, panel, *hour) for name, file in files().items() for panel in panels(file)
    }
    return dict(zip(questions, grafana.reports([*questions.values()]), strict=True))


@pytest.fixture(scope="module")
def empty() -> dict[str, Json]:
    """Grafana's report of each panel when no query answers."""
    all_panels = {f"{name}/{panel['id']}": panel for name, file in files().items() for panel in panels(file)}
    reports = grafana.reports([Question(panel) for panel in all_panels.values()])
    return dict(zip(all_panels, reports, strict=True))


def _asked(name: str, panel: Json, server: Prometheus, end: float) -> Question:
    return grafana.question(server, name, panel, {"cluster": CLUSTER, **scene(name, panel["id"])}, end)


def test_every_column_of_a_table_is_in_the_data(shown: dict[str, Json]) -> None:
    idle = {key: set(report["idle"]) - OPTIONAL_COLUMNS for key, report in shown.items() if report["type"] == "table"}
    filled = {key for key, report in shown.items() if report["fields"]}
    assert {key: names for key, names in idle.items() if names and key in filled} == {}


def test_a_table_shows_the_cluster_of_a_row_and_links_lead_to_it(shown: dict[str, Json]) -> None:
    links = [
        link
        for report in shown.values()
        if report["type"] == "table"
        for field in report["fields"]
        for row in field["links"]
        for link in row
    ]
    assert links
    assert all(f"var-cluster={CLUSTER}&" in link for link in links)
    assert not [link for link in links if "$" in link]


def test_a_timeline_shows_words_and_their_colours(shown: dict[str, Json]) -> None:
    known = {**look.PULL_PHASES, **look.POD_PHASES, "down": ("down", look.RED), "up": ("up", look.BLUE)}
    expected = {(text, colour) for text, colour in known.values()}
    timelines = {key: report for key, report in shown.items() if report["type"] == "state-timeline"}
    assert timelines
    for key, report in timelines.items():
        assert report["fields"], key
        found = {(value["text"], value["color"]) for field in report["fields"] for value in field["values"]}
        assert found <= expected, key
        names = [field["name"] for field in report["fields"]]
        assert len(names) == len(set(names)), key


def test_a_table_without_rows_has_no_headers(empty: dict[str, Json]) -> None:
    """Grafana has the column of each of several queries, also when none of them answered."""
    tables = {key: report["fields"] for key, report in empty.items() if report["type"] == "table"}
    assert len(tables) > 10
    assert {key: fields for key, fields in tables.items() if fields} == {}


def test_advice_is_the_text_of_its_cell(shown: dict[str, Json]) -> None:
    columns = {field["name"]: field for field in shown["pod/9"]["fields"]}
    advice = {" ".join(rule.advice.replace("`", "").split()) for rule in RULES}
    assert columns["Next step"]["values"]
    assert {value["text"] for value in columns["Next step"]["values"]} <= advice
    assert columns["Next step"]["cell"] == {"type": "auto", "wrapText": True}


def test_no_data_has_no_colour(empty: dict[str, Json], shown: dict[str, Json]) -> None:
    figures = {key: report["figures"] for key, report in empty.items() if report["type"] in ("stat", "bargauge")}
    assert len(figures) > 10
    for key, found in figures.items():
        assert all(figure["color"] in NO_COLOURS for figure in found), key
    coloured = [
        (key, field)
        for key, report in shown.items()
        if report["type"] == "table"
        for field in report["fields"]
        if (field["cell"] or {}).get("type") in ("color-background", "gauge")
    ]
    assert coloured
    for key, field in coloured:
        assert field["empty"]["text"] == "-", (key, field["name"])
        assert field["empty"]["color"] in NO_COLOURS, (key, field["name"])


def test_a_pull_without_peers_is_neither_slow_nor_fast_and_sorts_last(shown: dict[str, Json]) -> None:
    fields = {field["name"]: field for field in shown["registry/9"]["fields"]}
    shares = fields["Of the median"]["values"]
    assert all(share["numeric"] is not None or share["text"] == "no peer" for share in shares)


def test_a_pull_by_a_remote_snapshotter_shows_its_layers_and_no_share_of_bytes(
    hour: tuple[Prometheus, float], shown: dict[str, Json]
) -> None:
    waits, images = _rows(shown["overview/7"]), _rows(shown["overview/9"])
    [wait] = [row for row in waits if row["Pod"] == "train-0"]
    [image] = [row for row in images if row["Image"] == "ml/trainer"]
    assert (wait["Progress"], wait["Time left"]) == ("by SOCI", "-")
    assert (image["Progress"], image["Rate"], image["Time left"]) == ("by SOCI", "-", "-")
    [own] = [panel for panel in panels(files()["pod"]) if panel["id"] == 6]
    chosen = {"cluster": CLUSTER, "namespace": "ml", "pod": "train-0"}
    [container] = _rows(grafana.reports([grafana.question(hour[0], "pod", own, chosen, hour[1])])[0])
    assert (container["Progress"], container["Layers"]) == ("by SOCI", "3 of 6")
    names = ("node/7", "node/8")
    tables = [panel for panel in panels(files()["node"]) if f"node/{panel['id']}" in names]
    asked = [
        grafana.question(hour[0], "node", table, {"cluster": CLUSTER, "node": "node-08"}, hour[1]) for table in tables
    ]
    pulls, layers = (_rows(report) for report in grafana.reports(asked))
    [pull] = [row for row in pulls if row["Image"] == "ml/trainer"]
    assert (pull["Phase"], pull["Progress"], pull["Layers"], pull["Rate"]) == ("downloading", "by SOCI", "3 of 6", "-")
    assert pull["Age"] == "6.17 mins"
    states = [(row["State"], row["Progress"]) for row in layers if row["Image"] == "ml/trainer"]
    assert states == [("unpacked", "100%")] * 3 + [("remote", "remote")] * 3


def _rows(report: Json) -> list[dict[str, str]]:
    """The rows of a table, each as texts by the titles of its columns."""
    columns = {field["name"]: [value["text"] for value in field["values"]] for field in report["fields"]}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def test_a_pod_that_waits_for_nothing_is_told_from_an_aggregator_that_is_gone(hour: tuple[Prometheus, float]) -> None:
    server, end = hour
    chosen = {"cluster": CLUSTER, "namespace": "shop", "pod": "web-0"}
    figures = [panel for panel in panels(files()["pod"]) if panel["id"] in (1, 2, 3, 5)]
    moments = (end, end + 240)
    asked = [grafana.question(server, "pod", panel, chosen, moment) for moment in moments for panel in figures]
    texts = [report["figures"][0]["text"] for report in grafana.reports(asked)]
    assert texts == ["not waiting", "not waiting", "0 s", "0"] + ["no aggregator"] * 4


def test_whole_things_are_counted_in_whole_numbers(shown: dict[str, Json]) -> None:
    for key, report in shown.items():
        if "ailures" in report["title"] and report["type"] == "timeseries":
            texts = {value["text"] for field in report["fields"] for value in field["values"]}
            assert all("." not in text for text in texts), key
