"""Wires the parts: parse, ask, draw; errors become a line, what to do, and an exit status."""

import os
import signal
import sys
from collections.abc import Sequence

from pulltrace_kubectl import arguments
from pulltrace_kubectl.errors import ClientError
from pulltrace_kubectl.look import Looker
from pulltrace_kubectl.model.options import Options
from pulltrace_kubectl.render import terminal
from pulltrace_kubectl.render.drawing import drawn
from pulltrace_kubectl.render.paint import painted
from pulltrace_kubectl.sources.connect import connect

FAULT = 1
INTERRUPTED = 130


def main(argv: Sequence[str]) -> int:
    """Do what the arguments ask for; returns the exit status."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        return run(arguments.parse(argv))
    except ClientError as error:
        sys.stderr.write(f"error: {error.problem}\n" + (f"       {error.remedy}\n" if error.remedy else ""))
        return error.status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read has read enough; nothing more can be flushed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAULT


def run(options: Options) -> int:
    """Answer once, or go on; raises ClientError."""
    programs, cluster = connect(options.access)
    looker = Looker(options, programs, cluster)
    picture = looker.look()
    for line in picture.warnings:
        terminal.warn(line)
    form = terminal.form_for(options, sys.stdout)
    sys.stdout.write(painted(drawn(picture, options, form), colour=terminal.has_colour(sys.stdout)))
    sys.stdout.flush()
    return 0


def _terminated(*_: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)
