"""The images: what the Containerfile says, and what comes of it, built without an engine and run by containerd."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from rig import charts, image_parts, images, needs
from rig.containerd import RealContainerd
from rig.containerfile import Built, parse
from rig.image_parts import CHECKOUT, CONTAINERFILE, PACKAGES
from rig.kubernetes import objects
from rig.kubernetes.api import READ_EVERYTHING
from rig.kubernetes.fake import FakeCluster
from rig.pods import ACCOUNT, Pod, settings
from rig.registry import Registry
from rig.scrape import Scrape
from rig.web import get, wait_until

TARGETS = {"exporter": "pulltrace_exporter", "aggregator": "pulltrace_aggregator"}
PINNED = re.compile(r"docker\.io/library/python:3\.\d+-slim-\w+@(sha256:[0-9a-f]{64})")
LABELS = ["title", "description", "licenses", "version", "revision", "created", "source", "base.name", "base.digest"]
COMPILERS = ("cc", "gcc", "c++", "g++", "cpp", "ld", "as", "make", "clang", "tcc", "cargo", "rustc", "go")
ARGUMENTS_OF_BOTH = ["--web.listen-address=127.0.0.1:0", "--log.format=json"]
PATIENCE = 120.0
MIB = 1024 * 1024

stages = parse(CONTAINERFILE.read_text())


@pytest.mark.unit
class TestWhatIsWritten:
    def test_the_one_base_is_pinned_by_digest(self) -> None:
        foreign = [stage.base for stage in stages.values() if stage.base not in stages]
        assert len(foreign) == 1
        assert PINNED.fullmatch(foreign[0])

    @pytest.mark.parametrize("target", TARGETS)
    def test_labels_say_what_it_is_and_what_it_stands_on(self, target: str) -> None:
        labels = dict(word.split("=", 1) for label in stages[target].all("LABEL") for word in label.words)
        assert sorted(labels) == sorted(f"org.opencontainers.image.{name}" for name in LABELS)
        pinned = PINNED.fullmatch(stages["base"].base)
        assert pinned
        assert labels["org.opencontainers.image.base.digest"] == pinned[1]
        assert stages["base"].base == f"{labels['org.opencontainers.image.base.name']}@{pinned[1]}"

    @pytest.mark.parametrize("target", TARGETS)
    def test_packages_come_by_hash_or_from_no_index_and_nothing_is_compiled(self, target: str) -> None:
        commands = [part for run in stages[f"{target}-packages"].all("RUN") for part in run.text.split("&&")]
        installs = [words for words in map(str.split, commands) if "pip" in words]
        assert installs
        for words in installs:
            assert "--no-deps" in words
            assert ("--require-hashes" in words and "--only-binary" in words) or "--no-index" in words

    @pytest.mark.parametrize("target", TARGETS)
    def test_it_starts_its_program_without_a_shell(self, target: str) -> None:
        (entrypoint,) = stages[target].all("ENTRYPOINT")
        assert entrypoint.text == f'["python3", "-m", "{TARGETS[target]}"]'

    def test_only_the_exporter_is_root(self) -> None:
        assert [user.text for user in stages["exporter"].all("USER")] == ["0:0"]
        (user,) = stages["aggregator"].all("USER")
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user.text), (
            "by number, or the kubelet cannot tell that it is not root"
        )

    def test_the_context_leaves_out_nothing_that_is_copied(self) -> None:
        sent = {line[1:] for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
        for stage in stages.values():
            for copy in stage.all("COPY"):
                if not copy.text.startswith("--from="):
                    for name in copy.words[:-1]:
                        assert any(Path(name).match(pattern) for pattern in sent), f"{name} is not sent"


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an engine would be sent: the lock files and the wheel."""
    if os.geteuid() != 0:
        needs.miss("chroot needs root")
    folder = tmp_path_factory.mktemp("context")
    image_parts.fill_context(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where stages are built, and not kept: some hundred megabytes."""
    made = tmp_path / "stages"
    made.mkdir()
    yield made
    shutil.rmtree(made)


def size(tree: Path) -> int:
    return sum(path.lstat().st_size for path in tree.rglob("*") if not path.is_dir() or path.is_symlink())


def compilers(tree: Path) -> list[Path]:
    return [
        path
        for path in tree.rglob("*bin/*")
        if re.fullmatch(rf"({'|'.join(map(re.escape, COMPILERS))})(-[\d.]+)?", path.name)
    ]


def assert_small_and_only_what_it_needs(image: Built, *absent: str) -> None:
    packages = image.tree / PACKAGES
    assert not compilers(image.tree)
    assert size(packages) < 60 * MIB
    assert [name for name in absent if (packages / name).exists()] == []


@dataclass(frozen=True, slots=True)
class Pulled:
    """A containerd that has the image, and the registry that it came from."""

    node: RealContainerd
    registry: Registry
    reference: str


@contextmanager
def pulled(target: str, image: Built, folder: Path) -> Iterator[Pulled]:
    """The image in a registry, and pulled from there."""
    packages = (image.tree / PACKAGES).rename(folder / "packages")
    layers = [image_parts.layer_of(image.tree), image_parts.layer_of(packages, PACKAGES)]
    program = images.build(f"pulltrace/{target}", layers, settings=image.image_config)
    pausing = ["/usr/local/bin/python3", "-c", "import signal; signal.pause()"]
    pause = images.build("pause", layers[:1], entrypoint=pausing)
    with Registry() as registry:
        registry.push(program)
        registry.push(pause)
        with RealContainerd.fresh("2.1", settings(pause.reference(registry.host), folder / "runc")) as node:
            for each in (pause, program):
                node.pull(each.reference(registry.host)).wait(PATIENCE)
            yield Pulled(node, registry, program.reference(registry.host))


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_the_exporter_in_its_image_shows_the_pulls_of_the_containerd_that_runs_it(
    context: Path, folder: Path, tmp_path: Path
) -> None:
    needs.containerd("2.1")
    image = image_parts.built("exporter", context, folder)
    assert_small_and_only_what_it_needs(image, "kubernetes", "requests")
    wanted = images.build("team/app", [300_000, 200_000])
    with pulled("exporter", image, folder) as setup:
        setup.registry.push(wanted)
        spec = charted("exporter")
        folders = {"/run/containerd": setup.node.socket.parent}
        with Pod(setup.node, spec, setup.reference, tmp_path, folders, *ARGUMENTS_OF_BOTH) as pod:
            assert_locked_down(pod, user=0, mounted="/run/containerd")
            port = serving_port(pod)
            stall = setup.registry.stall(wanted.layers[0].digest, after=100_000)
            pull = setup.node.pull(wanted.reference(setup.registry.host))
            wait_until(lambda: scrape(port).phase(wanted) == "downloading", PATIENCE)
            stall.release()
            pull.wait(PATIENCE)
            wait_until(lambda: scrape(port).phase(wanted) == "succeeded", PATIENCE)
            assert scrape(port).downloaded(wanted) == wanted.size
            assert pod.stop() == 0


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_the_aggregator_in_its_image_sees_pods_as_an_ordinary_user_with_its_accounts_token(
    context: Path, folder: Path, tmp_path: Path
) -> None:
    needs.containerd("2.1")
    image = image_parts.built("aggregator", context, folder)
    assert_small_and_only_what_it_needs(image, "google")
    account = tmp_path / "account"
    account.mkdir()
    with FakeCluster() as cluster, pulled("aggregator", image, folder) as setup:
        shutil.copy(cluster.ca_file, account / "ca.crt")
        (account / "token").write_text(cluster.user(READ_EVERYTHING))
        for file in account.iterdir():
            file.chmod(0o644)
        waiting = cluster.api.create(objects.pod("default", "web"))
        cluster.api.create(objects.event(waiting, "Pulling", 'Pulling image "example.org/team/app:1"', at=now()))
        server = urlsplit(cluster.url)
        told = {"KUBERNETES_SERVICE_HOST": str(server.hostname), "KUBERNETES_SERVICE_PORT": str(server.port)}
        spec, folders = charted("aggregator"), {ACCOUNT: account}
        with Pod(setup.node, spec, setup.reference, tmp_path, folders, *ARGUMENTS_OF_BOTH, environment=told) as pod:
            assert_locked_down(pod, user=65532, mounted=ACCOUNT)
            port = serving_port(pod)
            shown = 'pod="web",container="main"'
            wait_until(lambda: shown in get(port, "/metrics", tls=None).body.decode(), PATIENCE)
            assert pod.stop() == 0


def charted(program: str) -> dict[str, Any]:
    """The program's pod as the chart specifies it, but for where it listens."""
    spec = charts.pod_specs(charts.new_helm({}))[f"pulltrace-{program}"]
    (container,) = spec["containers"]
    args = [argument for argument in container["args"] if not argument.startswith("--web.listen-address")]
    return {**spec, "containers": [{**container, "args": args}]}


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def scrape(port: int) -> Scrape:
    return Scrape.parse(get(port, "/metrics", tls=None).body.decode())


def serving_port(pod: Pod) -> int:
    """Where the program in the pod says that it serves."""

    def said() -> list[str]:
        return re.findall(r'"port": ?"?(\d+)', pod.log.read_text()) if pod.log.exists() else []

    return int(wait_until(said, PATIENCE)[0])


def assert_locked_down(pod: Pod, *, user: int, mounted: str) -> None:
    """What the kernel says of the process, not what was asked for."""
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pod.pid}/status").read_text().splitlines())
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert status["Uid"].split() == status["Gid"].split() == [str(user)] * 4
    mounts = [line.split() for line in Path(f"/proc/{pod.pid}/mountinfo").read_text().splitlines()]
    options = {line[4]: line[5].split(",") for line in mounts}
    assert "ro" in options["/"]
    assert "ro" in options[mounted]
