"""What the panels of a dashboard show at a moment: their queries' answers, and tables merged as Grafana merges them."""

from collections.abc import Mapping
from dataclasses import dataclass

from rig.dashboards import Json, substituted
from rig.prometheus import Prometheus, Series

RATE_INTERVAL = 60
POINTS = 240
Row = dict[str, str | float]


@dataclass(frozen=True, slots=True)
class Answer:
    """The series of one query of a panel."""

    ref: str
    legend: str
    series: list[Series]

    def name(self, series: Series) -> str:
        """The series' name in the legend."""
        text = self.legend
        for label, value in series.labels.items():
            text = text.replace(f"{{{{{label}}}}}", value)
        return text or ", ".join(series.labels.values()) or self.ref


@dataclass(frozen=True, slots=True)
class Moment:
    """What is looked at: a span of time up to its end, and what is chosen."""

    start: float
    end: float
    chosen: Mapping[str, str]


def answers(prometheus: Prometheus, panel: Json, moment: Moment) -> list[Answer]:
    """What a panel's queries find."""
    span = int(moment.end - moment.start)
    found = []
    for target in panel.get("targets", ()):
        expr = substituted(target["expr"], moment.chosen, span, RATE_INTERVAL)
        if target.get("instant"):
            series = prometheus.query(expr, moment.end)
        else:
            series = prometheus.query_range(expr, moment.start, moment.end, span / POINTS)
        found.append(Answer(target["refId"], target.get("legendFormat", ""), series))
    return found


def merged(found: list[Answer]) -> list[Row]:
    """The rows of several tables: those that agree in what all tables have become one."""
    tables = [[_row(answer, series, alone=len(found) == 1) for series in answer.series] for answer in found]
    tables = [table for table in tables if table]
    if not tables:
        return []
    shared = set.intersection(*({label for row in table for label in row} for table in tables))
    rows: dict[tuple[object, ...], list[Row]] = {}
    for table in tables:
        for row in table:
            _join(rows.setdefault(tuple(row.get(label) for label in sorted(shared)), []), row)
    return [row for group in rows.values() for row in group]


def _join(group: list[Row], row: Row) -> None:
    for other in group:
        if all(other.get(key, value) == value for key, value in row.items()):
            other.update(row)
            return
    group.append(row)


def _row(answer: Answer, series: Series, *, alone: bool) -> Row:
    return {**series.labels, "Value" if alone else f"Value #{answer.ref}": series.value}
