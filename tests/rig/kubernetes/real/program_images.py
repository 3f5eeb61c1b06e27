"""Images of what runs in the cluster: Go programs on nothing, Debian's on a base, ours as the Containerfile says."""

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from rig import caching, debian, image_parts
from rig.containerfile import CHANGES_FILES, Builder, parse
from rig.image_parts import CONTAINERFILE, PACKAGES
from rig.images import Image, Layer, build, file_layer, sha256
from rig.kubernetes.real.cluster_node import PAUSE_IMAGE
from rig.runnable import FOREVER
from rig.runnable import base as busybox

TARGETS = ("exporter", "aggregator")
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


def own_images() -> Iterator[Image]:
    """Exporter and aggregator as the Containerfile makes them, under the tag of their version."""
    with tempfile.TemporaryDirectory(prefix="ptk-images-") as name:
        context = Path(name)
        arguments = image_parts.arguments(image_parts.fill_context(context))
        for target in TARGETS:
            layer, config = _packages(target, context, arguments)
            repository = f"pulltrace/pulltrace-{target}"
            yield build(repository, (base(), layer), tag=arguments["VERSION"], settings=config)


@cache
def base() -> Layer:
    """A Debian with a Python: what `python:3.13-slim-trixie` is to the Containerfile."""
    package = debian.unpacked(debian.PYTHON)
    return _kept(f"base-{package.name}", lambda folder: image_parts.layer_of(image_parts.base(folder / "tree")))


def _packages(target: str, context: Path, arguments: Mapping[str, str]) -> tuple[Layer, dict[str, object]]:
    """The layer that the Containerfile's stage adds to its base, and the image's settings."""
    (wheel,) = (context / "dist").iterdir()
    made_of = (CONTAINERFILE, context / f"requirements/{target}.txt", wheel)
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in made_of))
    digest.update(debian.unpacked(debian.PYTHON).name.encode())

    def made(folder: Path) -> Layer:
        return image_parts.layer_of(image_parts.built(target, context, folder).tree / PACKAGES, PACKAGES)

    return _kept(f"{target}-{digest.hexdigest()[:16]}", made), _settings(target, arguments)


def _settings(target: str, arguments: Mapping[str, str]) -> dict[str, object]:
    """What the final stage says of its image, without carrying out what makes files."""
    stages = {
        name: replace(stage, instructions=tuple(each for each in stage.instructions if each.name not in CHANGES_FILES))
        for name, stage in parse(CONTAINERFILE.read_text()).items()
    }
    nowhere = Path("/nonexistent")
    return Builder(stages, nowhere, nowhere, nowhere, arguments, {}).build(target).image_config


def _program(repository: str, program: Path) -> Image:
    layer = _file_layer({f"bin/{program.name}": program})
    return build(repository, (layer,), tag=program.parent.name.rsplit("-", 2)[1], entrypoint=(f"/bin/{program.name}",))


def _on_base(repository: str, files: Mapping[str, Path]) -> Image:
    first = next(iter(files))
    layer = _file_layer(files)
    return build(repository, (base(), layer), tag="v1", entrypoint=(f"/{first}",))


def _file_layer(files: Mapping[str, Path]) -> Layer:
    return file_layer({name: path.read_bytes() for name, path in files.items()}, "none")


def _kept(name: str, made: Callable[[Path], Layer]) -> Layer:
    """The layer out of the cache; where it is not there yet, it is made in a folder."""

    def make(folder: Path) -> Path:
        file = folder / "layer.tar"
        file.write_bytes(made(folder).data)
        return file

    data = caching.kept(caching.folder() / "layers" / f"{name}-{RECIPE}.tar", name, make).read_bytes()
    return Layer(sha256(data), "none", data)
