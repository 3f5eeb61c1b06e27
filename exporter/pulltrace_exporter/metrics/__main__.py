"""Writes the exporter's part of the reference page docs/metrics.md to standard output."""

import sys

from pulltrace.exposition.families import section_text
from pulltrace_exporter.metrics.table import SECTIONS

_HEAD = """\
# Metrics

<!-- Generated from the tables in the code by `make docs`: change those. -->

Everything is in base units. What is not known has no sample: none is ever made up. `node` is a target label, set by
the scrape configuration.

Label values come from images and registries. Control characters in them are replaced, and they are cut at 1,024
bytes; what was changed ends in `…` and a hash of the original, so that two values never become one.

## Exporter
"""


def page() -> str:
    """The page in Markdown."""
    return "\n".join((_HEAD, *(section_text(section) for section in SECTIONS)))


if __name__ == "__main__":
    sys.stdout.write(page())
