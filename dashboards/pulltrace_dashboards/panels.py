"""Figures, charts and timelines: each has an id that stays, a description, and a text and no colour for no data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, Self

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, statetimeline
from grafana_foundation_sdk.builders import timeseries as graph
from grafana_foundation_sdk.cog import builder as cog
from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BarGaugeValueMode,
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    DataSourceRef,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DynamicConfigValue,
    FieldColor,
    FieldColorModeId,
    Panel,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from pulltrace_dashboards.look import BLUE, GREY, Words, mapping, numbered, steps
from pulltrace_dashboards.promql import latest

GAP_MILLISECONDS: Final = 180_000
"""A line goes over a gap that is no longer: a rate has none for its first scrapes."""
MOST_BARS: Final = 60
"""Few enough that a bar's window of growth is hardly longer than the bar is wide."""
LAST: Final = "lastNotNull"
SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")


@dataclass(frozen=True, slots=True)
class About:
    """A panel's id and title, its description with what is good, and the text that it shows without data."""

    id: int
    title: str
    text: str
    nothing: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A query and the name of its series in the legend."""

    expr: str
    legend: str = ""


class _Builder(Protocol):
    """What the builders of all kinds of panels have in common."""

    def id(self, id_val: int) -> Self: ...
    def title(self, title: str) -> Self: ...
    def description(self, description: str) -> Self: ...
    def datasource(self, datasource: DataSourceRef) -> Self: ...
    def no_value(self, no_value: str) -> Self: ...
    def with_target(self, target: cog.Builder[variants.Dataquery]) -> Self: ...
    def build(self) -> Panel: ...


def number(
    about: About,
    expr: str,
    unit: str,
    *,
    bounds: dashboard.ThresholdsConfig | None = None,
    words: Words | None = None,
    decimals: int | None = None,
) -> Panel:
    """The figure of this moment, coloured by thresholds. An instant query: a range ends with what was true once."""
    panel = (
        stat.Panel()
        .unit(unit)
        .color_mode(BigValueColorMode.BACKGROUND if bounds or words else BigValueColorMode.NONE)
        .graph_mode(BigValueGraphMode.NONE)
        .text_mode(BigValueTextMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs([LAST]))
        .thresholds(bounds or steps())
        .color_scheme(by_thresholds())
        .mappings(mapping(words or {}, about.nothing))
    )
    if decimals is not None:
        panel.decimals(decimals)
    return finished(panel, about, [query(expr, "A").instant()])


def name(about: About, expr: str, label: str, words: Words) -> Panel:
    """The value of a label in large letters. It is a value of the field, so that it is put into words and colours."""
    panel = (
        stat.Panel()
        .color_mode(BigValueColorMode.BACKGROUND)
        .graph_mode(BigValueGraphMode.NONE)
        .text_mode(BigValueTextMode.VALUE)
        .reduce_options(common.ReduceDataOptions().values(True).limit(3).calcs([LAST]).fields(f"/^{label}$/"))
        .mappings(mapping(words, about.nothing))
        .thresholds(steps())
        .color_scheme(by_thresholds())
    )
    return finished(panel, about, [query(expr, "A").instant().format(PromQueryFormat.TABLE)])


def lines(
    about: About,
    unit: str,
    *queries: Line,
    colours: Words | None = None,
    stacked: bool = False,
    bars: bool = False,
    maximum: float | None = None,
    decimals: int | None = None,
) -> Panel:
    """Courses over time. With `colours` each series of a known name has one of its own."""
    panel = (
        graph.Panel()
        .unit(unit)
        .min(0)
        .draw_style(GraphDrawStyle.BARS if bars else GraphDrawStyle.LINE)
        .line_width(1 if bars else 2)
        .fill_opacity(70 if bars else 30 if stacked else 8)
        .show_points(VisibilityMode.NEVER if bars or stacked else VisibilityMode.AUTO)
        .span_nulls(GAP_MILLISECONDS)
        .stacking(common.StackingConfig().mode(StackingMode.NORMAL if stacked else StackingMode.NONE))
        .legend(_legend(() if bars else (LAST,)))
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    )
    if bars:
        panel.max_data_points(MOST_BARS)
    if maximum is not None:
        panel.max(maximum)
    if decimals is not None:
        panel.decimals(decimals)
    for value, (word, colour) in (colours or {}).items():
        panel.override_by_name(value, [_fixed(colour), DynamicConfigValue("displayName", word)])
    return finished(panel, about, _ranges(queries))


def bars(
    about: About,
    unit: str,
    *queries: Line,
    colours: Words | None = None,
    decimals: int | None = None,
) -> Panel:
    """Values of this moment beside each other, as bars."""
    panel = (
        bargauge.Panel()
        .unit(unit)
        .min(0)
        .orientation(VizOrientation.HORIZONTAL)
        .display_mode(BarGaugeDisplayMode.BASIC)
        .value_mode(BarGaugeValueMode.TEXT)
        .show_unfilled(False)
        .mappings(mapping({}, about.nothing))
        .reduce_options(common.ReduceDataOptions().calcs([LAST]))
        .thresholds(steps())
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.FIXED).fixed_color(BLUE))
    )
    if decimals is not None:
        panel.decimals(decimals)
    for value, (word, colour) in (colours or {}).items():
        panel.override_by_name(value, [_fixed(colour), DynamicConfigValue("displayName", word)])
    targets = [query(q.expr, ref).instant().legend_format(q.legend) for ref, q in zip("ABCDEF", queries, strict=False)]
    return finished(panel, about, targets)


def timeline(about: About, words: Words, *queries: Line) -> Panel:
    """States over time: a band for each series, coloured and named by its number's word.

    The colour is fixed, so that the words' colours hold: by thresholds, equal neighbours are one band of one colour.
    """
    panel = (
        statetimeline.Panel()
        .mappings(mapping(numbered(words), about.nothing))
        .show_value(VisibilityMode.AUTO)
        .row_height(0.85)
        .merge_values(True)
        .fill_opacity(80)
        .line_width(0)
        .legend(_legend())
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.SINGLE))
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.FIXED).fixed_color(GREY))
        .thresholds(steps())
    )
    return finished(panel, about, _ranges(queries))


def state(metric: str, by: tuple[str, ...], where: str, label: str, words: Words) -> str:
    """The number of the word that an info-like gauge has in its label, for `timeline`; `or` keeps one of several."""
    each = (
        str(place) + " * " + latest(metric, by, f'{where}, {label}="{value}"')
        for place, value in enumerate(words, start=1)
    )
    return " or ".join(each)


def _legend(figures: Sequence[str] = ()) -> common.VizLegendOptions:
    """Below the chart: beside it, a legend takes most of the width of a narrow one."""
    return (
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
        .calcs(list(figures))
    )


def _ranges(queries: Sequence[Line]) -> list[prometheus.Dataquery]:
    return [
        query(line.expr, ref).range().legend_format(line.legend) for ref, line in zip("ABCDEFGH", queries, strict=False)
    ]


def query(expr: str, ref: str) -> prometheus.Dataquery:
    """A query of a panel, to the chosen source."""
    return prometheus.Dataquery().expr(expr).ref_id(ref).datasource(SOURCE)


def by_thresholds() -> dashboard.FieldColor:
    """A value has the colour of its threshold."""
    return dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS)


def _fixed(colour: str) -> DynamicConfigValue:
    return DynamicConfigValue("color", FieldColor(mode=FieldColorModeId.FIXED, fixed_color=colour))


def finished(panel: _Builder, about: About, queries: Sequence[prometheus.Dataquery]) -> Panel:
    """The panel with its name, description, text for no data, and queries."""
    panel.id(about.id).title(about.title).description(about.text).datasource(SOURCE)
    if about.nothing:
        panel.no_value(about.nothing)
    for target in queries:
        panel.with_target(target)
    return panel.build()
