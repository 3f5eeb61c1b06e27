"""Panels as this project draws them: each has an id that stays, a description, and a text and no colour for no data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, Self

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, statetimeline, table
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
    TableAutoCellOptions,
    TableBarGaugeCellOptions,
    TableCellBackgroundDisplayMode,
    TableCellHeight,
    TableColoredBackgroundCellOptions,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardRangeMapOptions,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColor,
    FieldColorModeId,
    Panel,
    RangeMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from pulltrace_dashboards.look import BLUE, BY_REMOTE, GREY, NONE, Words, mapping, numbered, steps
from pulltrace_dashboards.promql import latest

GAP_MILLISECONDS: Final = 180_000
"""A line goes over a gap that is no longer: a rate has none for its first scrapes."""
MOST_BARS: Final = 60
"""Few enough that a bar's window of growth is hardly longer than the bar is wide."""
NO_CELL: Final = "-"
LAST: Final = "lastNotNull"
SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")


@dataclass(frozen=True, slots=True)
class About:
    """What a panel is called, how it is known for good, and what it shows when all is well."""

    id: int
    title: str
    text: str
    nothing: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A query and the name of its series in the legend."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: a field of the merged queries, and how it is shown.

    A column without a width, in pixels, shares what is left. `beyond` is a bound and the word for values above it.
    """

    field: str
    title: str
    unit: str = ""
    width: int = 0
    bar: bool = False
    wrap: bool = False
    words: Words | None = None
    bounds: dashboard.ThresholdsConfig | None = None
    beyond: tuple[float, str] | None = None
    link: str = ""
    decimals: int | None = None


CLUSTER_COLUMN: Final = Column("cluster", "Cluster", width=90)


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
        .color_scheme(_by_thresholds())
        .mappings(mapping(words or {}, about.nothing))
    )
    if decimals is not None:
        panel.decimals(decimals)
    return _finished(panel, about, [_query(expr, "A").instant()])


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
        .color_scheme(_by_thresholds())
    )
    return _finished(panel, about, [_query(expr, "A").instant().format(PromQueryFormat.TABLE)])


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
    return _finished(panel, about, _ranges(queries))


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
    targets = [_query(q.expr, ref).instant().legend_format(q.legend) for ref, q in zip("ABCDEF", queries, strict=False)]
    return _finished(panel, about, targets)


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
    return _finished(panel, about, _ranges(queries))


def state(metric: str, by: tuple[str, ...], where: str, label: str, words: Words) -> str:
    """The number of the word that an info-like gauge has in its label, for `timeline`; `or` keeps one of several."""
    each = (
        str(place) + " * " + latest(metric, by, f'{where}, {label}="{value}"')
        for place, value in enumerate(words, start=1)
    )
    return " or ".join(each)


def rows(
    about: About,
    columns: Sequence[Column],
    *queries: str,
    hidden: Sequence[str] = (),
    sort: str = "",
    descending: bool = True,
) -> Panel:
    """A table: queries merged on the labels that they share, the columns in this order, the rest left out.

    The column of the cluster is there where series have that label. `hidden` are labels that tell rows apart.
    """
    columns = (*columns, CLUSTER_COLUMN)
    several = len(queries) > 1
    panel = (
        table.Panel()
        .show_header(True)
        .cell_height(TableCellHeight.SM)
        .thresholds(steps())
        .color_scheme(_by_thresholds())
        .with_transformation(DataTransformerConfig(id_val="merge", options={}))
    )
    if several:
        panel.with_transformation(_grouped(columns, hidden))
    panel.with_transformation(_organised(columns, hidden, several=several))
    if sort:
        panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(descending)])
    for column in columns:
        if properties := _properties(column):
            panel.override_by_name(column.title, properties)
    refs = "ABCDEFGHIJ"[: len(queries)]
    targets = [
        _query(expr, ref).instant().format(PromQueryFormat.TABLE) for ref, expr in zip(refs, queries, strict=True)
    ]
    return _finished(panel, about, targets)


def _grouped(columns: Sequence[Column], hidden: Sequence[str]) -> DataTransformerConfig:
    """Rows by all of their labels. Where no query answered there is none, and no header of a column without rows."""
    fields = {
        **{label: {"operation": "groupby", "aggregations": []} for label in hidden},
        **{
            column.field: {"operation": "aggregate", "aggregations": [LAST]}
            if _is_value(column)
            else {"operation": "groupby", "aggregations": []}
            for column in columns
        },
    }
    return DataTransformerConfig(id_val="groupBy", options={"fields": fields})


def _organised(columns: Sequence[Column], hidden: Sequence[str], *, several: bool) -> DataTransformerConfig:
    fields = [f"{column.field} ({LAST})" if several and _is_value(column) else column.field for column in columns]
    return DataTransformerConfig(
        id_val="organize",
        options={
            "excludeByName": dict.fromkeys(("Time", *hidden), True),
            "indexByName": {field: place for place, field in enumerate(fields)},
            "renameByName": {field: column.title for field, column in zip(fields, columns, strict=True)},
        },
    )


def _is_value(column: Column) -> bool:
    return column.field.startswith("Value")


def _properties(column: Column) -> list[DynamicConfigValue]:
    found = [
        ("unit", column.unit or None),
        ("custom.width", column.width or None),
        ("decimals", column.decimals),
        ("noValue", NO_CELL),
        ("links", [{"title": "Open", "url": column.link}] if column.link else None),
        ("thresholds", column.bounds.build() if column.bounds else None),
        ("mappings", _mappings(column)),
        ("custom.cellOptions", _cell(column)),
        # Grafana 13 has it here, older ones in the options of the cell.
        ("custom.wrapText", True if column.wrap else None),
        ("min", 0 if column.bar else None),
        ("max", 1 if column.bar and column.unit == "percentunit" else None),
    ]
    return [DynamicConfigValue(key, value) for key, value in found if value is not None]


def _mappings(column: Column) -> list[ValueMapping] | None:
    if not (column.words or column.bounds or column.bar):
        return None
    found = mapping(BY_REMOTE if column.bar else column.words or {}, NO_CELL)
    if column.beyond:
        bound, word = column.beyond
        result = ValueMappingResult(text=word, color=NONE, index=99)
        found.append(RangeMap(options=DashboardRangeMapOptions(from_val=bound, to=None, result=result)))
    return found


def _cell(column: Column) -> object:
    if column.bar:
        return TableBarGaugeCellOptions(BarGaugeDisplayMode.BASIC, BarGaugeValueMode.TEXT)
    if column.wrap:
        return TableAutoCellOptions(wrap_text=True)
    if column.words or column.bounds:
        return TableColoredBackgroundCellOptions(mode=TableCellBackgroundDisplayMode.BASIC)
    return None


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
        _query(query.expr, ref).range().legend_format(query.legend)
        for ref, query in zip("ABCDEFGH", queries, strict=False)
    ]


def _query(expr: str, ref: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expr).ref_id(ref).datasource(SOURCE)


def _by_thresholds() -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS)


def _fixed(colour: str) -> DynamicConfigValue:
    return DynamicConfigValue("color", FieldColor(mode=FieldColorModeId.FIXED, fixed_color=colour))


def _finished(panel: _Builder, about: About, queries: Sequence[prometheus.Dataquery]) -> Panel:
    panel.id(about.id).title(about.title).description(about.text).datasource(SOURCE)
    if about.nothing:
        panel.no_value(about.nothing)
    for query in queries:
        panel.with_target(query)
    return panel.build()
