"""A moment of a cluster in which everything happens that the client can show, and its drawings in several widths.

`python -m rig.client_pictures` writes the drawings that the tests compare with: read them before they are committed.
"""

from pathlib import Path
from typing import Any, Final

from pulltrace_kubectl.core import select
from pulltrace_kubectl.core.picture import Picture
from pulltrace_kubectl.model.options import Options, Output, View
from pulltrace_kubectl.model.pulls import Answer, Report
from pulltrace_kubectl.model.reading import read
from pulltrace_kubectl.render.drawing import text_of
from pulltrace_kubectl.render.waits import Form
from rig.client_world import aggregator, encoded, exporter, pull, wait

GOLDEN: Final = Path(__file__).parents[1] / "kubectl" / "golden"
WIDTHS: Final = (80, 160)
OCI: Final = "application/vnd.oci.image.layer.v1.tar+gzip"

LLM: Final = pull(
    "llm", repository="ai/llm-server", references=[], sizeBytes=8_081_000_000, cachedBytes=31_000_000,
    downloadedBytes=2_700_000_000, bytesPerSecond=45.2e6, etaSeconds=118.0,
)  # fmt: skip
SLOW: Final = {**LLM, "downloadedBytes": 310_000_000, "bytesPerSecond": 4.1e6, "etaSeconds": 1888.0}
UNPACKING: Final = pull(
    "worker", phase="unpacking", downloadedBytes=400_000_000, unpackedBytes=260_000_000, etaSeconds=None
)
REMOTE: Final = pull(
    "weights", snapshotter="soci", sizeBytes=40_000_000_000, remoteBytes=39_000_000_000, downloadedBytes=0,
    remotePendingBytes=26_000_000_000, bytesPerSecond=None, etaSeconds=None, ageSeconds=252.0,
)  # fmt: skip
IMAGE: Final = "registry.example/ai/llm-server:2.4"


def document() -> dict[str, Any]:
    return aggregator(
        [
            wait("llm-server-0", image=IMAGE, waitingSeconds=171.2, pull=LLM),
            wait("llm-server-1", image=IMAGE, waitingSeconds=171.0, node="node-2", pull=SLOW,
                 blockedBy="slow_download"),
            wait("llm-server-2", "pulled", image=IMAGE, waitingSeconds=None, node="node-3", blockedBy=None),
            wait("api-7d9f5c8b6d-x2x4z", "queued", waitingSeconds=64.0, blockedBy="queue", behind=IMAGE,
                 image="registry.example/shop/api@sha256:" + "4f" * 32),
            wait("cart-55c", "backoff", waitingSeconds=3720.0, node="node-2", blockedBy="not_found",
                 failureReason="not_found", image="registry.example/shop/cart:1.0.0-typo"),
            wait("checkout-0", "failed", waitingSeconds=33.0, node="node-4", blockedBy="backoff",
                 failureReason="disk_full"),
            wait("worker", "unpacking", waitingSeconds=40.0, node="node-4", container="setup", containerType="init",
                 pull=UNPACKING),
            wait("weights", waitingSeconds=253.0, node="node-5", pull=REMOTE),
            wait("web", "resolving", waitingSeconds=35.0, node="node-5", blockedBy="registry", container="assets",
                 containerType="volume", image="quay.io/shop/assets:9"),
        ],
        nodes=("node-1", "node-2", "node-3", "node-4", "node-5"),
    )  # fmt: skip


def report() -> dict[str, Any]:
    """What the exporter of node-1 answers."""
    rows = (
        (31, 31, None, "cached"),
        (900, 900, None, "unpacked"),
        (310, 310, None, "unpacking"),
        (4200, 1450, 24.9e6, "downloading"),
        (2600, 40, 20.3e6, "downloading"),
        (40, 0, None, "waiting"),
    )
    layers = [
        {"index": index, "digest": f"sha256:{index}", "mediaType": OCI, "sizeBytes": size * 10**6,
         "downloadedBytes": there * 10**6, "state": state, **({"bytesPerSecond": rate} if rate else {})}
        for index, (size, there, rate, state) in enumerate(rows)
    ]  # fmt: skip
    ended = pull("etl", phase="failed", etaSeconds=None, bytesPerSecond=None, ageSeconds=70.0, endedAgeSeconds=9.0)
    states = ("unpacked", "remote", "remote")
    far = [
        {"index": index, "digest": f"sha256:far-{index}", "mediaType": OCI, "sizeBytes": 13 * 10**9, "state": state}
        for index, state in enumerate(states)
    ]
    return exporter("node-1", {**LLM, "layers": layers}, {**REMOTE, "layers": far}, ended)


def picture(view: View) -> Picture:
    """The moment as the client has it before it draws."""
    answer, told = read(encoded(document())), read(encoded(report()))
    assert isinstance(answer, Answer)
    assert isinstance(told, Report)
    waits = tuple(select.longest_first(answer.waits))
    if view is View.PODS:
        named = tuple(
            ("shop", name) for name in ("llm-server-0", "api-7d9f5c8b6d-x2x4z", "cart-55c", "worker", "weights")
        )
        waits = tuple(select.of_pods(waits, named))
        missing = {"node-4": "you may not get pods/proxy in namespace pulltrace"}
        return Picture(waits, answer.waits, reports={"node-1": told}, missing_layers=missing, named=named)
    if view is View.NODE:
        waits = tuple(each for each in waits if each.node == "node-1")
    reports = {"node-1": told} if view is View.NODE else {}
    return Picture(waits, answer.waits, reports=reports, namespace="shop")


def drawing(view: View, width: int | None) -> str:
    """The text on a terminal of this width, or without a terminal."""
    options = Options(view=view, output=Output.TEXT)
    return text_of(picture(view), options, Form(width, bars=width is not None), colour=False)


def files() -> dict[str, str]:
    drawn = {f"{view}-{width}.txt": drawing(view, width) for view in View for width in WIDTHS}
    return {**drawn, **{f"{view}.txt": drawing(view, None) for view in View}}


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, text in files().items():
        (GOLDEN / name).write_text(text)
