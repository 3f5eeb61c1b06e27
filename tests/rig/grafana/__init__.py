"""What Grafana makes of our panels: its own data code in Node, from npm, installed into the cache of `rig.debian`.

`@grafana/data` has the transformations, field overrides, value mappings, units and links that Grafana's panels use. It
is Apache-2.0. The versions and hashes of all that it needs stand in package-lock.json.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rig import debian, needs
from rig.processes import CommandFailed, run
from rig.prometheus import Series

HERE = Path(__file__).parent
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """A panel of a dashboard's file, the answers to its queries by refId, and the values of the variables."""

    panel: Json
    answers: Mapping[str, Sequence[Series]] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> Json:
        return {
            "panel": self.panel,
            "variables": dict(self.variables),
            "answers": {
                ref: [
                    {"metric": dict(one.labels), "values": [[at, repr(value)] for at, value in one.points]}
                    for one in found
                ]
                for ref, found in self.answers.items()
            },
        }


def packages() -> Path:
    """The folder with the installed packages. Skips the test, or fails it with CI=true, where they cannot be had."""
    lock = (HERE / "package-lock.json").read_bytes()
    folder = debian.cache_folder() / "npm" / f"grafana-{hashlib.sha256(lock).hexdigest()[:12]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with debian._locked(folder.parent / "grafana.lock"):
        if not folder.exists():
            try:
                _install(folder)
            except (CommandFailed, FileNotFoundError) as error:
                needs.miss(f"@grafana/data of npm: {error}")
    return folder


def _install(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="incoming-") as name:
        incoming = Path(name) / "project"
        incoming.mkdir()
        for file in ("package.json", "package-lock.json"):
            shutil.copy(HERE / file, incoming)
        run(["npm", "ci", "--ignore-scripts", "--silent", "--no-audit", "--no-fund"], timeout=600, cwd=incoming)
        incoming.rename(folder)


def reports(questions: Sequence[Question], theme: str = "dark") -> list[Json]:
    """What Grafana shows of each panel: its fields with texts, colours and links, or its figures."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump([question.as_json() for question in questions], file)
        file.flush()
        answer = run([needs.node(), HERE / "report.cjs", packages(), theme, file.name], timeout=100)
    found: list[Json] = json.loads(answer)
    return found
