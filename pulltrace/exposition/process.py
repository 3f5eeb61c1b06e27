"""The metrics of the process itself, as prometheus_client has them."""

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector


def process_collectors() -> CollectorRegistry:
    """A registry of its own with `process_*` and `python_info`."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry
