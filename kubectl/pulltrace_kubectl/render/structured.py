"""JSON, YAML and names: what was answered, selected, in the programs' own fields."""

import json
from typing import Any

from pulltrace_kubectl.core.picture import Picture
from pulltrace_kubectl.core.rollout import Rollout, rollouts
from pulltrace_kubectl.model.options import Options, Output, View
from pulltrace_kubectl.model.pulls import Wait
from pulltrace_kubectl.model.reading import SCHEMA
from pulltrace_kubectl.render.pods import pull_with_layers


def structured(picture: Picture, options: Options) -> str:
    """The picture in the form that the options ask for."""
    if options.output is Output.NAME:
        names = dict.fromkeys(_names(picture, options))
        return "".join(f"{name}\n" for name in names)
    document = _document(picture, options)
    if options.output is Output.YAML:
        import yaml

        text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1000)
        return text
    return json.dumps(document, ensure_ascii=False, indent=4) + "\n"


def _names(picture: Picture, options: Options) -> list[str]:
    match options.view:
        case View.IMAGES:
            return [rollout.image for rollout in rollouts(picture.waits, options.names)]
        case View.NODE:
            return [f"node/{node}" for node in picture.reports]
    return [f"pod/{wait.pod}" for wait in picture.waits]


def _document(picture: Picture, options: Options) -> dict[str, Any]:
    if options.view is View.IMAGES:
        return {"schema": SCHEMA, "images": [_rollout(each) for each in rollouts(picture.waits, options.names)]}
    document: dict[str, Any] = {"schema": SCHEMA, "pods": [_wait(wait, picture) for wait in picture.waits]}
    if options.view is View.NODE:
        reports = [report.raw or {"pulls": [pull.raw for pull in report.pulls]} for report in picture.reports.values()]
        document["nodes"] = [{"node": node, **raw} for node, raw in zip(picture.reports, reports, strict=True)]
    return document


def _wait(wait: Wait, picture: Picture) -> dict[str, Any]:
    pull = pull_with_layers(wait, picture)
    if pull is None or "layers" not in pull.raw:
        return dict(wait.raw)
    return {**wait.raw, "pull": {**wait.raw.get("pull", {}), "layers": pull.raw["layers"]}}


def _rollout(rollout: Rollout) -> dict[str, Any]:
    return {
        "image": rollout.image,
        "nodes": rollout.nodes,
        "phases": dict(rollout.phases),
        "slowest": [wait.node for wait in rollout.slowest],
    }
