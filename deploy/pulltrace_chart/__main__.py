"""`python -m pulltrace_chart`: write all generated files, and remove those that are no longer generated."""

import sys
from pathlib import Path

from pulltrace_chart import generated


def main() -> int:
    """Write them in steps: what comes later is made of what comes earlier."""
    wanted: set[Path] = set()
    for step in generated.STEPS:
        for path, text in step().items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            wanted.add(path)
    for path in generated.present():
        if path not in wanted:
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
