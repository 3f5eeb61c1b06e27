"""Images of what runs in the cluster: Go programs on nothing, Debian's on a base, ours as the Containerfile says."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from rig import debian, image_parts
from rig.containerfile import Builder, parse
from rig.images import Image, Layer, build, file_layer, sha256
from rig.kubernetes.real.cluster_node import PAUSE_IMAGE
from rig.runnable import FOREVER
from rig.runnable import base as busybox

CHECKOUT = Path(__file__).parents[4]
CONTAINERFILE = CHECKOUT / "deploy/Containerfile"
PACKAGES = "opt/pulltrace"
TARGETS = ("exporter", "aggregator")
OUTSIDE = {
    "PYTHONPATH": "/pip",
    "PIP_NO_INDEX": "1",
    "PIP_FIND_LINKS": "/wheels",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}
RECIPE = 1
"""Another way to assemble the layers gets another number."""


def system_images(programs: Mapping[str, Path]) -> Iterator[Image]:
    """What a cluster needs itself."""
    repository, tag = PAUSE_IMAGE.removeprefix("registry.k8s.io/").split(":")
    yield build(repository, (busybox(),), tag=tag, entrypoint=FOREVER)
    yield _program("coredns/coredns", programs["coredns"] / "coredns")


def monitoring_images(programs: Mapping[str, Path]) -> Iterator[Image]:
    """The Prometheus operator and what it runs."""
    operator = programs["prometheus-operator"]
    yield _program("prometheus-operator/prometheus-operator", operator / "operator")
    yield _program("prometheus-operator/prometheus-config-reloader", operator / "prometheus-config-reloader")
    prometheus = debian.unpacked(debian.PROMETHEUS)
    yield _on_base("prometheus/prometheus", {"bin/prometheus": prometheus / debian.PROMETHEUS.program})
    alertmanager = debian.unpacked(debian.ALERTMANAGER)
    templates = alertmanager / "usr/share/prometheus/alertmanager"
    files = {f"usr/share/prometheus/alertmanager/{path.name}": path for path in templates.glob("*.tmpl")}
    program = alertmanager / debian.ALERTMANAGER.program
    yield _on_base("prometheus/alertmanager", {"bin/alertmanager": program, **files})


def own_images(tag: str = "") -> Iterator[Image]:
    """Exporter and aggregator as the Containerfile makes them, under the tag of their version if there is no other."""
    with tempfile.TemporaryDirectory(prefix="ptk-images-") as name:
        context = Path(name)
        shutil.copytree(CHECKOUT / "requirements", context / "requirements")
        (wheel,) = image_parts.build_distribution(context / "dist", "--wheel")
        version = wheel.name.split("-")[1]
        for target in TARGETS:
            layer, config = _packages(target, context, wheel, version)
            repository = f"pulltrace/pulltrace-{target}"
            yield build(repository, (base(), layer), tag=tag or version, settings=config)


@cache
def base() -> Layer:
    """A Debian with a Python: what `python:3.13-slim-trixie` is to the Containerfile."""
    package = debian.unpacked(debian.PYTHON)
    kept = _home() / f"base-{package.name}-{RECIPE}.tar"
    if not kept.exists():
        with tempfile.TemporaryDirectory(prefix="ptk-base-") as name:
            _keep(kept, image_parts.layer_of(image_parts.base(Path(name) / "tree")).data)
    return _layer(kept)


def _packages(target: str, context: Path, wheel: Path, version: str) -> tuple[Layer, dict[str, object]]:
    """The layer that the Containerfile's stage adds to its base, and the image's settings."""
    lock = context / f"requirements/{target}.txt"
    digest = hashlib.sha256(CONTAINERFILE.read_bytes() + lock.read_bytes() + wheel.read_bytes())
    digest.update(debian.unpacked(debian.PYTHON).name.encode())
    kept = _home() / f"{target}-{digest.hexdigest()[:16]}-{RECIPE}.tar"
    stages = parse(CONTAINERFILE.read_text())
    arguments = {"VERSION": version, "REVISION": "0", "CREATED": "2026-01-01T00:00:00Z", "SOURCE": "pulltrace"}
    with tempfile.TemporaryDirectory(prefix="ptk-stages-") as name:
        folder = Path(name)
        if kept.exists():
            return _layer(kept), _settings(target, arguments)
        tree = image_parts.base(folder / "base-of-all")
        image_parts.add_pip(tree)
        shutil.copytree(image_parts.wheelhouse(lock), tree / "wheels")
        built = Builder(stages, context, folder, tree, arguments, OUTSIDE).build(target)
        _keep(kept, image_parts.layer_of(built.tree / PACKAGES, PACKAGES).data)
        return _layer(kept), built.image_config


def _settings(target: str, arguments: Mapping[str, str]) -> dict[str, object]:
    """What the final stage says of its image, without carrying out what makes files."""
    stages = {
        name: type(stage)(name, stage.base, tuple(each for each in stage.instructions if each.name not in FILES))
        for name, stage in parse(CONTAINERFILE.read_text()).items()
    }
    nowhere = Path("/nonexistent")
    return Builder(stages, nowhere, nowhere, nowhere, arguments, {}).build(target).image_config


FILES = ("RUN", "COPY", "WORKDIR")


def _program(repository: str, program: Path) -> Image:
    layer = _file_layer({f"bin/{program.name}": program})
    return build(repository, (layer,), tag=_version(program.parent), entrypoint=(f"/bin/{program.name}",))


def _on_base(repository: str, files: Mapping[str, Path]) -> Image:
    first = next(iter(files))
    layer = _file_layer(files)
    return build(repository, (base(), layer), tag="v1", entrypoint=(f"/{first}",))


def _file_layer(files: Mapping[str, Path]) -> Layer:
    return file_layer({name: path.read_bytes() for name, path in files.items()}, "none")


def _version(folder: Path) -> str:
    return folder.name.rsplit("-", 2)[1]


def _home() -> Path:
    home = debian.cache_folder() / "layers"
    home.mkdir(parents=True, exist_ok=True)
    return home


def _keep(path: Path, data: bytes) -> None:
    """Write it under its name once it is whole; others may do the same at once."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    Path(file.name).rename(path)


def _layer(path: Path) -> Layer:
    data = path.read_bytes()
    return Layer(sha256(data), "none", data)
