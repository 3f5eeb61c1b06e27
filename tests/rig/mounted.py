"""A rendered pod's files and arguments as a node would give them to its program, below a folder of the test's own."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pulltrace_chart.rendering import Object
from rig.chart_values import GIVEN_TLS, HASH, LOGIN, NUMBERS, PASSWORD, Values
from rig.charts import NAMESPACE, of_kind, pod_specs
from rig.pki import LOOPBACK, Authority
from rig.web import hashed

ETC: Final = "/etc/pulltrace"
EXPORTER: Final = "pulltrace-exporter"
AGGREGATOR: Final = "pulltrace-aggregator"
NAMES: Final = tuple(f"{pod}.{NAMESPACE}.svc" for pod in (EXPORTER, AGGREGATOR))
USER, WORD = "prometheus", "a word"
Secrets = Mapping[str, Mapping[str, bytes]]


def with_login(values: Values) -> Values:
    """These values, and the user and password of the secrets below asked for."""
    return {**values, "basicAuth": {**PASSWORD["basicAuth"], "users": {USER: hashed(WORD)}}}


def secrets_beside(authority: Authority) -> Secrets:
    """What cert-manager, or the user, puts beside the chart."""
    pair = authority.issue(hosts=[*LOOPBACK, *NAMES])
    tls = {"tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": authority.certificate}
    login = {"username": USER.encode(), "password": WORD.encode()}
    given = (each["tls"]["existingSecret"] for each in (GIVEN_TLS, NUMBERS))
    names = (*given, f"{EXPORTER}-tls", f"{AGGREGATOR}-tls", "pulltrace-prometheus-tls")
    web = f"basic_auth_users:\n  {USER}: {HASH}\n".encode()
    logins = dict.fromkeys((LOGIN, NUMBERS["basicAuth"]["existingSecret"]), login)
    return {**dict.fromkeys(names, tls), **logins, "web": {"web-config.yaml": web}}


@dataclass(frozen=True, slots=True)
class Mounted:
    """The program's arguments, its mounts by path, and the folder that stands for /etc/pulltrace."""

    args: tuple[str, ...]
    etc: Path

    def file(self, flag: str) -> Path:
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
