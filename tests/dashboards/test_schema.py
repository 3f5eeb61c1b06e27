"""The dashboards are what Grafana's own types say a dashboard is."""

from pathlib import Path

import pytest

from rig import needs, npm
from rig.dashboards import FOLDER
from rig.processes import CommandFailed, run

pytestmark = pytest.mark.integration

# A JSON file holds the values of enumerations, which TypeScript takes for other types than the enumerations.
# An annotation has fields of its data source, as Grafana's SDK names them for Prometheus; @grafana/schema has none of
# any data source.
MODULE = """\
import type {{ AnnotationQuery, Dashboard }} from '@grafana/schema';
type Plain<T> = T extends string ? `${{T}}` : T extends object ? {{ [K in keyof T]: Plain<T[K]> }} : T;
type OfPrometheus = {{
  expr: string; step?: string; titleFormat?: string; textFormat?: string; tagKeys?: string; useValueForTime?: boolean;
}};
type Annotated = Omit<Dashboard, 'annotations'> & {{ annotations: {{ list: (AnnotationQuery & OfPrometheus)[] }} }};
export const dashboard = {text} satisfies Plain<Annotated>;
"""
OPTIONS = ["--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler"]
FAULTS = {
    "value": ('"palette-classic-by-name"', '"rainbow"'),
    "type": ('"w": 4', '"w": "4"'),
    "key": ('"keepTime": true', '"keepsTime": true'),
    "annotation": ('"titleFormat": ', '"headFormat": '),
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder in which Grafana's types can be imported."""
    schema = needs.npm_file(npm.GRAFANA_SCHEMA)
    modules = tmp_path / "node_modules/@grafana"
    modules.mkdir(parents=True)
    (modules / "schema").symlink_to(npm.GRAFANA_SCHEMA.folder)
    assert schema.is_file()
    return tmp_path


def test_every_dashboard_satisfies_grafanas_type(project: Path) -> None:
    for path in FOLDER.glob("*.json"):
        _write(project, path.stem, path.read_text().strip())
    _compile(project)


def test_faults_in_a_dashboard_are_found(project: Path) -> None:
    text = (FOLDER / "overview.json").read_text().strip()
    for name, (right, wrong) in FAULTS.items():
        assert right in text
        _write(project, name, text.replace(right, wrong, 1))
    with pytest.raises(CommandFailed) as failed:
        _compile(project)
    assert all(f"{name}.ts(" in str(failed.value) for name in FAULTS)


def _write(project: Path, name: str, text: str) -> None:
    (project / f"{name}.ts").write_text(MODULE.format(text=text))


def _compile(project: Path) -> None:
    compiler = needs.npm_file(npm.TYPESCRIPT)
    sources = sorted(path.name for path in project.glob("*.ts"))
    run([needs.node(), compiler, *OPTIONS, *sources], timeout=110, cwd=project)
