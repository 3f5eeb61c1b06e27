"""A real containerd whose layers are fetched by a real SOCI snapshotter, both in one folder."""

import json
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from typing import Any, Literal, Self

from rig import mounts
from rig.containerd import START_TIMEOUT, NodeFailed, RealContainerd
from rig.containerd_config import Folders, Settings
from rig.go_programs import build, parts
from rig.images import Blob, Image, write_archive
from rig.processes import Process, run

LABEL = "2.4"
NAME = "soci"
"""Of the snapshotter, as containerd calls it."""
INDEX_TYPE = "application/vnd.amazon.soci.index.v2+json"


@dataclass(frozen=True, slots=True)
class SociSettings:
    """What a test may want to be different. By default layers are fetched and unpacked side by side."""

    parallel: bool = True
    """Otherwise an image with an index is mounted, and its files are fetched when they are read."""
    store: Literal["containerd", "soci"] = "containerd"
    discard: bool = False
    """Drop a layer that was unpacked; `soci` as the store wants it so."""
    chunk: str = ""
    """A layer is fetched in pieces of this size, side by side; empty is one request for each layer."""
    downloads: int = 3
    """Requests at a time for one image."""


CONFIG = Template("""\
skip_check_snapshotter_supported = true

[content_store]
  type = "$store"
  containerd_address = "$containerd"

[pull_modes.soci_v1]
  enable = $lazy
[pull_modes.soci_v2]
  enable = $lazy

[pull_modes.parallel_pull_unpack]
  enable = $parallel
  max_concurrent_downloads_per_image = $downloads
  concurrent_download_chunk_size = "$chunk"
  discard_unpacked_layers = $discard
""")

PROXY = Template("""
[proxy_plugins.$name]
  type = "snapshot"
  address = "$socket"
  [proxy_plugins.$name.exports]
    root = "$root"
    enable_remote_snapshot_annotations = "true"
""")

# The transfer service would not tell the snapshotter which layer it prepares.
IMAGES = """\
use_local_image_pull = true
  disable_snapshot_annotations = false
"""


class Snapshotter:
    """The daemon soci-snapshotter-grpc. `root` is its folder, `unpack` where its downloads are."""

    def __init__(
        self, folder: Path, containerd: Path, settings: SociSettings | None = None, within: Sequence[str] = ()
    ) -> None:
        """`containerd` is the socket of the daemon that it serves, `within` are words before its command."""
        self.socket = folder / "soci.sock"
        self.root = folder / "root"
        self.unpack = self.root / "unpack"
        self.log = folder / "soci.log"
        self._config = folder / "soci.toml"
        self._within = within
        self._process: Process | None = None
        self.root.mkdir(parents=True, mode=0o711)
        self._config.write_text(_config(settings or SociSettings(), containerd))
        self.start()

    def start(self) -> None:
        """Start it, again after `kill`; returns when it listens."""
        self.socket.unlink(missing_ok=True)
        program = build.built(parts.SOCI) / "soci-snapshotter-grpc"
        flags = (f"--address={self.socket}", f"--config={self._config}", f"--root={self.root}", "--log-level=debug")
        self._process = Process([program, *flags], self.log, within=self._within)
        try:
            self._process.wait_for(self.socket.exists, "does not listen", START_TIMEOUT, NodeFailed)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End it as SIGKILL does. May be called twice."""
        if self._process:
            self._process.kill()
            self._process = None


class SociNode(RealContainerd):
    """Implements `rig.node.Node`; `soci` is the snapshotter of its pulls. `extra` is TOML for containerd."""

    def __init__(
        self, folder: Path, soci: SociSettings | None = None, extra: str = "", within: Sequence[str] = ()
    ) -> None:
        self.soci = Snapshotter(folder / NAME, Folders(folder).socket, soci, within)
        proxy = PROXY.substitute(name=NAME, socket=self.soci.socket, root=self.soci.root)
        settings = Settings(snapshotter=NAME, images=IMAGES, extra=proxy + extra)
        try:
            super().__init__(LABEL, folder, settings, within)
        except BaseException:
            self.soci.kill()
            raise

    @classmethod
    def made(cls, soci: SociSettings | None = None) -> Self:
        folder = Path(tempfile.mkdtemp(prefix="pts-", dir="/tmp"))
        try:
            return cls(folder, soci)
        except BaseException:
            mounts.remove_tree(folder)
            raise

    def close(self) -> None:
        self.soci.kill()
        super().close()


def indexed(image: Image, folder: Path) -> Image:
    """The image, which has an image index, with an index of SOCI's for all its layers."""
    plain, made = write_archive(image, folder / "plain.tar", image.tag), folder / "indexed.tar"
    run([build.built(parts.SOCI) / "soci", "convert", "--standalone", "--min-layer-size=1", plain, made])
    with tarfile.open(made) as archive:
        files = {member.name: file.read() for member in archive if (file := archive.extractfile(member))}

    def blob(descriptor: Mapping[str, Any]) -> Blob:
        return Blob.of(descriptor["mediaType"], files[f"blobs/{descriptor['digest'].replace(':', '/')}"])

    index = blob(json.loads(files["index.json"])["manifests"][0])
    named = [(each.get("artifactType"), blob(each)) for each in json.loads(index.data)["manifests"]]
    (soci,) = (json.loads(manifest.data) for kind, manifest in named if kind == INDEX_TYPE)
    (manifest,) = (each for kind, each in named if kind is None and image.layers[0].digest.encode() in each.data)
    others = (*(each for _, each in named), *map(blob, (soci["config"], *soci["layers"])))
    return replace(image, index=index, manifest=manifest, others=(*image.others, *others))


def _config(settings: SociSettings, containerd: Path) -> str:
    return CONFIG.substitute(
        store=settings.store,
        containerd=containerd,
        lazy=str(not settings.parallel).lower(),
        parallel=str(settings.parallel).lower(),
        downloads=settings.downloads,
        chunk=settings.chunk,
        discard=str(settings.discard).lower(),
    )
