"""What the terminal is: its width, whether it has colours and more than ASCII."""

import os
import shutil
import sys
from collections.abc import Mapping
from typing import TextIO

from pulltrace_kubectl.model.options import Options, Output
from pulltrace_kubectl.render.waits import Form


def form_for(options: Options, stream: TextIO, environment: Mapping[str, str] = os.environ) -> Form:
    """How text is drawn on `stream`: in the width of a terminal, elsewhere without a limit and without bars."""
    terminal = is_terminal(stream, environment)
    size = shutil.get_terminal_size() if terminal else None
    return Form(
        width=max(40, size.columns) if size else None,
        bars=terminal,
        unicode=has_unicode(stream),
        headers=options.headers,
        wide=options.output is Output.WIDE,
    )


def is_terminal(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether it is a terminal on which lines can be redrawn; a dumb one is none."""
    return stream.isatty() and environment.get("TERM", "") != "dumb"


def has_colour(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether colours are wanted: see no-color.org."""
    return is_terminal(stream, environment) and not environment.get("NO_COLOR")


def has_unicode(stream: TextIO) -> bool:
    """Whether bars of blocks and an ellipsis can be written."""
    try:
        "█░…".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def warn(line: str) -> None:
    """A line on standard error."""
    sys.stderr.write(f"warning: {line}\n")
