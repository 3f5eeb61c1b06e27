"""What an operator uses: Prometheus with our rules, Alertmanager with our routes, and a receiver of its notifications.

The rules are those that the chart brings.
"""

import json
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from pulltrace_alerts.settings import Settings
from rig import rendered
from rig.alertmanager import Notification, Webhook, alertmanager, scaled
from rig.prometheus import prometheus

CHECKOUT = Path(__file__).parents[2]
SCALE = 60.0
# A layer that is unpacked is given half an hour: too long here. One node has pulled from what is to fail.
SETTINGS = replace(Settings(), scale=SCALE, unpack_after=720, known_nodes=1)
STALE = (
    "--stale.no-progress=4s",
    "--stale.unpack=10s",
    "--stale.slow-eta=60s",
    "--stale.resolving=1s",
    "--stale.exporter=2s",
    "--pod.linger=5s",
)
"""The aggregator's flags for times as short as the rules'."""
TIMEOUT = 60.0
TICK = 0.5

CONFIG = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{alertmanager}"]}}]}}]}}
scrape_configs:
  - job_name: pulltrace-exporter
    file_sd_configs: [{{files: ["{folder}/exporters.json"], refresh_interval: 1s}}]
  - job_name: pulltrace-aggregator
    honor_labels: true
    file_sd_configs: [{{files: ["{folder}/aggregators.json"], refresh_interval: 1s}}]
  - job_name: kube-state-metrics
    honor_labels: true
    file_sd_configs: [{{files: ["{folder}/others.json"], refresh_interval: 1s}}]
"""

Targets = Iterable[tuple[int, dict[str, str]]]
"""Ports of 127.0.0.1, and the labels that a scrape configuration gives them."""


class Monitoring:
    """Nothing is scraped before `aim`. All that it starts ends with it; durations of the rules are 60 times shorter."""

    def __init__(self, folder: Path, ends: ExitStack) -> None:
        self._folder = folder
        self.aim()
        rules = folder / "rules.yaml"
        rules.write_text(rendered.rules(SETTINGS))
        self.hook = ends.enter_context(Webhook())
        self.manager = ends.enter_context(
            alertmanager(scaled(CHECKOUT / "alerts/alertmanager.yaml", self.hook.url, SCALE))
        )
        config = CONFIG.format(alertmanager=self.manager.url.removeprefix("http://"), folder=folder)
        self.prometheus = ends.enter_context(prometheus(config=config, rules=[rules]))
        self.meanwhile: list[Callable[[], object]] = []
        """Done again and again while something is waited for."""

    def aim(self, exporters: Targets = (), aggregators: Targets = (), others: Targets = ()) -> None:
        for name, targets in (("exporters", exporters), ("aggregators", aggregators), ("others", others)):
            path = self._folder / f"{name}.json"
            fresh = path.with_suffix(".new")
            fresh.write_text(json.dumps([_target(port, labels) for port, labels in targets]))
            fresh.rename(path)

    def told(self, status: str) -> set[str]:
        """Names of the alerts of which a receiver was told that they fire, or have ended."""
        return {one.name for one in self.hook.notifications if one.status == status}

    def wait_fired(self, *names: str) -> None:
        self.until(lambda: set(names) <= self.told("firing"), lambda: set(names) - self.told("firing"))

    def wait_resolved(self, *names: str) -> None:
        """Return when the last that the receivers have been told of all of these is their end."""
        self.until(lambda: not self._open(names), lambda: self._open(names))

    def until(self, condition: Callable[[], object], missing: Callable[[], object] = lambda: "") -> None:
        """Return when it is so; fails after a minute."""
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            if time.monotonic() > deadline:
                firing = self.prometheus.query('ALERTS{alertstate="firing"}')
                names = sorted({one.labels["alertname"] for one in firing})
                raise TimeoutError(f"it did not come to that in {TIMEOUT} s: {missing()}; firing are {names}")
            for action in self.meanwhile:
                action()
            time.sleep(TICK)

    def _open(self, names: Collection[str]) -> set[str]:
        last: dict[tuple[str, ...], Notification] = {}
        for one in self.hook.notifications:
            if one.name in names:
                last[tuple(f"{key}={one.labels[key]}" for key in sorted(one.labels))] = one
        return {one.name for one in last.values() if one.status == "firing"}


def _target(port: int, labels: dict[str, str]) -> dict[str, object]:
    return {"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": "monitoring", **labels}}
