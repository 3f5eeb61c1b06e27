import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pulltrace.clock import NodeTime
from pulltrace.exposition import Family, TextFormat, process_collectors
from pulltrace.model.pull import LayerState, Phase, QueuedImage
from pulltrace_exporter.metrics import FAMILIES, Process, Scrape, Scraper, SeriesLimits
from pulltrace_exporter.metrics.__main__ import page
from pulltrace_exporter.model.view import View
from rig.images import digest
from rig.metric_tables import (
    broken_family,
    check_golden,
    check_golden_formats,
    check_labels,
    check_page,
    samples,
    values,
)
from rig.sample_views import NOW, a_layer, a_pull, a_view, an_ended_pull, busy_view, unread_view, view_of_layers

pytestmark = pytest.mark.unit

REPOSITORY = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
NO_LIMITS_REACHED = SeriesLimits()
PROCESS = Process("1.2.3", "3.11.2", lambda: True)


def scrape(
    view: View,
    limits: SeriesLimits = NO_LIMITS_REACHED,
    process: Process = PROCESS,
    families: Sequence[Family[Scrape]] = FAMILIES,
) -> str:
    return Scraper(families, limits, process).render(view, NOW, TextFormat.PLAIN).decode()


def labels(name: str) -> str:
    return f'registry="registry.example",repository="{name}",digest="{digest(name)}"'


def test_the_page_is_the_table() -> None:
    check_page(FAMILIES, page())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.metric.name)
def test_every_sample_has_exactly_the_labels_of_the_table(family: Family[Scrape]) -> None:
    check_labels(family.metric, scrape(busy_view(), families=[family]))


@pytest.mark.parametrize(("form", "name"), [(TextFormat.PLAIN, "plain"), (TextFormat.OPENMETRICS, "openmetrics")])
def test_golden_scrape(form: TextFormat, name: str) -> None:
    check_golden(GOLDEN / f"{name}.prom", Scraper(FAMILIES, SeriesLimits(), PROCESS).render(busy_view(), NOW, form))


def test_both_golden_scrapes_have_the_same_samples_and_no_series_twice() -> None:
    check_golden_formats(GOLDEN)


def test_before_containerd_was_read_nothing_is_made_up() -> None:
    text = scrape(unread_view(), process=Process("1.2.3", "3.11.2"))
    gauges = {line for line in text.splitlines() if not line.startswith(("#", "pulltrace_exporter_poll_duration"))}
    assert gauges == {
        "pulltrace_unresolved_pulls_total 0",
        f"pulltrace_exporter_time_seconds {NOW}",
        *(
            f'pulltrace_exporter_suppressed_series{{kind="{kind}"}} 0'
            for kind in ("pull", "layer", "registry", "media_type")
        ),
        'pulltrace_exporter_build_info{version="1.2.3",python_version="3.11.2"} 1',
    }


def test_an_idle_node_says_that_nothing_runs() -> None:
    text = scrape(a_view())
    assert samples(text, "pulltrace_pulls_in_progress") == [
        '{phase="resolving"} 0',
        '{phase="downloading"} 0',
        '{phase="unpacking"} 0',
    ]
    assert not samples(text, "pulltrace_oldest_resolving_start_time_seconds")
    assert values(text, "pulltrace_containerd_up") == ["1"]


def test_containerd_gone_keeps_what_was_last_known() -> None:
    view = a_view(a_pull())
    text = scrape(replace(view, daemon=replace(view.daemon, up=False)))
    assert values(text, "pulltrace_containerd_up") == ["0"]
    assert samples(text, "pulltrace_containerd_info") == ['{version="2.1.9"} 1']
    assert values(text, "pulltrace_pulls_in_progress") == ["0", "1", "0"]


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.FAILED, Phase.ORPHANED])
def test_an_ended_pull_has_an_end_and_neither_rate_nor_eta(phase: Phase) -> None:
    layer = a_layer(bytes_per_second=50.0)
    text = scrape(a_view(an_ended_pull(phase=phase, downloaded=250, bytes_per_second=50.0, layers=(layer,))))
    assert samples(text, "pulltrace_pull_phase") == [f'{{{labels("team/app")},phase="{phase}"}} 1']
    assert values(text, "pulltrace_pull_end_time_seconds") == [str(NOW - 10)]
    for absent in ("pulltrace_pull_bytes_per_second", "pulltrace_pull_eta_seconds", "pulltrace_layer_bytes_per_second"):
        assert not samples(text, absent)


def test_of_a_pull_that_a_remote_snapshotter_fetches_no_bytes_are_made_up() -> None:
    layer = a_layer(downloaded=None, bytes_per_second=None, state=LayerState.REMOTE)
    pull = a_pull(snapshotter="soci", downloaded=100, cached=0, layers=(layer,), remote=1000, remote_pending=1000)
    text = scrape(a_view(pull))
    assert 'snapshotter="soci"' in samples(text, "pulltrace_pull_info")[0]
    absent = ("pull_progress_ratio", "pull_eta_seconds", "layer_downloaded_bytes", "layer_bytes_per_second")
    assert not [name for name in absent if samples(text, f"pulltrace_{name}")]
    committed = replace(pull, remote_pending=0, phase=Phase.SUCCEEDED)
    assert values(scrape(a_view(committed)), "pulltrace_pull_progress_ratio") == ["1"]


@pytest.mark.parametrize("state", LayerState)
def test_a_layer_has_a_rate_until_it_is_complete(state: LayerState) -> None:
    text = scrape(a_view(a_pull(layers=(a_layer(state=state),))))
    running = state in (LayerState.WAITING, LayerState.DOWNLOADING)
    assert values(text, "pulltrace_layer_bytes_per_second") == (["50"] if running else [])


def test_a_digest_named_twice_has_two_series() -> None:
    layers = (a_layer(0, digest=digest("same")), a_layer(1, digest=digest("same")))
    assert len(set(samples(scrape(a_view(a_pull(layers=layers))), "pulltrace_layer_size_bytes"))) == 2


@pytest.mark.parametrize(("loaded", "expected"), [(None, []), (True, ["1"]), (False, ["0"])])
def test_the_web_configuration_is_reported_when_there_is_one(loaded: bool | None, expected: list[str]) -> None:
    text = scrape(a_view(), process=Process(web_config_loaded=lambda: loaded))
    assert values(text, "pulltrace_web_config_last_reload_successful") == expected


def test_pulls_beyond_the_limit_go_ended_and_oldest_first() -> None:
    view = a_view(
        an_ended_pull("a", ended_at=NOW - 30),
        a_pull("b", started_at=NOW - 10),
        an_ended_pull("c", ended_at=NOW - 20),
        a_pull("d", started_at=NOW - 20),
    )
    assert shown(view, SeriesLimits(pulls=3)) == ["b", "c", "d"]
    assert shown(view, SeriesLimits(pulls=1)) == ["d"]
    assert suppressed(view, SeriesLimits(pulls=1)) == {"pull": 3, "layer": 3, "registry": 0, "media_type": 0}


def test_limits_leave_sums_whole() -> None:
    text = scrape(busy_view(), SeriesLimits(pulls=1, layers=1))
    assert values(text, "pulltrace_pulls_in_progress") == ["2", "2", "1"]
    assert len(samples(text, "pulltrace_pull_phase")) == 1
    assert values(text, "pulltrace_pull_layers") == ["1", "1", "1", "0", "0", "1", "0"]
    assert len(samples(text, "pulltrace_layer_state")) == 1


def test_layers_beyond_the_limit_go_first_from_ended_pulls_then_from_the_widest() -> None:
    wide = a_pull("wide", layers=tuple(a_layer(index) for index in range(10_000)))
    view = a_view(wide, an_ended_pull("ended"), a_pull("small", layers=(a_layer(0), a_layer(1))))
    text = scrape(view, SeriesLimits(layers=5))
    assert re.findall(r'layer_state{.*repository="(\w+)".*layer="(\d)"', text) == [
        ("small", "0"),
        ("small", "1"),
        ("wide", "0"),
        ("wide", "1"),
        ("wide", "2"),
    ]
    assert suppressed(view, SeriesLimits(layers=5))["layer"] == 9998


def test_layers_can_be_turned_off() -> None:
    text = scrape(busy_view(), SeriesLimits(collect_layers=False))
    assert "pulltrace_layer_" not in text
    assert suppressed(busy_view(), SeriesLimits(collect_layers=False))["layer"] == 0
    assert samples(text, "pulltrace_pull_layers")


def test_small_layers_have_no_series_and_stay_in_the_sums() -> None:
    view = a_view(a_pull(layers=(a_layer(0, size=999, downloaded=0), a_layer(1, size=1000, downloaded=0))))
    text = scrape(view, SeriesLimits(layer_min_size=1000))
    assert values(text, "pulltrace_layer_size_bytes") == ["1000"]
    assert sum(map(int, values(text, "pulltrace_pull_layers"))) == 2
    assert suppressed(view, SeriesLimits(layer_min_size=1000))["layer"] == 0


def test_layers_of_young_and_of_short_pulls_have_no_series() -> None:
    view = a_view(
        a_pull("old", started_at=NOW - 30),
        a_pull("young", started_at=NOW - 29),
        an_ended_pull("short", started_at=NOW - 100, ended_at=NOW - 71),
        an_ended_pull("long", started_at=NOW - 100, ended_at=NOW - 70),
    )
    text = scrape(view, SeriesLimits(layer_min_age=30))
    assert re.findall(r'layer_state{.*repository="(\w+)"', text) == ["old", "long"]


def test_the_queue_is_bounded_and_shows_each_image_once() -> None:
    def image(name: str, since: float) -> QueuedImage:
        return QueuedImage("r", name, f"r/{name}", NodeTime(since))

    view = a_view(queued=(image("a", 30), image("b", 10), image("a", 20), image("c", 40)))
    text = scrape(view, SeriesLimits(pulls=2))
    assert sorted(samples(text, "pulltrace_queued_pull_start_time_seconds")) == [
        '{registry="r",repository="a",reference="r/a"} 20',
        '{registry="r",repository="b",reference="r/b"} 10',
    ]
    assert suppressed(view, SeriesLimits(pulls=2))["pull"] == 1


def test_a_hostile_image_costs_a_bounded_number_of_series_and_bytes() -> None:
    layers = tuple(a_layer(index, media_type=f"{index}" + "x\x00" * 50_000) for index in range(10_000))
    view = a_view(a_pull("y" * 100_000, references=("z" * 100_000,), layers=layers))
    text = scrape(view, SeriesLimits(layers=100))
    assert len(text) < 2_000_000
    assert len(samples(text, "pulltrace_layer_state")) == 100
    assert max(map(len, text.splitlines())) < 5000


def test_the_text_of_labels_is_remembered_for_what_lives_only() -> None:
    scraper = Scraper(FAMILIES, SeriesLimits(), PROCESS)
    for _ in range(2):
        scraper.render(view_of_layers(2, 10), NOW, TextFormat.PLAIN)
    assert len(scraper._labels) == 22
    scraper.render(a_view(a_pull()), NOW, TextFormat.PLAIN)
    assert len(scraper._labels) == 2


def test_the_cache_of_labels_changes_no_answer() -> None:
    scraper = Scraper(FAMILIES, SeriesLimits(), PROCESS)
    views = [busy_view(), a_view(a_pull(layers=(a_layer(0, media_type="other"),))), busy_view()]
    assert [scraper.render(view, NOW, TextFormat.PLAIN).decode() for view in views] == [scrape(view) for view in views]


def test_a_broken_family_is_told_in_the_same_scrape() -> None:
    text = scrape(busy_view(), families=[broken_family(), *FAMILIES])
    assert samples(text, "pulltrace_exporter_scrape_errors_total") == ['{family="pulltrace_broken"} 1']
    assert samples(text, "pulltrace_containerd_up") == [" 1"]


def test_metrics_of_the_process_are_there() -> None:
    scraper = Scraper(FAMILIES, SeriesLimits(), PROCESS, process_collectors())
    for form in TextFormat:
        text = scraper.render(a_view(), NOW, form).decode()
        assert values(text, "process_resident_memory_bytes")
        assert values(text, "python_info")


def shown(view: View, limits: SeriesLimits) -> list[str]:
    return re.findall(r'pulltrace_pull_phase{.*repository="(\w+)"', scrape(view, limits))


def suppressed(view: View, limits: SeriesLimits) -> dict[str, int]:
    found = re.findall(r'suppressed_series{kind="(\w+)"} (\d+)', scrape(view, limits))
    return {kind: int(count) for kind, count in found}
