"""A table of flags as text: `--help`, the version, a Markdown page."""

import platform
from collections.abc import Sequence
from importlib import resources
from textwrap import wrap
from typing import Any, Final

from pulltrace import __version__
from pulltrace.cli.flags import HELP, VERSION, Flag, Settings

WIDTH: Final = 80
_INDENT: Final = 33


def answer(settings: type[Settings], argv: Sequence[str]) -> str | None:
    """What to print for `--help` or `--version`, whichever comes first; None without either."""
    for argument in argv:
        if argument in HELP:
            return help_text(settings)
        if argument == VERSION:
            return version_text(settings.program)
    return None


def help_text(settings: type[Settings]) -> str:
    """The text of `--help`, 80 columns wide unless a default alone is longer."""
    rows = [
        ("-h, --help", "Show this text.", ""),
        *((_form(flag), _explanation(flag), flag.variable) for flag in settings.table.flags),
        ("    --version", "Show the version.", ""),
    ]
    head = [f"usage: {settings.program} [<flags>]", "", *wrap(settings.summary, WIDTH), "", "Flags:"]
    return "\n".join([*head, *(line for row in rows for line in _row(*row))]) + "\n"


def version_text(program: str) -> str:
    """The text of `--version`."""
    commit = build_commit()
    built = f" (commit {commit})" if commit else ""
    return f"{program}, version {__version__}{built}\n  python version: {platform.python_version()}\n"


def build_commit() -> str:
    """The commit that this was built from, which a build may write to `pulltrace/COMMIT`; empty when unknown."""
    try:
        return (resources.files("pulltrace") / "COMMIT").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def reference_page(settings: type[Settings]) -> str:
    """A Markdown page of all flags."""
    head = [
        f"# Flags of `{settings.program}`",
        "",
        "<!-- Generated from the table of flags by `make docs`: change the table. -->",
        "",
        settings.summary,
        "",
        "A flag wins over its environment variable. Flags are written `--flag=value` or `--flag value`;",
        "where one may be repeated, its variable holds the values separated by commas. A switch is turned",
        "on by `--name` and off by `--no-name`; its variable is `true` or `false`. Durations are",
        "Prometheus' (`500ms`, `30s`, `1m30s`); sizes are bytes or whole `KiB`, `MiB`, `GiB`. If anything",
        "is wrong, the program names every mistake and ends with exit status 2.",
        "",
        "| flag | default | environment variable | meaning |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *(_markdown_row(flag) for flag in settings.table.flags)]) + "\n"


def _form(flag: Flag[Any]) -> str:
    if flag.switch:
        return f"    --[no-]{flag.name}"
    shown = flag.default or flag.metavar
    return f"    {flag.option}={shown}{' ...' if flag.repeated else ''}"


def _explanation(flag: Flag[Any]) -> str:
    default = _on_or_off(flag) if flag.switch else flag.default_help.replace("`", "")
    meaning = _meaning(flag).replace("`", "")
    return f"{meaning} Default: {default}." if default else meaning


def _meaning(flag: Flag[Any]) -> str:
    return f"{flag.help} May be repeated." if flag.repeated else flag.help


def _on_or_off(flag: Flag[Any]) -> str:
    return "on" if flag.parse(flag.default) else "off"


def _row(form: str, meaning: str, variable: str) -> Sequence[str]:
    text = f"{meaning} (${variable})" if variable else meaning
    lines = [f"{'':{_INDENT}}{line}" for line in wrap(text, WIDTH - _INDENT, break_on_hyphens=False)]
    left = f"  {form}"
    if len(left) + 2 > _INDENT:
        return [left, *lines]
    return [f"{left:{_INDENT}}{lines[0].lstrip()}", *lines[1:]]


def _markdown_row(flag: Flag[Any]) -> str:
    default = flag.default_help or (f"`{flag.default}`" if flag.default else "")
    if flag.switch:
        name, default = f"`--[no-]{flag.name}`", _on_or_off(flag)
    else:
        name = f"`{flag.option}={flag.metavar}`"
    meaning = _meaning(flag)
    return "| " + " | ".join([name, default, f"`{flag.variable}`", meaning.replace("|", "\\|")]) + " |"
