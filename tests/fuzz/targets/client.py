"""What the kubectl client reads: answers of aggregators and exporters, one a line, and pods; shown in all forms."""

import json
from typing import Any, Final

from fuzz.documents import mutate
from pulltrace.errors import PulltraceError
from pulltrace_kubectl.errors import ClientError
from pulltrace_kubectl.look import Looker
from pulltrace_kubectl.model.options import Access, Options, Output, Target, View
from pulltrace_kubectl.model.pulls import Answer, Report
from pulltrace_kubectl.model.reading import merged, read
from pulltrace_kubectl.render.drawing import text_of
from pulltrace_kubectl.render.waits import Form
from pulltrace_kubectl.sources.cluster import KubectlCluster
from pulltrace_kubectl.sources.kubectl import Kubectl
from pulltrace_kubectl.sources.port import Filters, Told
from rig.client_pictures import document, report

__all__ = ["SEEDS", "mutate", "run"]

MOST_ANSWERS: Final = 4
FORMS: Final = (Form(width=60, bars=True, unicode=False), Form(width=120, bars=True, height=20), Form(wide=True))


class Programs:
    """Programs that have answered."""

    def __init__(self, answers: list[Answer], reports: list[Report]) -> None:
        self._told = Told(merged(answers) if answers else None, tuple(reports))

    def ask(self, _: Filters) -> Told:
        return self._told

    def report(self, node: str) -> Report:
        for each in self._told.reports:
            if each.node == node:
                return each
        raise ClientError("there is none")


def run(data: bytes) -> None:
    answers: list[Answer] = []
    reports: list[Report] = []
    for body in data.split(b"\n")[:MOST_ANSWERS]:
        try:
            told = read(body)
        except PulltraceError:
            continue
        answers += [told] if isinstance(told, Answer) else []
        reports += [told] if isinstance(told, Report) else []
    if answers or reports:
        for options in _all_options(answers, reports):
            _show(options, Programs(answers, reports))


def _all_options(answers: list[Answer], reports: list[Report]) -> list[Options]:
    pod = next((wait.pod for answer in answers for wait in answer.waits), "web-0")
    node = next((report.node for report in reports), "node-1")
    access = Access(urls=("http://127.0.0.1:1",))
    shown = {View.NODE: (node,)}
    return [
        Options(view, targets=(Target("pod", pod),), names=shown.get(view, ()), output=output, access=access)
        for view, output in (*((view, Output.TEXT) for view in View), *((View.WAITS, output) for output in Output))
    ]


def _show(options: Options, programs: Programs) -> None:
    try:
        picture = Looker(options, programs, KubectlCluster(Kubectl((), None))).look()
    except ClientError:
        return
    for form in FORMS:
        text_of(picture, options, form, colour=True)
        if options.output not in (Output.TEXT, Output.WIDE):
            break  # documents have one form


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


SEEDS: Final = (_line(document()) + b"\n" + _line(report()), _line(report()))
