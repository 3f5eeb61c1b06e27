import logging
from collections.abc import Iterable, Iterator
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.metrics_core import Metric as ClientMetric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain
from prometheus_client.registry import Collector

from pulltrace.exposition import (
    Exposition,
    Family,
    Faults,
    Metric,
    MetricType,
    Sample,
    TextFormat,
    choose_format,
    histogram_samples,
    series,
)
from pulltrace.model.histogram import Histogram
from pulltrace.text import LONGEST_BYTES, presentable

pytestmark = pytest.mark.unit

PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
PROMETHEUS_2_TEXT_ONLY = "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def gauge(name: str, *samples: Sample, help_text: str = "Help.") -> Family[None]:
    return Family(Metric(name, MetricType.GAUGE, help_text), lambda _: samples)


def rendered(*families: Family[None], form: TextFormat = TextFormat.PLAIN) -> str:
    return Exposition(families, Faults()).render(None, form).decode()


def test_a_gauge_in_plain_text() -> None:
    family = gauge("queue_length", ('{name="a"}', 3), ('{name="b"}', 0.5))
    assert rendered(family) == (
        "# HELP queue_length Help.\n# TYPE queue_length gauge\n"
        'queue_length{name="a"} 3\nqueue_length{name="b"} 0.5\n'
    )  # fmt: skip


def test_openmetrics_names_a_counter_without_total_and_tells_the_unit_and_the_end() -> None:
    family = Family[None](Metric("sent_bytes_total", MetricType.COUNTER, "Sent."), lambda _: [("", 7)])
    assert rendered(family, form=TextFormat.OPENMETRICS) == (
        "# HELP sent_bytes Sent.\n# TYPE sent_bytes counter\n# UNIT sent_bytes bytes\nsent_bytes_total 7\n# EOF\n"
    )
    assert rendered(family) == "# HELP sent_bytes_total Sent.\n# TYPE sent_bytes_total counter\nsent_bytes_total 7\n"


@pytest.mark.parametrize("form", TextFormat)
def test_a_histogram_has_cumulated_buckets_with_the_same_bounds_in_both_formats(form: TextFormat) -> None:
    histogram = Histogram.empty((0.5, 1.0)).observe(0.5).observe(0.75).observe(9.0)
    family = Family[None](
        Metric("took_seconds", MetricType.HISTOGRAM, "Time.", ("step",)),
        lambda _: histogram_samples(("step",), ("read",), histogram),
    )
    assert [line for line in rendered(family, form=form).splitlines() if not line.startswith("#")] == [
        'took_seconds_bucket{step="read",le="0.5"} 1',
        'took_seconds_bucket{step="read",le="1.0"} 2',
        'took_seconds_bucket{step="read",le="+Inf"} 3',
        'took_seconds_sum{step="read"} 10.25',
        'took_seconds_count{step="read"} 3',
    ]


def test_a_histogram_without_labels() -> None:
    samples = dict(histogram_samples((), (), Histogram.empty((1.0,))))
    assert samples == {'_bucket{le="1.0"}': 0, '_bucket{le="+Inf"}': 0, "_sum": 0, "_count": 0}


def test_a_family_without_samples_is_not_there() -> None:
    assert rendered(gauge("nothing"), gauge("something", ("", 1))).startswith("# HELP something")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (12_345_678_901_234, "12345678901234"),
        (5.0, "5"),
        (0.1, "0.1"),
        (1_700_000_000.25, "1700000000.25"),
        (1e22, "1e+22"),
        (-2.0, "-2"),
        (True, "1"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
        (float("nan"), "NaN"),
    ],
)
def test_numbers_are_written_as_short_as_they_can_be(value: float, text: str) -> None:
    assert rendered(gauge("number", ("", value))).endswith(f"\nnumber {text}\n")


def test_help_texts_are_escaped() -> None:
    family = gauge("odd", ("", 1), help_text='a "b"\nc \\ d')
    assert rendered(family).startswith('# HELP odd a "b"\\nc \\\\ d\n')
    assert rendered(family, form=TextFormat.OPENMETRICS).startswith('# HELP odd a \\"b\\"\\nc \\\\ d\n')


def test_label_values_are_escaped() -> None:
    assert series(("path", "empty"), ('C:\\ "new"\nline', "")) == '{path="C:\\\\ \\"new\\"\\nline",empty=""}'


def test_a_long_label_value_is_cut_visibly_and_stays_distinct() -> None:
    first, second = presentable("ä" * 50_000 + "1"), presentable("ä" * 50_000 + "2")
    assert len(first.encode()) <= LONGEST_BYTES
    assert first.startswith("äää")
    assert first.endswith("…" + sha256(("ä" * 50_000 + "1").encode()).hexdigest()[:16])
    assert first != second


def test_characters_that_no_parser_accepts_are_replaced() -> None:
    assert presentable("a\x00b\x1b[31m").startswith("a\ufffdb\ufffd[31m…")
    assert presentable("\ud800").startswith("?…")
    assert presentable("line\nfeed, größe, 画像") == "line\nfeed, größe, 画像"


anything = st.text(st.characters(codec=None), max_size=60) | st.text('\x00\\"\n\r\t\ud800é', max_size=400)


@given(st.lists(anything, unique=True, max_size=5))
def test_any_label_value_survives_both_formats_and_none_becomes_another(values: list[str]) -> None:
    family = gauge("odd", *((series(("value",), (value,)), 1) for value in values))
    for form, parse in ((TextFormat.PLAIN, parse_plain), (TextFormat.OPENMETRICS, parse_openmetrics)):
        read = [sample.labels["value"] for found in parse(rendered(family, form=form)) for sample in found.samples]
        assert read == [presentable(value) for value in values]
        assert len(set(read)) == len(values)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", TextFormat.PLAIN),
        (PROMETHEUS_3, TextFormat.OPENMETRICS),
        (PROMETHEUS_2_TEXT_ONLY, TextFormat.PLAIN),
        (BROWSER, TextFormat.PLAIN),
        ("*/*", TextFormat.PLAIN),
        ("application/json", TextFormat.PLAIN),
        ("application/openmetrics-text", TextFormat.OPENMETRICS),
        ("Application/OpenMetrics-Text; Version=1.0.0", TextFormat.OPENMETRICS),
        ('application/openmetrics-text; version="1.0.0"', TextFormat.OPENMETRICS),
        ("application/openmetrics-text; version=0.0.1, text/plain;q=0.5", TextFormat.PLAIN),
        ("application/openmetrics-text; version=2.0.0, text/plain;q=0.5", TextFormat.PLAIN),
        ("application/openmetrics-text;q=0.4, text/plain;q=0.5", TextFormat.PLAIN),
        ("text/plain;q=0.4, application/openmetrics-text;q=0.5", TextFormat.OPENMETRICS),
        ("text/plain, application/openmetrics-text", TextFormat.OPENMETRICS),
        ("application/openmetrics-text;q=0.5, text/plain;q=0.4, */*;q=0.9", TextFormat.OPENMETRICS),
        ("application/openmetrics-text;q=0.5, text/*;q=0.9", TextFormat.PLAIN),
        ("application/openmetrics-text;q=0", TextFormat.PLAIN),
        ("application/openmetrics-text;q=much", TextFormat.PLAIN),
        ("application/openmetrics-text;q=nan", TextFormat.PLAIN),
        (";;==,,q", TextFormat.PLAIN),
    ],
)
def test_the_client_chooses_the_format(accept: str, form: TextFormat) -> None:
    assert choose_format(accept) is form


def broken(error: Exception) -> Family[None]:
    def samples(_: None) -> Iterator[Sample]:
        yield "", 1
        raise error

    return Family(Metric("broken", MetricType.GAUGE, "Fails."), samples)


def test_a_family_that_fails_is_left_out_whole_and_counted() -> None:
    faults = Faults()
    errors = Family[None](
        Metric("errors_total", MetricType.COUNTER, "Errors.", ("family",)),
        lambda _: [(series(("family",), (family,)), count) for family, count in faults.counts().items()],
    )
    exposition = Exposition([broken(KeyError("x")), gauge("fine", ("", 1)), errors], faults)
    exposition.render(None, TextFormat.PLAIN)
    text = exposition.render(None, TextFormat.PLAIN).decode()
    assert "broken 1" not in text
    assert "\nfine 1\n" in text
    assert text.endswith('errors_total{family="broken"} 2\n')


def test_each_kind_of_fault_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults()
    for error in (KeyError("x"), KeyError("y"), ValueError("z")):
        Exposition([broken(error)], faults).render(None, TextFormat.PLAIN)
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [KeyError, ValueError]


@pytest.mark.parametrize("form", TextFormat)
def test_metrics_of_the_process_follow(form: TextFormat) -> None:
    registry = CollectorRegistry()
    Gauge("process_things", "Things.", registry=registry).set(2)
    text = Exposition([gauge("own", ("", 1))], Faults(), registry).render(None, form).decode()
    assert text.index("own 1") < text.index("process_things 2.0")
    assert text.count("# EOF\n") == (form is TextFormat.OPENMETRICS)


class BrokenCollector(Collector):
    def collect(self) -> Iterable[ClientMetric]:
        raise OSError("no /proc")


def test_a_collector_that_fails_does_not_fail_the_scrape() -> None:
    registry = CollectorRegistry()
    registry.register(BrokenCollector())
    faults = Faults()
    text = Exposition([gauge("own", ("", 1))], faults, registry).render(None, TextFormat.OPENMETRICS).decode()
    assert text.endswith("own 1\n# EOF\n")
    assert faults.counts() == {"process": 1}
