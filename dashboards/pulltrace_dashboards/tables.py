"""Tables as this project draws them: queries merged row by row, each column with its width, unit, words and link."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders import common, dashboard, table
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BarGaugeValueMode,
    TableAutoCellOptions,
    TableBarGaugeCellOptions,
    TableCellBackgroundDisplayMode,
    TableCellHeight,
    TableColoredBackgroundCellOptions,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardRangeMapOptions,
    DataTransformerConfig,
    DynamicConfigValue,
    Panel,
    RangeMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from pulltrace_dashboards.look import BY_REMOTE, NONE, Words, mapping, steps
from pulltrace_dashboards.panels import LAST, About, by_thresholds, finished, query

NO_CELL: Final = "-"


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
        .color_scheme(by_thresholds())
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
        query(expr, ref).instant().format(PromQueryFormat.TABLE) for ref, expr in zip(refs, queries, strict=True)
    ]
    return finished(panel, about, targets)


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
