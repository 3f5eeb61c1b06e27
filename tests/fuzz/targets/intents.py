"""What lies in the kubelet's folder of intents: a file for each line, looked at twice, and the queue that follows."""

import atexit
import json
import tempfile
from pathlib import Path
from typing import Final

from fuzz.documents import mutate
from fuzz.served import SteppedClock, check_exporter
from pulltrace_exporter.kubelet import IntentFolder
from pulltrace_exporter.tracking.tracker import Tracker

__all__ = ["SEEDS", "mutate", "run"]

SEEDS: Final = tuple(
    json.dumps({"kind": "ImagePullIntent", "apiVersion": "kubelet.config.k8s.io/v1alpha1", "image": image}).encode()
    for image in ("registry.example/team/app:v1", "alpine", "host:5000/a@sha256:" + "a" * 64)
)
MOST_FILES: Final = 8

_folder = tempfile.TemporaryDirectory(prefix="ptf-")
atexit.register(_folder.cleanup)


def run(data: bytes) -> None:
    folder, clock = Path(_folder.name), SteppedClock()
    lines = data.split(b"\n")[:MOST_FILES]
    for number, line in enumerate(lines):
        (folder / f"sha256-{number}").write_bytes(line)
    try:
        intents = IntentFolder(folder)
        assert intents.intents() == intents.intents()
        tracker = Tracker(clock.now(), linger=30.0, abandoned=60.0, label_values=5)
        check_exporter(tracker.elapse(clock.now(), intents.intents()), clock)
    finally:
        for number in range(len(lines)):
            (folder / f"sha256-{number}").unlink()
