"""What the API server sends: lines that are a list, changes of a watch or refusals, each to the selection it is for."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, cast

from fuzz.cluster import NODE, Core
from fuzz.documents import mutate
from pulltrace_aggregator.kube.client import ApiClient, Timing
from pulltrace_aggregator.kube.decode import Object
from pulltrace_aggregator.kube.errors import Cut, KubernetesError, parsed, refusal
from pulltrace_aggregator.kube.listwatch import ListWatch
from pulltrace_aggregator.kube.resources import Request, Selection, exporter_slices, kubelet_events, waiting_pods
from pulltrace_aggregator.kubelet.messages import EVENT_REASONS
from pulltrace_aggregator.model.cluster import Observed
from rig.kubernetes import objects

__all__ = ["SEEDS", "mutate", "run"]

MOST_RUNS: Final = 8
MOST_LINES: Final = 60
_NOTHING: Final = b'{"items":[]}'


class Progress:
    """Nobody waits for it."""

    def listed(self) -> None: ...

    def watching(self) -> None: ...


class Lines:
    """The API server: a request for a list takes the next line, a watch those up to the next list."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines

    def get(self, request: Request) -> Object:
        return parsed(self._lines.pop(0) if self._lines else _NOTHING, request.right)

    @contextmanager
    def lines(self, request: Request, _silence: float) -> Iterator[Iterator[bytes]]:
        yield self._changes(request)

    def _changes(self, request: Request) -> Iterator[bytes]:
        while self._lines and b'"items"' not in self._lines[0]:
            line = self._lines.pop(0)
            if line.startswith(b"4"):  # an answer with this status
                raise refusal(
                    request.right, int(line[:3]) if line[:3].isdigit() else 400, {"Retry-After": "1"}, line[3:]
                )
            yield line
        if not self._lines:
            raise Cut(str(request.right))

    @property
    def more(self) -> bool:
        return bool(self._lines)


class Receiver:
    """Hands on to the core."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def receive(self, observed: Observed) -> None:
        if getattr(observed, "endpoints", None) is None:
            self._core.observe(observed)


def run(data: bytes) -> None:
    core = Core()
    for selection, lines in _sorted(data.split(b"\n")[:MOST_LINES]):
        server = Lines(lines)
        client = cast(ApiClient, server)
        following = ListWatch(client, selection, Receiver(core), Progress(), Timing(), lambda: 0.5)
        for _ in range(MOST_RUNS):
            with suppress(KubernetesError):
                following.run()
            core.check()
            if not server.more:
                break


def _sorted(lines: list[bytes]) -> Iterator[tuple[Selection, list[bytes]]]:
    """Lines by what they speak of, so that pods, events and slices of one input meet."""
    events = [line for line in lines if b"involvedObject" in line]
    slices = [line for line in lines if b"endpoints" in line]
    yield waiting_pods(), [line for line in lines if line not in events and line not in slices]
    for reason in EVENT_REASONS:
        if about := [line for line in events if reason.encode() in line]:
            yield kubelet_events("", reason), about
    yield exporter_slices("pulltrace", "exporter"), slices


def _line(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _change(kind: str, item: Any) -> bytes:
    return _line({"type": kind, "object": item})


def _seed(reason: str, message: str) -> bytes:
    image = "registry.example/team/app:v1"
    pod = objects.pod("shop", "web", objects.container("main", image), node=NODE)
    pod["metadata"] |= {"uid": "1", "resourceVersion": "7", "creationTimestamp": "2023-11-14T22:13:00Z"}
    pod["status"] = {"phase": "Pending", "containerStatuses": [objects.waiting()]}
    event = objects.event(pod, reason, message, at="2023-11-14T22:13:10Z")
    event["metadata"] |= {"uid": f"2-{reason}", "creationTimestamp": "2023-11-14T22:13:10Z"}
    return b"\n".join(
        (
            _line({"kind": "PodList", "metadata": {"resourceVersion": "5", "continue": ""}, "items": [pod]}),
            _change("MODIFIED", {**pod, "status": {"phase": "Running"}}),
            _change("ADDED", event),
            _change("DELETED", pod),
            _change("BOOKMARK", {"metadata": {"resourceVersion": "9"}}),
            _change("ERROR", {"code": 410, "message": "too old"}),
            b'429{"message":"slowly","details":{"retryAfterSeconds":3}}',
        )
    )


SEEDS: Final = (
    _seed("Pulling", 'Pulling image "registry.example/team/app:v1"'),
    _seed(
        "Pulled",
        'Successfully pulled image "registry.example/team/app:v1" in 1m2.3s (2m including waiting).',
    ),
    _seed("Failed", 'Failed to pull image "registry.example/team/app:v1": rpc error: code = NotFound desc = 404'),
    _seed("BackOff", 'Back-off pulling image "registry.example/team/app:v1"'),
    _line(
        {
            "items": [
                objects.endpoint_slice("pulltrace", "exporter-1", "exporter", objects.endpoint(NODE, "10.0.0.1")),
            ],
        }
    ),
)
