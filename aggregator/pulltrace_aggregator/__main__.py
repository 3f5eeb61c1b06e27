"""`pulltrace-aggregator`, and `python -m pulltrace_aggregator`."""

from pulltrace.cli import startup


def main() -> None:
    """Load the aggregator and run it."""
    startup.exit_on_signals()
    from pulltrace_aggregator import cli

    cli.main()


if __name__ == "__main__":
    main()
