"""`pulltrace-exporter`, and `python -m pulltrace_exporter`."""

from pulltrace.cli import startup


def main() -> None:
    """Load the exporter and run it."""
    startup.exit_on_signals()
    from pulltrace_exporter import cli

    cli.main()


if __name__ == "__main__":
    main()
