"""What can go wrong between the aggregator and one exporter."""

from typing import Final

from pulltrace.text import one_line
from pulltrace_aggregator.errors import AggregatorError
from pulltrace_aggregator.exporters.values import Result

LONGEST_DETAIL: Final = 200


class FleetError(AggregatorError):
    """Root of this adapter's errors."""


class AskError(FleetError):
    """An exporter was asked in vain. `result` is the label it is counted under; the message is one short line."""

    def __init__(self, result: Result, detail: object) -> None:
        self.result = result
        super().__init__(one_line(detail, LONGEST_DETAIL))


class ConnectionStale(FleetError):
    """A kept connection had ended before anything of the answer came. That says nothing of the exporter: ask again."""
