"""The reference page of metrics, from their table."""

from pulltrace.exposition.model import Metric, Section, State


def section_text(section: Section[State]) -> str:
    """A section in Markdown: a heading of the third level, its words, and a table with a row for each metric."""
    rows = "".join(_row(family.metric) for family in section.families)
    head = "| metric | type | labels | unit | meaning |\n|---|---|---|---|---|\n"
    return f"### {section.title}\n\n{section.text}\n\n{head}{rows}"


def _row(metric: Metric) -> str:
    labels = " ".join(f"`{label}`" for label in metric.labels)
    help_text = metric.help.replace("|", r"\|")
    return f"| `{metric.name}` | {metric.type} | {labels} | {metric.unit} | {help_text} |\n"
