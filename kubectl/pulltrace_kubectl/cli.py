"""Wires the parts: parse, ask, draw; errors become a line, what to do, and an exit status."""

import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pulltrace_kubectl import arguments, going_on
from pulltrace_kubectl.errors import ClientError, UsageError
from pulltrace_kubectl.look import Looker
from pulltrace_kubectl.model.options import Access, Options, Output
from pulltrace_kubectl.render import terminal
from pulltrace_kubectl.render.drawing import text_of
from pulltrace_kubectl.render.screens import screen_for
from pulltrace_kubectl.sources.cluster import KubectlCluster
from pulltrace_kubectl.sources.direct import DirectPrograms
from pulltrace_kubectl.sources.kubectl import Kubectl
from pulltrace_kubectl.sources.port import Programs
from pulltrace_kubectl.sources.proxy import ProxiedPrograms

FAULT: Final = 1
INTERRUPTED: Final = 130
PASSWORD_VARIABLE = "PULLTRACE_PASSWORD"  # noqa: S105 -- the name of it


def main(argv: Sequence[str]) -> int:
    """Do what the arguments ask for; returns the exit status."""
    # These end the client by an exception, so that the terminal is restored.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _ended)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        return run(arguments.parse(argv))
    except ClientError as error:
        sys.stdout.flush()
        sys.stderr.write(f"error: {error.problem}\n" + (f"       {error.remedy}\n" if error.remedy else ""))
        return error.status
    except KeyboardInterrupt:
        _ignore_further_interrupts()
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has closed the pipe. The interpreter must find nothing to flush into it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAULT


def run(options: Options) -> int:
    """Answer once, or watch, or wait; returns the exit status, raises ClientError."""
    kubectl = Kubectl(options.access.kubectl, options.access.timeout)
    looker = Looker(options, _programs(options.access, kubectl), KubectlCluster(kubectl))
    if options.wait:
        return _wait(looker)
    if options.watch:
        return _watch(looker)
    picture = looker.look()
    for line in picture.warnings:
        terminal.warn(line)
    _write(text_of(picture, options, terminal.form_for(options, sys.stdout), colour=terminal.has_colour(sys.stdout)))
    return 0


def _programs(access: Access, kubectl: Kubectl) -> Programs:
    """What answers for the programs; raises UsageError. Nothing is asked yet."""
    if not access.urls:
        return ProxiedPrograms(kubectl, access.service)
    for file in (access.ca_file, access.cert_file, access.key_file):
        if file and not Path(file).is_file():
            raise UsageError(f"there is no file {file}")
    return DirectPrograms(access, _password(access))


def _password(access: Access) -> str:
    if not access.user:
        return ""
    if access.password_file:
        try:
            return Path(access.password_file).read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--password-file {access.password_file} cannot be read: {error}") from error
    if PASSWORD_VARIABLE not in os.environ:
        raise UsageError("--user needs a password", f"put it into ${PASSWORD_VARIABLE}, or name a --password-file")
    return os.environ[PASSWORD_VARIABLE]


def _watch(looker: Looker) -> int:
    try:
        with screen_for(looker.options) as screen:
            going_on.watch(looker, screen)
    except KeyboardInterrupt:
        # The ordinary end of it.
        _ignore_further_interrupts()
    return 0


def _wait(looker: Looker) -> int:
    options = looker.options
    with screen_for(options) as screen:
        picture = going_on.wait(looker, screen, options.wait_timeout)
    if options.output in (Output.TEXT, Output.WIDE):
        _write("All images are there.\n")
    else:
        _write(text_of(picture, options, terminal.form_for(options, sys.stdout), colour=False))
    return 0


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _ignore_further_interrupts() -> None:
    """A second Ctrl-C would only show a traceback while the interpreter shuts down."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _ended(number: int, _: object) -> None:
    raise SystemExit(128 + number)
