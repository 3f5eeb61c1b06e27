"""`pulltrace-aggregator`, and `python -m pulltrace_aggregator`."""

from pulltrace.cli import loading


def main() -> None:
    """Load the aggregator and run it."""
    loading.heed_signals()
    from pulltrace_aggregator import cli

    cli.main()


if __name__ == "__main__":
    main()
