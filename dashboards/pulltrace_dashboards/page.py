"""A dashboard: bands of panels from top to bottom, what can be chosen, and the way to the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardDashboardTemplating,
    DashboardLinkType,
    GridPos,
    Panel,
    RowPanel,
    VariableHide,
    VariableModel,
    VariableType,
)
from grafana_foundation_sdk.models.prometheus import Dataquery

from pulltrace_dashboards.look import RED
from pulltrace_dashboards.panels import SOURCE

TAG: Final = "pulltrace"
WIDTH: Final = 24
FIRST_SCREEN: Final = 18
"""What a laptop shows without scrolling, in units of the grid."""
CARRIED: Final = "var-datasource=${datasource}&var-cluster=${__data.fields.cluster}&from=${__from}&to=${__to}"
"""The row's own cluster: several can be chosen. It is empty, as the variable wants it, where series have no cluster."""
FIRING: Final = 'cluster=~"$cluster", alertname=~"Pulltrace.+", alertstate="firing"'

RUNBOOKS: Final = "https://github.com/pulltrace/pulltrace/blob/main/docs/runbooks/README.md"
"""What to do about each alert."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A line between bands."""

    id: int
    title: str


@dataclass(frozen=True, slots=True)
class Band:
    """Panels beside each other, of one height, each with its width."""

    height: int
    panels: tuple[tuple[int, Panel], ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A dashboard as this project writes it. The uid is the last part of its address and never changes."""

    uid: str
    title: str
    question: str
    variables: Sequence[VariableModel]
    content: Sequence[Band | Heading]
    since: str = "now-1h"


def band(height: int, *panels: tuple[int, Panel]) -> Band:
    """Panels beside each other."""
    return Band(height, panels)


def link(uid: str, **fields: str) -> str:
    """The address of another dashboard with this one's data source and time, and fields of a table's row."""
    chosen = "".join(f"&var-{variable}=${{__data.fields.{field}}}" for variable, field in fields.items())
    return f"/d/{uid}?{CARRIED}{chosen}"


def dashboard(page: Page) -> Dashboard:
    """The model that Grafana reads."""
    model = (
        build.Dashboard(page.title)
        .uid(page.uid)
        .description(page.question)
        .tags([TAG])
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .time(page.since, "now")
        .refresh("30s")
        .annotation(_fired())
        .timepicker(build.TimePicker().refresh_intervals(["10s", "30s", "1m", "5m"]))
        .link(
            build.DashboardLink("Pulltrace")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
            .as_dropdown(False)
        )
        .link(build.DashboardLink("Runbooks").type(DashboardLinkType.LINK).url(RUNBOOKS).icon("doc").target_blank(True))
        .build()
    )
    model.templating = DashboardDashboardTemplating(list_val=list(page.variables))
    model.panels = _placed(page.content)
    for panel in model.panels:
        if isinstance(panel, Panel) and panel.targets:
            panel.description = f"{panel.description}{_ignored(panel, page.variables)}"
    return model


def _fired() -> build.AnnotationQuery:
    """Marks on every chart where alerts of Pulltrace fired."""
    return (
        build.AnnotationQuery()
        .name("Alerts of Pulltrace")
        .datasource(SOURCE)
        .enable(True)
        .icon_color(RED)
        .expr(f"ALERTS{{{FIRING}}}")
        .step("60s")
        .title_format("{{alertname}}")
        .text_format("{{severity}} {{namespace}} {{pod}} {{node}} {{registry}}")
    )


def _ignored(panel: Panel, variables: Sequence[VariableModel]) -> str:
    """Says which choices of the dashboard a panel does not follow."""
    text = " ".join(str(target.expr) for target in panel.targets or () if isinstance(target, Dataquery))
    shown = [v for v in variables if v.type_val == VariableType.QUERY and v.hide is not VariableHide.HIDE_VARIABLE]
    ignored = [str(variable.label) for variable in shown if f"${variable.name}" not in text]
    return f" Whatever is chosen as {' and '.join(ignored)}, this panel shows all." if ignored else ""


def _placed(content: Sequence[Band | Heading]) -> list[Panel | RowPanel]:
    found: list[Panel | RowPanel] = []
    y = 0
    for part in content:
        if isinstance(part, Heading):
            found.append(RowPanel(title=part.title, id_val=part.id, grid_pos=GridPos(h=1, w=WIDTH, x=0, y=y)))
            y += 1
            continue
        x = 0
        for width, panel in part.panels:
            panel.grid_pos = GridPos(h=part.height, w=width, x=x, y=y)
            found.append(panel)
            x += width
        y += part.height
    return found
