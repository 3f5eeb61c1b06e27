"""A rendered pod's files and arguments as a node would give them to its program, below a folder of the test's own."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pulltrace_chart.rendering import Object
from rig.charts import of_kind, pod_specs

ETC: Final = "/etc/pulltrace"
Secrets = Mapping[str, Mapping[str, bytes]]


@dataclass(frozen=True, slots=True)
class Mounted:
    """The program's arguments, its mounts by path, and the folder that stands for /etc/pulltrace."""

    args: tuple[str, ...]
    etc: Path

    def file(self, flag: str) -> Path:
        """The file that a flag names."""
        (found,) = (each for each in self.args if each.startswith(f"--{flag}="))
        return Path(found.partition("=")[2])


def mounted(found: Iterable[Object], pod: str, folder: Path, secrets: Secrets | None = None) -> Mounted:
    """Write what the pod mounts below /etc/pulltrace; `secrets` are those that the chart does not make."""
    found = list(found)
    spec = pod_specs(found)[pod]
    container = spec["containers"][0]
    volumes = {volume["name"]: volume for volume in spec.get("volumes", ())}
    for mount in container.get("volumeMounts", ()):
        if mount["mountPath"].startswith(ETC):
            place = folder / Path(mount["mountPath"]).relative_to(ETC)
            place.mkdir(parents=True)
            for name, content in _content(volumes[mount["name"]], found, secrets or {}).items():
                (place / name).write_bytes(content.replace(ETC.encode(), str(folder).encode()))
    name = f"{pod}-1"
    args = (each.replace("$(POD_NAME)", name).replace(ETC, str(folder)) for each in container["args"])
    return Mounted(tuple(args), folder)


def _content(volume: Object, found: list[Object], secrets: Secrets) -> Mapping[str, bytes]:
    if "configMap" in volume:
        data = _named(found, "ConfigMap", volume["configMap"]["name"])["data"]
        return {name: text.encode() for name, text in data.items()}
    name = volume["secret"]["secretName"]
    content = secrets[name] if name in secrets else _secret(_named(found, "Secret", name))
    items = {item["key"]: item["path"] for item in volume["secret"].get("items", ())}
    return {items.get(key, key): each for key, each in content.items() if not items or key in items}


def _secret(item: Object) -> Mapping[str, bytes]:
    plain = {name: text.encode() for name, text in item.get("stringData", {}).items()}
    return plain | {name: base64.b64decode(text) for name, text in item.get("data", {}).items()}


def _named(found: list[Object], kind: str, name: str) -> Object:
    (item,) = (each for each in of_kind(found, kind) if each["metadata"]["name"] == name)
    return item
