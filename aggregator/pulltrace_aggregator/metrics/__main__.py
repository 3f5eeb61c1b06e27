"""Writes the aggregator's part of the reference page docs/metrics.md to standard output."""

import sys

from pulltrace.exposition.families import section_text
from pulltrace_aggregator.metrics.table import SECTIONS

_HEAD = """\

## Aggregator

The aggregator's metrics are about other machines and pods: it sets `node`, `namespace`, `pod` and `container` itself
and is scraped with `honorLabels: true`. An image that nobody waits for any more stays for `--pod.linger`.
"""


def page() -> str:
    """The part in Markdown, which follows the exporter's."""
    return "\n".join((_HEAD, *(section_text(section) for section in SECTIONS)))


if __name__ == "__main__":
    sys.stdout.write(page())
