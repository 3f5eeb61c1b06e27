"""`pulltrace-exporter`, and `python -m pulltrace_exporter`."""

from pulltrace.cli import loading


def main() -> None:
    """Load the exporter and run it."""
    loading.heed_signals()
    from pulltrace_exporter import cli

    cli.main()


if __name__ == "__main__":
    main()
