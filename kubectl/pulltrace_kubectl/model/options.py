"""What the user asked for, as the command line tells it."""

from dataclasses import dataclass
from enum import StrEnum


class View(StrEnum):
    """What is shown."""

    WAITS = "waits"
    PODS = "pods"
    NODE = "node"
    IMAGES = "images"


class Output(StrEnum):
    """The form of the output."""

    TEXT = ""
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Target:
    """An object that was named, like `deploy/web`; the kind of a bare name is `pod`."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Access:
    """How the programs are reached. `kubectl` are flags that go to kubectl as they are; `timeout` is in seconds."""

    kubectl: tuple[str, ...] = ()
    timeout: float | None = None
    service: str = ""
    urls: tuple[str, ...] = ()
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    user: str = ""
    password_file: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """All that the command line tells. `namespace` is empty for the context's own; `wait_timeout` is in seconds."""

    view: View = View.WAITS
    targets: tuple[Target, ...] = ()
    names: tuple[str, ...] = ()
    selector: str = ""
    namespace: str = ""
    all_namespaces: bool = False
    output: Output = Output.TEXT
    headers: bool = True
    watch: bool = False
    wait: bool = False
    wait_timeout: float = 600.0
    access: Access = Access()
