"""What both commands do alike: answer or serve, end on a signal, and return the exit status."""

import contextlib
import logging
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Final

from pulltrace import logs
from pulltrace.cli.flag_values import ServerSettings
from pulltrace.cli.flags import Values
from pulltrace.clock import SystemClock
from pulltrace.errors import ConfigError
from pulltrace.web import ListenError, WebConfig

log = logging.getLogger(__name__)

EXIT_FAULT: Final = 1
EXIT_CONFIGURATION: Final = 2


class Stop:
    """Set when the program is to end, with this exit status.

    It is a pipe, not a lock: Python writes to it when a signal comes, whichever thread receives it. A handler that
    takes a lock can deadlock: the main thread, which it interrupts, may hold that lock.
    """

    def __init__(self) -> None:
        self.status = 0
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)

    def set(self) -> None:
        """Have the program end. Safe for use by several threads."""
        with contextlib.suppress(BlockingIOError):  # full of earlier ones
            os.write(self._write_end, b"\0")

    def set_on(self, *numbers: signal.Signals) -> None:
        """Be set by these signals from now on; for the main thread."""
        signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, lambda _number, _frame: None)

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it is set: returns once it is, or after this many seconds."""
        ready, _, _ = select.select([self._read_end], [], [], seconds)
        return bool(ready)


def run(program: str, text: str | None, serve: Callable[[Stop], None]) -> int:
    """Print `text` if there is any, else serve until SIGTERM or SIGINT.

    Returns the exit status: 2 for a configuration that cannot be used, 1 after an internal error in a vital thread.
    After one in `serve` itself the process ends at once: threads that run already would keep it, with nothing behind.
    """
    if text is not None:
        sys.stdout.write(text)
        return 0
    stop = Stop()
    stop.set_on(signal.SIGTERM, signal.SIGINT)
    try:
        serve(stop)
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"{program}: {problem}\n")
        return EXIT_CONFIGURATION
    except ListenError as error:
        sys.stderr.write(f"{program}: {error}\n")
        return EXIT_CONFIGURATION
    except Exception:
        log.exception("internal error, the program ends", extra=logs.fields(thread="main"))
        os._exit(EXIT_FAULT)
    return stop.status


def check_web_config(values: Values) -> None:
    """Read the web configuration, if there is one; raises ConfigError with all that is wrong with it."""
    WebConfig(values[ServerSettings.web_config_file], SystemClock())


def start_vital(name: str, run: Callable[[], None], stop: Stop) -> threading.Thread:
    """Run in a thread of its own. An exception there ends the program, because what is served would be out of date."""

    def guarded() -> None:
        try:
            run()
        except Exception:
            log.exception("internal error, the program ends", extra=logs.fields(thread=name))
            stop.status = EXIT_FAULT
            stop.set()

    thread = threading.Thread(target=guarded, name=name)
    thread.start()
    return thread


def start_logging(settings: ServerSettings, environ: Mapping[str, str]) -> None:
    """Set up the log, and warn of variables that look like those of a flag."""
    logs.configure(settings.log_level, settings.log_format)
    for name in settings.table.unknown_variables(environ):
        log.warning("environment variable matches no flag", extra=logs.fields(variable=name))
