"""A Containerfile read and carried out without a container engine: each stage is a folder, each RUN happens in chroot.

It knows the instructions that ours uses and refuses any other. What a registry would give as base is given as a folder.
"""

import json
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rig.processes import run

VARIABLE = re.compile(r"\$\{(\w+)\}")
RUN_TIMEOUT = 300.0
PATH = "/usr/local/bin:/usr/bin"
CHANGES_FILES = {"RUN", "COPY", "WORKDIR"}
CHROOT = shutil.which("chroot", path="/usr/sbin:/sbin:/usr/bin:/bin") or "chroot"


class Unknown(Exception):
    """An instruction, stage or file that this reader knows nothing of."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, its lines joined."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)


@dataclass(frozen=True, slots=True)
class Stage:
    """A FROM and what follows it."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]

    def all(self, name: str) -> Iterator[Instruction]:
        """The instructions of this name."""
        return (each for each in self.instructions if each.name == name)


def parse(text: str) -> dict[str, Stage]:
    """The stages by name, in order."""
    stages: dict[str, Stage] = {}
    for instruction in _instructions(text):
        if instruction.name == "FROM":
            base, _, name = instruction.words
            stages[name] = Stage(name, base, ())
        else:
            last = next(reversed(stages.values()))
            stages[last.name] = Stage(last.name, last.base, (*last.instructions, instruction))
    return stages


def _instructions(text: str) -> Iterator[Instruction]:
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in lines.replace("\\\n", " ").splitlines():
        if line.strip():
            name, rest = line.split(None, 1)
            yield Instruction(name, rest.strip())


@dataclass(slots=True)
class Built:
    """What a stage became: its files, and the `config` of an image of it."""

    tree: Path
    environment: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def image_config(self) -> dict[str, Any]:
        return {**self.config, "Env": [f"{key}={value}" for key, value in self.environment.items()]}


class Builder:
    """Builds stages below `folder`, each once, from files of `context`, on what lies in `base`."""

    def __init__(
        self,
        stages: Mapping[str, Stage],
        context: Path,
        folder: Path,
        base: Path,
        arguments: Mapping[str, str],
        outside: Mapping[str, str],
    ) -> None:
        self._stages = stages
        self._context = context
        self._folder = folder
        self._base = base
        self._arguments = arguments
        self._outside = outside
        """Environment of every RUN that is no part of the image, as where pip finds packages."""
        self._built: dict[str, Built] = {}

    def build(self, name: str) -> Built:
        """The stage of this name, and first those that it needs."""
        if name not in self._built:
            stage = self._stages[name]
            start = self.build(stage.base) if stage.base in self._stages else Built(self._base, {"PATH": PATH})
            tree = start.tree
            if any(each.name in CHANGES_FILES for each in stage.instructions):
                tree = self._folder / name
                run(
                    ["cp", "-al", start.tree, tree], timeout=RUN_TIMEOUT
                )  # linked: instructions add files and change none
            built = Built(tree, dict(start.environment), start.workdir, dict(start.config))
            for instruction in stage.instructions:
                self._carry_out(instruction, built)
            self._built[name] = built
        return self._built[name]

    def _carry_out(self, instruction: Instruction, built: Built) -> None:
        method = getattr(self, f"_{instruction.name.lower()}", None)
        if method is None:
            raise Unknown(f"{instruction.name} {instruction.text}")
        method(instruction, built)

    def _words(self, instruction: Instruction) -> list[str]:
        return [VARIABLE.sub(lambda match: self._arguments.get(match[1], ""), word) for word in instruction.words]

    def _arg(self, instruction: Instruction, built: Built) -> None:
        """Values come from the caller; there are no defaults."""

    def _env(self, instruction: Instruction, built: Built) -> None:
        built.environment.update(dict(word.split("=", 1) for word in self._words(instruction)))

    def _label(self, instruction: Instruction, built: Built) -> None:
        built.config["Labels"] = dict(word.split("=", 1) for word in self._words(instruction))

    def _user(self, instruction: Instruction, built: Built) -> None:
        built.config["User"] = instruction.text

    def _expose(self, instruction: Instruction, built: Built) -> None:
        built.config["ExposedPorts"] = {f"{port}/tcp": {} for port in instruction.words}

    def _entrypoint(self, instruction: Instruction, built: Built) -> None:
        built.config["Entrypoint"] = json.loads(instruction.text)

    def _workdir(self, instruction: Instruction, built: Built) -> None:
        built.workdir = instruction.text
        _inside(built.tree, instruction.text).mkdir(parents=True, exist_ok=True)

    def _copy(self, instruction: Instruction, built: Built) -> None:
        words = self._words(instruction)
        source = self._context
        if words[0].startswith("--from="):
            source = self.build(words.pop(0).removeprefix("--from=")).tree
        *names, target = words
        goal = _inside(built.tree, str(Path(built.workdir, target)))
        for name in names:
            found = _inside(source, name)
            if found.is_dir():
                shutil.copytree(found, goal, symlinks=True)
            else:
                shutil.copy2(found, goal)

    def _run(self, instruction: Instruction, built: Built) -> None:
        environment = {**built.environment, **self._outside, "HOME": "/tmp"}
        assignments = [f"{key}={value}" for key, value in environment.items()]
        command = f"cd {shlex.quote(built.workdir)} && {instruction.text}"
        run(["env", "-i", *assignments, CHROOT, built.tree, "/bin/sh", "-e", "-c", command], timeout=RUN_TIMEOUT)


def _inside(tree: Path, path: str) -> Path:
    return tree / path.removeprefix("/")
