"""What Grafana makes of our panels: its own data code in Node, from npm, installed into the cache.

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

from rig import caching, needs
from rig.dashboards import Json, Look, files, queries
from rig.processes import run
from rig.prometheus import Prometheus, Series
from rig.sample_hour.timelines import HOUR_END

HERE = Path(__file__).parents[2] / "dashboards/grafana/report"
MADE_OF = (".npmrc", "package.json", "package-lock.json")
STEP = 30
"""Seconds between the points of the sample hour."""
RATE_INTERVAL = 4 * STEP


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


def question(server: Prometheus, name: str, panel: Json, chosen: Mapping[str, str], end: float) -> Question:
    """A panel with what the sample hour that ends at `end` answers to its queries, as Grafana would ask them."""
    look = Look(server, end, HOUR_END, HOUR_END / panel.get("maxDataPoints", HOUR_END / STEP), RATE_INTERVAL)
    asked = (query for query in queries(name, files()[name]) if query.panel_id == panel["id"])
    answers = {query.ref: look.answer(query, chosen) for query in asked}
    built_in = {"datasource": "prometheus", "__from": "0", "__to": "1", "cluster": ""}
    return Question(panel, answers, {**built_in, **chosen})


def packages(project: Path = HERE) -> Path:
    """The folder with a project's installed packages. Skips or fails the test where they cannot be had."""
    made_of = b"".join((project / file).read_bytes() for file in MADE_OF)
    folder = caching.folder() / "npm" / f"grafana-{project.name}-{hashlib.sha256(made_of).hexdigest()[:12]}"

    def install(incoming: Path) -> Path:
        made = incoming / "project"
        made.mkdir()
        for file in MADE_OF:
            shutil.copy(project / file, made)
        run(["npm", "ci", "--loglevel", "error"], timeout=600, cwd=made)
        return made

    return needs.had(lambda: caching.kept(folder, f"packages of {project.name} from npm", install))


def reports(questions: Sequence[Question]) -> list[Json]:
    """What Grafana shows of each panel: its fields with texts, colours and links, or its figures."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump([question.as_json() for question in questions], file)
        file.flush()
        answer = run([needs.node(), HERE / "report.mjs", packages(), "dark", file.name], timeout=100)
    found: list[Json] = json.loads(answer)
    return found


if __name__ == "__main__":
    print(f"@grafana/data of npm: in {packages()}")  # noqa: T201
