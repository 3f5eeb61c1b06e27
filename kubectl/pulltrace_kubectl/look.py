"""One look: ask what the user wants to see, and select it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pulltrace_kubectl.core import select
from pulltrace_kubectl.core.picture import Picture
from pulltrace_kubectl.errors import ClientError, NotFound
from pulltrace_kubectl.model.objects import Pod
from pulltrace_kubectl.model.options import Options, View
from pulltrace_kubectl.model.pulls import Answer, Report
from pulltrace_kubectl.sources.cluster import KubectlCluster
from pulltrace_kubectl.sources.port import Programs, Told


@dataclass
class Looker:
    """Looks as often as it is told to. Each call may raise ClientError."""

    options: Options
    programs: Programs
    cluster: KubectlCluster

    def look(self) -> Picture:
        """What the options ask for."""
        match self.options.view:
            case View.NODE:
                return self._node(self.options.names[0])
            case View.PODS:
                return self._pods()
            case _:
                return self._waits()

    @cached_property
    def namespace(self) -> str:
        """The namespace that is meant; empty for all."""
        if self.options.all_namespaces:
            return ""
        if self.options.namespace:
            return self.options.namespace
        # Whoever gives an address may have no cluster at hand.
        return "" if self.options.access.urls else self.cluster.namespace()

    def _waits(self) -> Picture:
        told = self.programs.ask({"namespace": [self.namespace]} if self.namespace else {})
        waits = select.in_namespace(_answer(told).waits, self.namespace)
        ordered = tuple(select.longest_first(waits))
        return Picture(
            waits=ordered,
            all_waits=ordered,
            reports={report.node: report for report in told.reports} if told.answer is None else {},
            namespace=self.namespace,
            warnings=told.warnings,
        )

    def _node(self, node: str) -> Picture:
        told = self.programs.ask({"node": [node]})
        answer = _answer(told)
        reports, missing = self._reports([node], [report for report in told.reports if report.node == node])
        waits = tuple(select.longest_first(wait for wait in answer.waits if wait.node == node))
        if node not in answer.nodes and node not in reports and not waits:
            raise NotFound(f"no exporter of node {node!r} is known", "see 'kubectl get nodes' for the names of nodes")
        if node not in reports:
            pulls = tuple(pull for pull in answer.pulls if pull.node == node)
            reports = {node: Report(node, {}, pulls=pulls)}
        return Picture(
            waits=waits, all_waits=answer.waits, reports=reports, missing_layers=missing, warnings=told.warnings
        )

    def _pods(self) -> Picture:
        pods, names, expected = self._named()
        told = self.programs.ask({})
        answer = _answer(told)
        waits = tuple(select.longest_first(select.of_pods(answer.waits, names)))
        if not waits and not pods and names and not (self.options.wait or self.options.watch):
            said = ", ".join(repr(name) for _, name in names)
            raise NotFound(
                f"the aggregator knows of no image that {said} waits for", "'kubectl get pods' has all names"
            )
        reports, missing = self._reports(select.nodes_to_ask(waits), told.reports)
        return Picture(
            waits=waits,
            all_waits=answer.waits,
            pods=tuple(pods),
            reports=reports,
            missing_layers=missing,
            named=tuple(names),
            expected=expected,
            namespace=self.namespace,
            warnings=told.warnings,
        )

    def _named(self) -> tuple[list[Pod], list[tuple[str, str]], bool]:
        """The pods that are meant: as the cluster has them, their names, and whether all of them have been made."""
        pods: list[Pod] = []
        names: list[tuple[str, str]] = []
        expected = True
        if self.options.selector:
            pods += self.cluster.pods(self.namespace, self.options.selector)
            expected = bool(pods)
        for target in self.options.targets:
            if target.kind != "pod":
                owned, complete = self.cluster.owned(self._one_namespace(), target)
                pods += owned
                expected = expected and complete
            elif self.options.access.urls:
                names += self._known_names(target.name)
            else:
                # Whoever names a pod means this one.
                pods.append(replace(self.cluster.pod(self._one_namespace(), target.name), replaced=False))
        names += [(pod.namespace, pod.name) for pod in pods]
        return pods, list(dict.fromkeys(names)), expected

    def _one_namespace(self) -> str:
        return self.namespace or self.cluster.namespace()

    def _known_names(self, pod: str) -> list[tuple[str, str]]:
        """A pod that is named without a cluster to look it up in: in whatever namespace the aggregator has it."""
        waits = _answer(self.programs.ask({"pod": [pod]})).waits
        found = {(wait.namespace, wait.pod) for wait in waits if wait.pod == pod}
        within = {each for each in found if not self.namespace or each[0] == self.namespace}
        return sorted(within) or [(self.namespace, pod)]

    def _reports(self, nodes: Sequence[str], have: Sequence[Report]) -> tuple[Mapping[str, Report], Mapping[str, str]]:
        reports = {report.node: report for report in have}
        missing: dict[str, str] = {}
        for node in nodes:
            if node in reports:
                continue
            try:
                reports[node] = self.programs.report(node)
            except ClientError as error:
                missing[node] = error.problem
        return reports, missing


def _answer(told: Told) -> Answer:
    return told.answer or Answer()
