"""The configuration of a containerd that lives in one folder. Pure: settings in, text out."""

from dataclasses import dataclass
from pathlib import Path
from string import Template

UNUSED_PLUGINS = (
    "io.containerd.internal.v1.restart",
    "io.containerd.monitor.container.v1.restart",
    "io.containerd.nri.v1.nri",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.blockfile",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.erofs",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.tracing.processor.v1.otlp",
    "io.containerd.internal.v1.tracing",
)

SHORTEST_COLLECTION = 0.005
"""What a garbage collection is taken to last at least, in seconds, when containerd works out its pause."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a test may want to be different from containerd's defaults."""

    progress_timeout: str = "5m0s"
    """After so long without a byte CRI gives a pull up; 1.7 and later."""
    max_concurrent_downloads: int = 3
    discard_unpacked_layers: bool = False
    concurrent_layer_fetch_buffer: int = 0
    """Bytes; above 0 a layer is fetched in several requests at once; 2.1 and later."""
    gc_interval: float = 0.245
    """Least pause between garbage collections, in seconds. By default the ingests of a pull that ended badly are gone
    within it on a small store, so that the next attempt seldom resumes; on a real node collections take longer, and so
    do the pauses."""
    cri: str = ""
    """Lines of TOML for the section of CRI; 1.x has one for all of it."""
    images: str = ""
    """Lines of TOML for the section of CRI's images; 2.x."""
    snapshotter: str = ""
    """Which one CRI uses; empty is the best of containerd's own."""
    extra: str = ""
    """TOML appended as it is."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where everything of one daemon lies."""

    base: Path

    @property
    def socket(self) -> Path:
        return self.base / "run" / "containerd.sock"

    @property
    def config(self) -> Path:
        return self.base / "config.toml"

    @property
    def certs(self) -> Path:
        return self.base / "certs.d"


HEAD = Template("""\
version = $config_version
root = "$base/root"
state = "$base/run/state"
temp = "$base/tmp"
disabled_plugins = [$unused]

[grpc]
  address = "$socket"

[plugins."io.containerd.internal.v1.opt"]
  path = "$base/opt"

[plugins."io.containerd.gc.v1.scheduler"]
  pause_threshold = $gc_share
""")

VERSION_2 = Template("""
[plugins."io.containerd.grpc.v1.cri"]
  max_concurrent_downloads = $downloads
  $timeout
  $cri
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "$snapshotter"
    discard_unpacked_layers = $discard
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$base/cni/bin"
    conf_dir = "$base/cni/conf"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$certs"
""")

VERSION_3 = Template("""
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "$snapshotter"
  max_concurrent_downloads = $downloads
  image_pull_progress_timeout = "$progress"
  discard_unpacked_layers = $discard
  concurrent_layer_fetch_buffer = $buffer
  $images
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "$certs"

[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["$base/cni/bin"]
  conf_dir = "$base/cni/conf"

[plugins."io.containerd.transfer.v1.local"]
  config_path = "$certs"
  max_concurrent_downloads = $downloads
  concurrent_layer_fetch_buffer = $buffer
  [[plugins."io.containerd.transfer.v1.local".unpack_config]]
    platform = "linux/amd64"
    snapshotter = "$own"
""")


RUNC = Template("""
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "$sandbox"

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
    BinaryName = "$runc"
    Root = "$state"
""")


def runs_pods(sandbox: str, runc: Path, state: Path) -> str:
    """What a containerd 2.x needs besides to run pods: the image of their sandbox, runc, and a folder for its state."""
    return RUNC.substitute(sandbox=sandbox, runc=runc, state=state)


def config(label: str, folders: Folders, snapshotter: str, settings: Settings) -> str:
    """The text of config.toml for this minor version of containerd (`1.6`, `1.7`, `2.1`, …)."""
    major, minor = (int(part) for part in label.split("."))
    values = {
        "config_version": 2 if major == 1 else 3,
        "base": folders.base,
        "socket": folders.socket,
        "certs": folders.certs,
        "unused": ", ".join(f'"{plugin}"' for plugin in UNUSED_PLUGINS),
        "snapshotter": settings.snapshotter or snapshotter,
        "own": snapshotter,
        "downloads": settings.max_concurrent_downloads,
        "progress": settings.progress_timeout,
        "discard": str(settings.discard_unpacked_layers).lower(),
        "gc_share": SHORTEST_COLLECTION / (SHORTEST_COLLECTION + settings.gc_interval),
        "cri": settings.cri,
        "images": settings.images,
        "buffer": settings.concurrent_layer_fetch_buffer,
        # 1.6 has no such timeout, and takes no key that it does not know.
        "timeout": f'image_pull_progress_timeout = "{settings.progress_timeout}"' if (major, minor) > (1, 6) else "",
    }
    plugins = VERSION_2 if major == 1 else VERSION_3
    return HEAD.substitute(values) + plugins.substitute(values) + settings.extra


def plain_http(host: str) -> str:
    return f'server = "http://{host}"\n\n[host."http://{host}"]\n  capabilities = ["pull", "resolve"]\n'
