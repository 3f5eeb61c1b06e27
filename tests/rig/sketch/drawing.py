"""Panels drawn with matplotlib, in the places and the colours that their dashboard gives them."""

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rig.dashboards import Json
from rig.sketch.answers import Answer, merged
from rig.sketch.units import written

UNIT = 0.38
"""Inches of a unit of the grid's height, of which a column's width is 1.5; with 100 dots it is Grafana's size."""
COLUMN = 0.6
GAP = 0.05
GROUND, PAPER, INK, FAINT, LINE = "#111217", "#181b1f", "#d5d6dc", "#8e8f98", "#2c2f36"
# The classic palette of Grafana, by which it draws what has no colour of its own.
PALETTE = ("#73BF69", "#F2CC0C", "#8AB8FF", "#FF780A", "#F2495C", "#5794F2", "#B877D9", "#705DA0", "#37872D", "#FADE2A")


@dataclass(frozen=True, slots=True)
class Style:
    """What a field is shown with: its defaults, and what overrides them."""

    config: Json

    @classmethod
    def of(cls, panel: Json, name: str) -> "Style":
        """The style of a field of this name."""
        config = dict(panel["fieldConfig"]["defaults"])
        config.update({f"custom.{key}": value for key, value in config.get("custom", {}).items()})
        for override in panel["fieldConfig"].get("overrides", ()):
            if override["matcher"]["options"] == name:
                config.update({item["id"]: item.get("value") for item in override["properties"]})
        return cls(config)

    def text(self, value: str | float) -> str:
        """A value as the reader sees it."""
        if found := self._mapped(value):
            return str(found["text"])
        if isinstance(value, str):
            return value
        return written(value, self.config.get("unit", "short"), self.config.get("decimals"))

    def colour(self, value: str | float) -> str:
        """The colour of a value by its mapping, else by the thresholds."""
        if found := self._mapped(value):
            return str(found["color"])
        steps = self.config.get("thresholds", {}).get("steps", ())
        passed = [step["color"] for step in steps if step["value"] is None or _number(value) >= step["value"]]
        return passed[-1] if passed else INK

    def _mapped(self, value: str | float) -> Json | None:
        key = value if isinstance(value, str) else written(value)
        words = [m["options"] for m in self.config.get("mappings", ()) if m["type"] == "value"]
        return next((options[key] for options in words if key in options), None)


def figure(dashboard: Json, found: Mapping[int, list[Answer]], caption: str) -> Figure:
    """The whole dashboard as one picture."""
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    inches = (24 * COLUMN, (height + 1.4) * UNIT)
    picture = Figure(figsize=inches, facecolor=GROUND)
    picture.text(0.006, 1 - 0.8 * UNIT / inches[1], dashboard["title"], color=INK, fontsize=13, va="center")
    picture.text(0.994, 1 - 0.8 * UNIT / inches[1], caption, color=FAINT, fontsize=9, va="center", ha="right")
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        left, top = place["x"] * COLUMN + GAP, (place["y"] + 1.4) * UNIT + GAP
        wide, high = place["w"] * COLUMN - 2 * GAP, place["h"] * UNIT - 2 * GAP
        box = (left / inches[0], 1 - (top + high) / inches[1], wide / inches[0], high / inches[1])
        if panel["type"] == "row":
            picture.text(box[0], box[1] + box[3] / 2, f"▾ {panel['title']}", color=INK, fontsize=10, va="center")
        else:
            _panel(picture, panel, box, (wide, high), found.get(panel["id"], []))
    return picture


def _panel(
    picture: Figure, panel: Json, box: tuple[float, float, float, float], size: tuple[float, float], found: list[Answer]
) -> None:
    frame = picture.add_axes(box)
    frame.set_facecolor(PAPER)
    frame.set_xticks([])
    frame.set_yticks([])
    for edge in frame.spines.values():
        edge.set_color(LINE)
    frame.text(0.08 / size[0], 1 - 0.13 / size[1], panel["title"], color=INK, fontsize=8.5, weight="bold", va="center")
    inner = picture.add_axes(
        (box[0], box[1], box[2], box[3] * (1 - 0.27 / size[1])), xlim=(0, size[0]), ylim=(0, size[1] - 0.27)
    )
    inner.axis("off")
    inner.patch.set_alpha(0)
    draw: Callable[[Axes, Json, list[Answer]], None] = {
        "stat": _stat,
        "table": _table,
        "bargauge": _bars,
        "timeseries": _lines,
        "state-timeline": _timeline,
    }.get(panel["type"], _nothing)
    empty = not any(answer.series for answer in found)
    (_nothing if empty else draw)(inner, panel, found)


def _nothing(axes: Axes, panel: Json, _: list[Answer]) -> None:
    words = panel["fieldConfig"]["defaults"].get("noValue", panel["type"])
    wide, high = axes.get_xlim()[1], axes.get_ylim()[1]
    size = 15 if panel["type"] == "stat" and len(words) < 16 else 8.5
    text = "\n".join(textwrap.wrap(words, max(int(wide * 14), 10)))
    axes.text(wide / 2, high / 2, text, color=FAINT, fontsize=size, ha="center", va="center")


def _stat(axes: Axes, panel: Json, found: list[Answer]) -> None:
    wide, high = axes.get_xlim()[1], axes.get_ylim()[1]
    series = found[0].series
    label = panel["options"]["reduceOptions"].get("fields", "").strip("/^$")
    values: list[str | float] = [one.labels[label] for one in series[:3]] if label else [series[0].value]
    style = Style.of(panel, label)
    for place, value in enumerate(values):
        left, width = wide * place / len(values), wide / len(values)
        if panel["options"]["colorMode"] == "background":
            axes.axvspan(left + 0.03, left + width - 0.03, color=style.colour(value), alpha=0.85)
        text = style.text(value)
        axes.text(
            left + width / 2,
            high / 2,
            text,
            color="white",
            fontsize=min(20, 110 * width / max(len(text), 5) / 1.6),
            ha="center",
            va="center",
        )
    if panel["options"]["graphMode"] == "area":
        points = series[0].points
        top = max(value for _, value in points) or 1
        x = [wide * (at - points[0][0]) / (points[-1][0] - points[0][0] or 1) for at, _ in points]
        axes.fill_between(x, [0.35 * high * value / top for _, value in points], color="#0072B2", alpha=0.5, lw=0)


def _table(axes: Axes, panel: Json, found: list[Answer]) -> None:
    options = panel["transformations"][1]["options"]
    titles: dict[str, str] = options["renameByName"]
    rows = merged(found)
    if sort := panel["options"].get("sortBy"):
        field = next(name for name, title in titles.items() if title == sort[0]["displayName"])
        rows.sort(key=lambda row: _sort_key(row.get(field)), reverse=sort[0]["desc"])
    unknown = {name for row in rows for name in row} - set(titles) - set(options["excludeByName"])
    assert not unknown, f"{panel['title']}: columns {unknown} are shown without a title"
    wide, high = axes.get_xlim()[1], axes.get_ylim()[1]
    styles = {title: Style.of(panel, title) for title in titles.values()}
    given = {title: styles[title].config.get("custom.width", 0) / 100 for title in titles.values()}
    rest = (wide - sum(given.values())) / max(sum(not width for width in given.values()), 1)
    left = 0.0
    shown = rows[: int((high - 0.3) / 0.3)]
    for field, title in titles.items():
        width = given[title] or rest
        axes.text(left + 0.06, high - 0.13, title, color="#6E9FFF", fontsize=7.5, va="center", clip_on=True)
        for number, row in enumerate(shown):
            if (value := row.get(field)) is not None:
                _cell(axes, styles[title], value, (left, high - 0.42 - 0.3 * number, width))
        left += width
    if len(rows) > len(shown):
        axes.text(wide - 0.05, 0.04, f"… {len(rows) - len(shown)} more", color=FAINT, fontsize=7, ha="right")


def _cell(axes: Axes, style: Style, value: str | float, place: tuple[float, float, float]) -> None:
    left, middle, width = place
    text, kind = style.text(value), (style.config.get("custom.cellOptions") or {}).get("type")
    if kind == "gauge" and not isinstance(value, str):
        full = (width - 0.55) * min(max(value, 0.0), 1.0)
        axes.barh(middle, width - 0.55, 0.18, left + 0.05, color=LINE)
        axes.barh(middle, full, 0.18, left + 0.05, color=style.colour(value))
        axes.text(left + width - 0.45, middle, text, color=INK, fontsize=7.5, va="center")
        return
    if kind == "color-background":
        axes.barh(middle, width - 0.04, 0.27, left + 0.02, color=style.colour(value), alpha=0.85)
    room = int(width * 100 / 6)
    if kind == "auto":
        for number, line in enumerate(textwrap.wrap(text, int(room * 0.98))):
            axes.text(left + 0.06, middle - 0.16 * number, line, color=INK, fontsize=7.5, va="center")
        return
    cut = text if len(text) <= room else text[: max(room - 1, 1)] + "…"
    ink = _readable_on(style.colour(value)) if kind else INK
    axes.text(left + 0.06, middle, cut, color=ink, fontsize=7.5, va="center")


def _bars(axes: Axes, panel: Json, found: list[Answer]) -> None:
    values = [(answer.name(one), one.value) for answer in found for one in answer.series]
    wide, high = axes.get_xlim()[1], axes.get_ylim()[1]
    top = max((value for _, value in values), default=1) or 1
    step = high / max(len(values), 1)
    for number, (name, value) in enumerate(values):
        style, middle = Style.of(panel, name), high - step * (number + 0.5)
        colour = (style.config.get("color") or {}).get("fixedColor", "#0072B2")
        axes.barh(middle, (wide - 2.2) * value / top, min(step * 0.6, 0.3), 1.3, color=colour)
        axes.text(1.22, middle, style.config.get("displayName") or name, color=INK, fontsize=8, ha="right", va="center")
        axes.text(wide - 0.08, middle, style.text(value), color=INK, fontsize=9, ha="right", va="center")


def _lines(axes: Axes, panel: Json, found: list[Answer]) -> None:
    wide, high = axes.get_xlim()[1], axes.get_ylim()[1]
    drawn = [(answer.name(one), one) for answer in found for one in answer.series]
    custom = panel["fieldConfig"]["defaults"].get("custom", {})
    stacked = custom.get("stacking", {}).get("mode") == "normal"
    bars = custom.get("drawStyle") == "bars"
    legend = 2.4 if wide > 5 else 1.5
    plot = axes.inset_axes((0.62, 0.28, wide - legend - 0.72, high - 0.36), transform=axes.transData)
    plot.set_facecolor(PAPER)
    plot.grid(color=LINE, lw=0.6)
    plot.tick_params(colors=FAINT, labelsize=7, length=0)
    for edge in plot.spines.values():
        edge.set_visible(False)
    base: dict[float, float] = {}
    for number, (name, series) in enumerate(drawn):
        style = Style.of(panel, name)
        colour = (style.config.get("color") or {}).get("fixedColor") or PALETTE[number % len(PALETTE)]
        x = [at for at, _ in series.points]
        low = [base.get(at, 0.0) if stacked else 0.0 for at in x]
        y = [value + under for (_, value), under in zip(series.points, low, strict=True)]
        if stacked:
            base.update(zip(x, y, strict=True))
        if bars:
            plot.bar(x, [value for _, value in series.points], 15, bottom=low, color=colour)
        else:
            _broken(plot, x, y, low, colour, filled=stacked)
        if number < 9:
            place = high - 0.3 - 0.17 * number
            axes.plot([wide - legend, wide - legend + 0.12], [place, place], color=colour, lw=2.5)
            text = f"{style.config.get('displayName') or name}"
            axes.text(wide - legend + 0.18, place, text[: int(legend * 10)], color=INK, fontsize=7, va="center")
            last = style.text(series.value)
            axes.text(wide - 0.06, place, last, color=INK, fontsize=7, va="center", ha="right")
    _scales(plot, panel)


def _broken(plot: Axes, x: list[float], y: list[float], low: list[float], colour: str, *, filled: bool) -> None:
    """A line with gaps where there is no point."""
    begin = 0
    for place in range(1, len(x) + 1):
        if place == len(x) or x[place] - x[place - 1] > 31:
            part = slice(begin, place)
            marker = "." if place - begin == 1 else ""
            plot.plot(x[part], y[part], color=colour, lw=1.4, marker=marker)
            plot.fill_between(x[part], low[part], y[part], color=colour, alpha=0.35 if filled else 0.08, lw=0)
            begin = place


def _scales(plot: Axes, panel: Json) -> None:
    style = Style.of(panel, "")
    plot.set_ylim(0, panel["fieldConfig"]["defaults"].get("max") or plot.get_ylim()[1])
    plot.yaxis.set_major_formatter(lambda value, _: style.text(float(value)))
    end = panel["moment"][1]
    plot.set_xlim(*panel["moment"])
    third = (end - panel["moment"][0]) / 3
    marks = [end - third * number for number in range(4)]
    plot.set_xticks(marks, [f"-{number * third / 60:.0f} min" if number else "now" for number in range(4)])
    if style.config.get("decimals") == 0:
        plot.yaxis.set_major_locator(MaxNLocator(5, integer=style.config["unit"] == "short"))


def _timeline(axes: Axes, panel: Json, found: list[Answer]) -> None:
    wide, high = axes.get_xlim()[1], axes.get_ylim()[1]
    drawn = [(answer.name(one), one) for answer in found for one in answer.series][:14]
    style = Style.of(panel, "")
    start, end = panel["moment"]
    step = (high - 0.5) / max(len(drawn), 1)
    scale = (wide - 1.6) / (end - start)
    for number, (name, series) in enumerate(drawn):
        middle = high - 0.05 - step * (number + 0.5)
        axes.text(1.44, middle, name[:26], color=INK, fontsize=7.5, ha="right", va="center")
        width = (end - start) / 240
        for at, value in series.points:
            axes.barh(
                middle,
                width * scale * 1.02,
                min(step * 0.8, 0.4),
                1.5 + (at - start) * scale,
                color=style.colour(value),
            )
    words = [option for mapping in style.config["mappings"] for option in mapping["options"].values()]
    each = min(len(words), int(wide))
    for number, word in enumerate(words):
        left, bottom = 0.1 + number % each * (wide - 0.2) / each, 0.13 + 0.17 * (number // each)
        axes.barh(bottom, 0.12, 0.12, left, color=word["color"])
        axes.text(left + 0.17, bottom, word["text"], color=INK, fontsize=7, va="center")


def _readable_on(colour: str) -> str:
    red, green, blue = to_rgb(colour)
    return "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.55 else "white"


def _sort_key(value: str | float | None) -> tuple[int, float, str]:
    if value is None:
        return (0, 0.0, "")
    if isinstance(value, str):
        return (1, float(value), "") if value.isdigit() else (1, 0.0, value)
    return (1, value, "")


def _number(value: str | float) -> float:
    return float("-inf") if isinstance(value, str) else value
