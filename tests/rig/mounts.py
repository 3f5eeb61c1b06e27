"""Mounts of a daemon that lives in one folder."""

import shutil
import tempfile
from pathlib import Path

from rig.processes import CommandFailed, run


def snapshotter(folder: Path) -> str:
    """overlayfs where the kernel lets one be mounted in this folder, else the one that copies."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="overlay-") as probe:
        lower, upper, work, merged = (Path(probe) / name for name in ("lower", "upper", "work", "merged"))
        for each in (lower, upper, work, merged):
            each.mkdir()
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        try:
            run(["mount", "-t", "overlay", "overlay", "-o", options, merged])
        except CommandFailed:
            return "native"
        run(["umount", merged])
    return "overlayfs"


def remove_tree(folder: Path) -> None:
    """Unmount whatever lies under the folder, innermost first, and delete it."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted((path for path in mounts if path.startswith(f"{folder}/")), reverse=True):
        run(["umount", "--lazy", mount])
    shutil.rmtree(folder)
