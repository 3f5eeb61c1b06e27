"""`make stack`: the whole chain for a person to look around, until Ctrl-C.

A real node where there can be one (root, Debian), else stand-ins; the day repeats itself. Durations of the rules are 60
times shorter.
"""

import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rig import debian
from rig.alert_scenarios import run_alert_scenarios
from rig.alertmanager import Message
from rig.caching import Unavailable
from rig.chain import Chain, chain
from rig.kubernetes.real import single_node
from rig.monitoring import Monitoring
from rig.real_node_scenarios import RealNodeScenarios, real_node_scenarios

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Over(Exception):
    """Somebody has asked for the end."""


def main() -> int:
    """Play until the end is asked for; status 1 where there can be none."""
    for number in ENDS:
        signal.signal(number, _end)
    try:
        for package in (debian.PROMETHEUS, debian.ALERTMANAGER):
            debian.unpacked(package)
        _run()
    except Unavailable as error:
        say(f"stack: {error}")
        return 1
    except Over:
        pass
    return 0


def _run() -> None:
    reason = single_node.reason_missing()
    if reason:
        say(f"No real node here ({reason}): stand-ins take its place.")
        while True:
            with chain() as running:
                run_alert_scenarios(running, _introduce_chain)
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="stack-")))
        day = ends.enter_context(real_node_scenarios(ends.enter_context(single_node.RealNode()), folder))
        _introduce_day(day)
        while True:
            day.missing_image()
            day.stalled_pull()
            day.monitoring.hook.forget()


def _introduce_day(day: RealNodeScenarios) -> None:
    _introduce(day.monitoring, [("exporter", day.out.exporter.port), ("aggregator", day.aggregator.port)])


def _introduce_chain(running: Chain, step: str) -> None:
    if step != "ready":
        return
    exporters = [(f"exporter of {place.name}", place.port) for place in running.places.values()]
    _introduce(running.monitoring, [*exporters, ("aggregator", running.aggregators[-1].port)])


def _introduce(monitoring: Monitoring, programs: list[tuple[str, int]]) -> None:
    say("")
    say(f"  {'Prometheus':24}{monitoring.prometheus.url}/alerts")
    say(f"  {'Alertmanager':24}{monitoring.manager.url}/#/alerts")
    for name, port in programs:
        say(f"  {name:24}http://127.0.0.1:{port}/")
    say("\nWhat the receivers are told (Ctrl-C ends):")
    monitoring.hook.listeners.append(_tell)


def _tell(message: Message) -> None:
    for one in message.alerts:
        say(f"  {message.receiver:10}{one.status:10}{one.annotations['summary']}")


def say(line: str) -> None:
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except OSError:
        return  # the terminal is gone, and SIGHUP ends all of it


def _end(*_: object) -> None:
    # Once: a second signal must not break the tidying up.
    for number in ENDS:
        signal.signal(number, signal.SIG_IGN)
    raise Over


if __name__ == "__main__":
    sys.exit(main())
