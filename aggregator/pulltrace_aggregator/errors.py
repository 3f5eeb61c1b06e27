"""What can go wrong in the aggregator. Errors of libraries become one of these at the edge."""

from pulltrace.errors import PulltraceError


class AggregatorError(PulltraceError):
    """Root of the aggregator's own errors."""
