"""`kubectl-pulltrace`, `kubectl_complete-pulltrace`, and `python -m pulltrace_kubectl`."""

import sys


def main() -> None:
    """Run the client."""
    from pulltrace_kubectl import cli

    sys.exit(cli.main(sys.argv[1:]))


def complete() -> None:
    """Answer kubectl's question for completions."""
    from pulltrace_kubectl.completion import main as answer

    sys.exit(answer(sys.argv[1:]))


if __name__ == "__main__":
    main()
