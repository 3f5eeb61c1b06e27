"""Where a node's exporter is."""

import re
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import SplitResult, urlsplit

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]+", re.ASCII)
LONGEST_NODE_NAME: Final = 253


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """A node and its exporter's base URL; `host` is a name or an address, IPv6 without brackets."""

    node: str
    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `NODE=BASE-URL`.

        Raises:
            ValueError: It is not that, or the URL has more than scheme, host and port.
        """
        node, equals, url = text.partition("=")
        if not equals:
            raise ValueError(f"{text!r} is no target: write it like node-1=http://10.0.0.1:10301")
        if not 0 < len(node) <= LONGEST_NODE_NAME or not node.isprintable() or " " in node:
            raise ValueError(f"{text!r}: {node!r} is no name of a node")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"{text!r}: {url!r} is no URL: {error}") from None
        _check(text, parts)
        host = parts.hostname or ""
        return cls(node, parts.scheme, host, _DEFAULT_PORTS[parts.scheme] if port is None else port)

    @property
    def authority(self) -> str:
        """Host and port as the header `Host` has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS.get(self.scheme) else f"{host}:{self.port}"

    @property
    def base_url(self) -> str:
        """The URL without a path."""
        return f"{self.scheme}://{self.authority}"


def _check(text: str, parts: SplitResult) -> None:
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError(f"{text!r}: the URL begins with neither http:// nor https://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a target's URL holds no password: --exporter.http-config.file is the place for it")
    if not parts.hostname or not _HOST.fullmatch(parts.hostname):
        raise ValueError(f"{text!r}: the URL has no host")
    if parts.port == 0:
        raise ValueError(f"{text!r}: there is no port 0")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"{text!r}: the URL has no more than scheme, host and port")
