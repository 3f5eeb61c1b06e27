"""The file of --web.config.file: a part of Prometheus exporter-toolkit's format, the rest refused by name.

Format: https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import yaml

from pulltrace.errors import ConfigError
from pulltrace.web.passwords import bcrypt_cost

_T = TypeVar("_T")

_CLIENT_AUTH: Final = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_TLS_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_TLS_FILES: Final = ("cert_file", "key_file", "client_ca_file")
_TLS_KEYS: Final = (*_TLS_FILES, "client_auth_type", "min_version")
_BCRYPT_HASH: Final = re.compile(r"\$2[abxy]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}", re.ASCII)
# Above it one check takes more than a second, which is longer than a probe waits.
_MAX_BCRYPT_COST: Final = 14


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """`tls_server_config`; the paths are absolute or relative to the working directory."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    client_auth: ssl.VerifyMode = ssl.CERT_NONE
    min_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2

    def files(self) -> tuple[Path, ...]:
        """List the files that are read."""
        return tuple(path for path in (self.cert_file, self.key_file, self.client_ca_file) if path)


@dataclass(frozen=True, slots=True)
class WebSettings:
    """One web configuration. Without `tls` it is plain HTTP, without `users` nobody is asked."""

    tls: TlsSettings | None = None
    users: Mapping[str, bytes] = field(default_factory=dict)


def read_settings(path: Path) -> WebSettings:
    """Read the file; of the certificates that it names only that they are readable is checked.

    Raises:
        ConfigError: It cannot be read or is wrong, with all that is wrong.
    """
    try:
        document = yaml.load(path.read_text("utf-8"), _StrictLoader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror or error}"]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: {_on_one_line(error)}"]) from error
    reading = _Reading(path.parent)
    settings = reading.settings(document)
    if reading.problems:
        raise ConfigError([f"{path}: {problem}" for problem in reading.problems])
    return settings


def build_context(path: Path, tls: TlsSettings) -> ssl.SSLContext:
    """Read certificate, key and client CA into a context for new connections.

    Raises:
        ConfigError: They are not what they should be or do not belong together; `path` is named as the
            file that asked for them.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = tls.min_version
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    problems = [*_load_certificate(context, tls), *_load_client_ca(context, tls)]
    if problems:
        raise ConfigError([f"{path}: tls_server_config.{problem}" for problem in problems])
    return context


def _load_certificate(context: ssl.SSLContext, tls: TlsSettings) -> Iterable[str]:
    try:
        # Without `password` OpenSSL would ask the terminal for the passphrase of an encrypted key.
        context.load_cert_chain(tls.cert_file, tls.key_file, password="")
    except (OSError, ValueError) as error:
        yield f"cert_file {tls.cert_file} with key_file {tls.key_file}: {_on_one_line(error)}"


def _load_client_ca(context: ssl.SSLContext, tls: TlsSettings) -> Iterable[str]:
    context.verify_mode = tls.client_auth
    if tls.client_ca_file is None:
        return
    try:
        context.load_verify_locations(tls.client_ca_file)
    except (OSError, ValueError) as error:
        yield f"client_ca_file {tls.client_ca_file}: {_on_one_line(error)}"


class _Reading:
    """One walk through a parsed document; what is wrong is gathered in `problems`.

    As exporter-toolkit does, it takes relative paths from the folder of the file.
    """

    def __init__(self, folder: Path) -> None:
        self.problems: list[str] = []
        self._folder = folder

    def settings(self, document: object) -> WebSettings:
        top = self._mapping(document, "the file")
        self._refuse_others(top, ("tls_server_config", "basic_auth_users"), "")
        tls = self._mapping(top.get("tls_server_config"), "tls_server_config")
        users = self._mapping(top.get("basic_auth_users"), "basic_auth_users")
        return WebSettings(self._tls(tls) if tls else None, self._users(users))

    def _tls(self, section: Mapping[str, object]) -> TlsSettings | None:
        self._refuse_others(section, _TLS_KEYS, "tls_server_config.")
        paths = {key: self._path(section, key) for key in _TLS_FILES}
        auth = self._choice(section, "client_auth_type", _CLIENT_AUTH, ssl.CERT_NONE)
        version = self._choice(section, "min_version", _TLS_VERSIONS, ssl.TLSVersion.TLSv1_2)
        if auth != ssl.CERT_NONE and "client_ca_file" not in section:
            self._problem("tls_server_config.client_auth_type: needs client_ca_file")
        if auth == ssl.CERT_NONE and "client_ca_file" in section:
            self._problem("tls_server_config.client_ca_file: needs a client_auth_type that verifies")
        cert, key = paths["cert_file"], paths["key_file"]
        return TlsSettings(cert, key, paths["client_ca_file"], auth, version) if cert and key else None

    def _users(self, section: Mapping[str, object]) -> Mapping[str, bytes]:
        for name, hashed in section.items():
            where = f"basic_auth_users.{name}"
            if not name or ":" in name:
                self._problem(f"{where}: a user's name is not empty and has no colon")
            if not isinstance(hashed, str) or not _BCRYPT_HASH.fullmatch(hashed):
                self._problem(f"{where}: not a bcrypt hash")
            elif bcrypt_cost(hashed.encode()) > _MAX_BCRYPT_COST:
                self._problem(f"{where}: the bcrypt cost is above {_MAX_BCRYPT_COST}")
        return {name: str(hashed).encode() for name, hashed in section.items()}

    def _mapping(self, value: object, where: str) -> Mapping[str, object]:
        if value is None:
            return {}
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return value
        self._problem(f"{where}: not a mapping of names")
        return {}

    def _path(self, section: Mapping[str, object], key: str) -> Path | None:
        value = section.get(key)
        if not isinstance(value, str) or not value:
            if key in section or key != "client_ca_file":
                self._problem(f"tls_server_config.{key}: needs a path")
            return None
        path = self._folder / value
        try:
            path.open("rb").close()
        except (OSError, ValueError) as error:
            # OpenSSL's own message would not name the file.
            self._problem(f"tls_server_config.{key}: {path}: {getattr(error, 'strerror', error)}")
        return path

    def _choice(self, section: Mapping[str, object], key: str, known: Mapping[str, _T], default: _T) -> _T:
        value = section.get(key)
        if value is None:
            return default
        if isinstance(value, str) and value in known:
            return known[value]
        self._problem(f"tls_server_config.{key}: {value!r} is none of {', '.join(known)}")
        return default

    def _refuse_others(self, section: Mapping[str, object], known: Iterable[str], prefix: str) -> None:
        for key in sorted(section.keys() - set(known)):
            self._problem(f"{prefix}{key}: not supported")

    def _problem(self, text: str) -> None:
        self.problems.append(text)


class _StrictLoader(yaml.SafeLoader):
    """Refuses what exporter-toolkit refuses and plain YAML does not: a key that is there twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{key} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _on_one_line(error: Exception) -> str:
    return " ".join(str(error).split())
