"""One module for each peer. Each has `run`, which takes one input and raises for a fault of ours, and `SEEDS`.

`mutate`, where a module has it, makes a new input from one: bytes, the greatest size and a seed in, bytes out.
"""

from collections.abc import Mapping
from typing import Final

SHARES: Final[Mapping[str, int]] = {
    "documents": 30,
    "exporter_http": 20,
    "grpc_frames": 18,
    "http_request": 14,
    "intents": 6,
    "exporter_answer": 4,
    "kubernetes": 4,
    "client": 2,
    "containerd": 2,
}
"""Of a hundred inputs, so that each target takes about the same time."""
