"""What the client remembers of the programs behind the proxy."""

from typing import Any

import pytest

from pulltrace_kubectl.errors import NotFound
from pulltrace_kubectl.look import Looker
from pulltrace_kubectl.model.options import Options
from pulltrace_kubectl.sources.proxy import ProxiedPrograms
from rig.client_world import aggregator, encoded, exporter

pytestmark = pytest.mark.unit


class Kubectl:
    """A cluster with an aggregator, and exporters' pods by node."""

    def __init__(self) -> None:
        self.pods = {"node-1": "exporter-a"}
        self.lists = 0

    def objects(self, what: str, *words: str) -> Any:
        if what == "service":
            return {"metadata": {"namespace": "p", "name": "a"}, "spec": {"selector": {"app": "a"}}}
        if "app=a" in words:
            return {"items": [{"metadata": {"namespace": "p", "name": "a-0"}, "spec": {}}]}
        self.lists += 1
        metas = {node: {"namespace": "p", "name": name} for node, name in self.pods.items()}
        return {"items": [{"metadata": meta, "spec": {"nodeName": node}} for node, meta in metas.items()]}

    def raw(self, path: str) -> bytes:
        if "/services/" in path:
            return encoded(aggregator())
        node = next((node for node, name in self.pods.items() if f"/{name}:" in path), None)
        if node is None:
            raise NotFound(path)
        return encoded(exporter(node))


def test_exporters_are_looked_for_again_at_the_next_look_after_one_was_not_found() -> None:
    kubectl: Any = Kubectl()
    looker = Looker(Options(), ProxiedPrograms(kubectl, "p/a"), kubectl)

    def found(*nodes: str) -> list[str]:
        looker.programs.ask({})
        return list(looker._reports(nodes, ())[0])

    assert found("node-1") == found("node-1") == ["node-1"]
    kubectl.pods = {"node-1": "exporter-b", "node-2": "exporter-c"}
    assert found("node-1", "node-2", "node-3") == []
    assert found("node-1", "node-2") == ["node-1", "node-2"]
    assert kubectl.lists == 2
