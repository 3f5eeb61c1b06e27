"""The Grafana dashboards of Pulltrace, as code. `make dashboards` writes the JSON files that Grafana reads."""

from pulltrace_dashboards import itself, node, overview, pod, registry
from pulltrace_dashboards.page import Page


def pages() -> tuple[Page, ...]:
    """All dashboards, the one to open first at the front."""
    return (overview.page(), pod.page(), node.page(), registry.page(), itself.page())
