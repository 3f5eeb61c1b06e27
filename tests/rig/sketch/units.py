"""Numbers as Grafana writes them, as far as our dashboards use its units."""

_TIMES = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (0.001, "ms"), (1e-6, "µs"))
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB")


def written(value: float, unit: str = "short", decimals: int | None = None) -> str:
    """The text of a value."""
    if value != value:  # NaN
        return "-"
    if unit == "percentunit":
        return f"{100 * value:.{decimals or 0}f}%"
    if unit == "s":
        size, name = next((pair for pair in _TIMES if abs(value) >= pair[0]), (1, "s"))
        return f"{_short(value / size)} {name}"
    if unit in ("bytes", "binBps"):
        return _bytes(value) + ("/s" if unit == "binBps" else "")
    text = f"{value:.{decimals}f}" if decimals is not None else _short(value)
    return f"{text} req/s" if unit == "reqps" else text


def _bytes(value: float) -> str:
    place = 0
    while abs(value) >= 1024 and place < len(_BINARY) - 1:
        value, place = value / 1024, place + 1
    return f"{_short(value)} {_BINARY[place]}"


def _short(value: float) -> str:
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"
