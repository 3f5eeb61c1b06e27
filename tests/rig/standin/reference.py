"""Image references as containerd's CRI normalises them. The stand-in's own reading, not the programs' under test."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reference:
    """`host` with its port; a reference by digest loses its tag."""

    host: str
    repository: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> "Reference":
        rest, _, digest = text.partition("@")
        head, slash, tail = rest.rpartition("/")
        tail, _, tag = tail.partition(":")
        host, repository = _split(f"{head}{slash}{tail}")
        return cls(host, repository, "" if digest else tag or "latest", digest)

    @property
    def name(self) -> str:
        return f"{self.locator}@{self.digest}" if self.digest else f"{self.locator}:{self.tag}"

    @property
    def locator(self) -> str:
        return f"{self.host}/{self.repository}"

    @property
    def wanted(self) -> str:
        return self.digest or self.tag

    @property
    def source_host(self) -> str:
        """The host as in the label `containerd.io/distribution.source.*`: without its port."""
        name, colon, port = self.host.rpartition(":")
        return name.strip("[]") if colon and port.isdigit() else self.host.strip("[]")


def _split(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first.replace("index.docker.io", "docker.io"), rest
    return "docker.io", name if slash else f"library/{name}"
