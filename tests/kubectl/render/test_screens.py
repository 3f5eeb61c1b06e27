"""What a watch writes where nothing can be redrawn."""

from dataclasses import replace
from typing import Any

import pytest

from pulltrace_kubectl.core.picture import Picture
from pulltrace_kubectl.model.options import Options, View
from pulltrace_kubectl.model.pulls import Pull, Report, Wait
from pulltrace_kubectl.render.screens import NewsScreen

pytestmark = pytest.mark.unit

PULL = Pull("r", "web", "d", "downloading", {}, "node-1", ("r/web:1",), size=100, cached=0, downloaded=10, rate=5.0)


def pulling(*pulls: Pull, **more: Any) -> Picture:
    return Picture(reports={"node-1": Report("node-1", {}, pulls=pulls)}, **more)


@pytest.mark.parametrize("view", [View.WAITS, View.NODE])
def test_pulls_that_no_pod_waits_for_are_news_of_their_own(view: View, capsys: pytest.CaptureFixture[str]) -> None:
    screen = NewsScreen(Options(view))
    for downloaded in (10, 19, 20):
        screen.show(pulling(replace(PULL, downloaded=downloaded)))
    screen.show(pulling(replace(PULL, downloaded=100, phase="succeeded", age=9.0, ended_age=1.0)))
    assert capsys.readouterr().out.splitlines() == [
        "node-1  r/web:1  downloading  10%  10 B of 100 B  5 B/s",
        "node-1  r/web:1  downloading  20%  20 B of 100 B  5 B/s",
        "node-1  r/web:1  succeeded  100 B of 100 B  in 8s, 1s ago",
    ]


def test_a_pull_that_a_pod_waits_for_is_told_with_its_pod_alone(capsys: pytest.CaptureFixture[str]) -> None:
    waits = (Wait("shop", "web", "main", "r/web:1", "downloading", {}, node="node-1", pull=PULL),)
    NewsScreen(Options(View.NODE)).show(pulling(PULL, waits=waits))
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["NAMESPACE", "shop"]


def test_a_node_that_pulls_nothing_is_told_so_once(capsys: pytest.CaptureFixture[str]) -> None:
    screen = NewsScreen(Options(View.NODE))
    screen.show(pulling())
    screen.show(pulling())
    assert capsys.readouterr().out == "node-1\n  pulls nothing\n"
