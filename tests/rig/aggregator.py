"""The aggregator as a user runs it. What it says is checked at every look."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from pulltrace_aggregator.api import json_v1
from rig.running import AGGREGATOR, INTERVAL, Running
from rig.web import wait_until

_SCHEMA = Draft202012Validator(dict(json_v1.schema()))

Document = dict[str, Any]


class RunningAggregator(Running):
    """Serves on a free port of 127.0.0.1 once made. `log` is the file that it writes to."""

    def __init__(
        self, log: Path, *flags: str, environment: Mapping[str, str] | None = None, level: str = "debug"
    ) -> None:
        super().__init__(AGGREGATOR, log, *flags, environment=environment, level=level)

    def view(self, query: str = "") -> Document:
        """Read /v1/pulls; fails when it is not what its schema promises."""
        document: Document = json.loads(self.read("/v1/pulls" + (f"?{query}" if query else "")))
        _SCHEMA.validate(document)
        return document

    def metrics(self) -> str:
        return self.read("/metrics")

    def samples(self) -> Iterator[Sample]:
        for family in text_string_to_metric_families(self.metrics()):
            yield from family.samples

    def wait(self, condition: Callable[[Document], object], timeout: float = 60, query: str = "") -> Document:
        """The first view of which the condition is true; fails with the last one after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not condition(view := self.view(query)):
            assert time.monotonic() < deadline, f"it did not happen in {timeout} s: {view}; {self.tail()}"
            time.sleep(INTERVAL)
        return view

    def wait_ready(self, timeout: float = 60) -> None:
        wait_until(lambda: self.get("/-/ready").status == 200, timeout, self.tail)
