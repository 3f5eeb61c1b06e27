"""`python -m pulltrace_aggregator`."""

from pulltrace_aggregator.cli import main

main()
