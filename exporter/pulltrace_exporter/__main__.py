"""`python -m pulltrace_exporter`."""

from pulltrace_exporter.cli import main

main()
