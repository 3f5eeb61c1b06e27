"""A real Prometheus on loopback, with data that it scrapes or that was written for it, and questions to it."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from rig import needs
from rig.debian import PROMETHEUS, PROMETHEUS_OLD, PROMTOOL, PROMTOOL_OLD, Package
from rig.processes import Process, free_port, run

READY_TIMEOUT = 90.0
QUIET = "global: {scrape_interval: 1h}\n"

Labels = Mapping[str, str]
Points = Sequence[tuple[float, float]]


class QueryFailed(Exception):
    """Prometheus refused a query; the text is what it said."""


@dataclass(frozen=True, slots=True)
class Series:
    """A series of an answer: its labels and its points, one for a question about one moment."""

    labels: Labels
    points: Points

    @property
    def value(self) -> float:
        return self.points[-1][1]


@dataclass(frozen=True, slots=True)
class Release:
    """A Prometheus and the promtool that goes with it."""

    server: Package
    tool: Package


NEW = Release(PROMETHEUS, PROMTOOL)
OLD = Release(PROMETHEUS_OLD, PROMTOOL_OLD)
RELEASES = {"3.5": NEW, "2.42": OLD}


class Daemon:
    """A running server of the Prometheus project, and a connection to it."""

    def __init__(self, url: str, process: Process) -> None:
        self.url = url
        self._process = process
        self._http = requests.Session()
        self._http.trust_env = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_ready(self) -> None:
        self._process.wait_for(self._ready, "does not get ready", READY_TIMEOUT)

    def stop(self) -> None:
        self._http.close()
        self._process.kill()

    def _ready(self) -> bool:
        try:
            return self._http.get(f"{self.url}/-/ready", timeout=5).status_code == 200
        except requests.RequestException:
            return False


class Prometheus(Daemon):
    """A running one. Made by `prometheus`."""

    def query(self, expr: str, at: float | None = None) -> list[Series]:
        """What the expression is at a moment, now by default; raises QueryFailed."""
        asked = {"query": expr} if at is None else {"query": expr, "time": f"{at:.3f}"}
        data = self._ask("/api/v1/query", asked)
        if data["resultType"] == "scalar":
            return [Series({}, [_point(data["result"])])]
        return [Series(one["metric"], [_point(one["value"])]) for one in data["result"]]

    def query_range(self, expr: str, start: float, end: float, step: float) -> list[Series]:
        asked = {"query": expr, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        data = self._ask("/api/v1/query_range", asked)
        return [Series(one["metric"], [_point(pair) for pair in one["values"]]) for one in data["result"]]

    def label_values(self, label: str, selector: str, start: float, end: float) -> list[str]:
        asked = {"match[]": selector, "start": f"{start:.3f}", "end": f"{end:.3f}"}
        values: list[str] = self._ask(f"/api/v1/label/{label}/values", asked)
        return values

    def get(self, path: str, **asked: str) -> Any:
        """The data of any other answer of its API; raises QueryFailed."""
        return self._ask(path, asked)

    def _ask(self, path: str, asked: Mapping[str, str]) -> Any:
        answer = self._http.get(self.url + path, params=dict(asked), timeout=60).json()
        if answer["status"] != "success":
            raise QueryFailed(f"{answer['errorType']}: {answer['error']}\n{asked}")
        return answer["data"]


@contextmanager
def prometheus(
    release: Release = NEW,
    config: str = QUIET,
    rules: Sequence[Path] = (),
    data: Path | None = None,
    lookback: str = "5m",
) -> Iterator[Prometheus]:
    """Run one until the end of the block, with rules, and on `data` where blocks were written before.

    The text of a configuration is YAML without `rule_files`. What was written has no marks of an end, as scraped series
    have: a `lookback` just below its step makes up for them.
    """
    server = needs.program(release.server)
    with tempfile.TemporaryDirectory(prefix="prometheus-", ignore_cleanup_errors=True) as name:
        folder, port = Path(name), free_port()
        (folder / "prometheus.yml").write_text(config + _rule_files(rules))
        command: list[str | Path] = [
            server,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={data or folder / 'data'}",
            "--storage.tsdb.retention.time=100d",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--query.lookback-delta={lookback}",
            "--log.level=warn",
        ]
        running = Prometheus(f"http://127.0.0.1:{port}", Process(command, folder / "log"))
        try:
            running.wait_ready()
            yield running
        finally:
            running.stop()


def written(release: Release, openmetrics: Iterable[str], folder: Path) -> Path:
    """A data folder with these lines of OpenMetrics, timestamps included, as if they had been scraped."""
    source, data = folder / "series.om", folder / "data"
    with source.open("w") as file:
        file.writelines(openmetrics)
        file.write("# EOF\n")
    run([needs.program(release.tool), "tsdb", "create-blocks-from", "openmetrics", "-q", source, data], timeout=300)
    source.unlink()
    return data


def _rule_files(rules: Sequence[Path]) -> str:
    return "".join(["rule_files:\n", *(f"  - {path.absolute()}\n" for path in rules)]) if rules else ""


def _point(pair: Sequence[Any]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])
