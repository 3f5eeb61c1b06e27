"""The file of --exporter.http-config.file: a part of Prometheus' `http_config`, the rest refused by name.

Format: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#http_config
"""

import base64
import re
import ssl
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from pulltrace.errors import ConfigError

_KEYS: Final = ("tls_config", "basic_auth", "authorization")
_TLS_FILES: Final = ("ca_file", "cert_file", "key_file")
_TLS_KEYS: Final = (*_TLS_FILES, "server_name", "insecure_skip_verify", "min_version")
_BASIC_KEYS: Final = ("username", "username_file", "password", "password_file")
_AUTHORIZATION_KEYS: Final = ("type", "credentials", "credentials_file")
_TLS_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_SCHEME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
_SERVER_NAME: Final = re.compile(r"[A-Za-z0-9:._-]{1,253}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """`tls_config`; the paths are absolute or relative to the working directory. An empty name is the host's own."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str = ""
    verify: bool = True
    min_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """One reading of the file. `tls` and its `context` are None where the file has no `tls_config`.

    `authorization` is the header's value, empty for none. `files` are all that were read, the file itself first.
    """

    tls: TlsSettings | None = None
    context: ssl.SSLContext | None = field(default=None, repr=False)
    authorization: str = field(default="", repr=False)
    files: tuple[Path, ...] = ()


def load(path: Path) -> HttpConfig:
    """Read the file and those that it names.

    Raises:
        ConfigError: With all that is wrong, no secret among it.
    """
    try:
        document = yaml.load(path.read_text("utf-8"), _StrictLoader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror or error}"]) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError([f"{path}: {_without_excerpt(error)}"]) from None
    reading = _Reading(path)
    found = reading.config(document)
    if reading.problems:
        raise ConfigError([f"{path}: {problem}" for problem in reading.problems])
    return found


def default_context() -> ssl.SSLContext:
    """What `https` means where nothing is configured: the system's authorities."""
    return _try_context(TlsSettings())[0]


class _Reading:
    """One walk through a parsed document; what is wrong is gathered in `problems`.

    As Prometheus does, it takes relative paths from the folder of the file, and white space off what files hold.
    """

    def __init__(self, path: Path) -> None:
        self.problems: list[str] = []
        self._folder = path.parent
        self._files = [path]

    def config(self, document: object) -> HttpConfig:
        top = {} if document is None else self._mapping(document, "the file") or {}
        self._refuse_others(top, _KEYS, "")
        sections = {key: self._mapping(top[key], key) for key in _KEYS if key in top}
        if {"basic_auth", "authorization"} <= sections.keys():
            self._problem("basic_auth and authorization: only one of them can be used")
        tls = self._tls(sections.get("tls_config"))
        context = self._context(tls) if tls else None
        basic = self._basic_auth(sections.get("basic_auth"))
        header = self._authorization(sections.get("authorization"))
        return HttpConfig(tls, context, basic or header, tuple(dict.fromkeys(self._files)))

    def _tls(self, section: Mapping[str, object] | None) -> TlsSettings | None:
        if section is None:
            return None
        self._refuse_others(section, _TLS_KEYS, "tls_config.")
        paths = {key: self._path(section, "tls_config", key) for key in _TLS_FILES if key in section}
        for one, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
            if one in section and other not in section:
                self._problem(f"tls_config.{one}: needs {other}")
        return TlsSettings(
            ca_file=paths.get("ca_file"),
            cert_file=paths.get("cert_file"),
            key_file=paths.get("key_file"),
            server_name=self._server_name(section),
            verify=not self._flag(section, "insecure_skip_verify"),
            min_version=self._version(section),
        )

    def _server_name(self, section: Mapping[str, object]) -> str:
        name = section.get("server_name", "")
        if isinstance(name, str) and (not name or _SERVER_NAME.fullmatch(name)):
            return name
        self._problem(f"tls_config.server_name: {name!r} is no name of a server")
        return ""

    def _flag(self, section: Mapping[str, object], key: str) -> bool:
        value = section.get(key, False)
        if not isinstance(value, bool):
            self._problem(f"tls_config.{key}: {value!r} is neither true nor false")
        return value is True

    def _version(self, section: Mapping[str, object]) -> ssl.TLSVersion:
        value = section.get("min_version", "TLS12")
        if isinstance(value, str) and value in _TLS_VERSIONS:
            return _TLS_VERSIONS[value]
        self._problem(f"tls_config.min_version: {value!r} is none of {', '.join(_TLS_VERSIONS)}")
        return ssl.TLSVersion.TLSv1_2

    def _context(self, tls: TlsSettings) -> ssl.SSLContext:
        context, problems = _try_context(tls)
        self.problems += [f"tls_config.{problem}" for problem in problems]
        return context

    def _basic_auth(self, section: Mapping[str, object] | None) -> str:
        if section is None:
            return ""
        self._refuse_others(section, _BASIC_KEYS, "basic_auth.")
        user = self._secret(section, "basic_auth", "username")
        password = self._secret(section, "basic_auth", "password")
        if user is None or password is None:
            return ""
        if ":" in user or not user.isprintable():
            self._problem("basic_auth.username: a user's name has neither a colon nor control characters")
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def _authorization(self, section: Mapping[str, object] | None) -> str:
        if section is None:
            return ""
        self._refuse_others(section, _AUTHORIZATION_KEYS, "authorization.")
        scheme = section.get("type", "Bearer")
        if not isinstance(scheme, str) or not _SCHEME.fullmatch(scheme):
            self._problem(f"authorization.type: {scheme!r} is no authentication scheme")
        elif scheme.lower() == "basic":
            self._problem("authorization.type: for Basic there is basic_auth")
        credentials = self._secret(section, "authorization", "credentials")
        if credentials is None:
            return ""
        if not credentials or not credentials.isascii() or not credentials.isprintable():
            self._problem("authorization.credentials: empty, or with characters that a header cannot hold")
        return f"{scheme} {credentials}"

    def _secret(self, section: Mapping[str, object], where: str, key: str) -> str | None:
        """The text of `key` or of the file that `key_file` names, exactly one of which has to be there."""
        by_file = f"{key}_file"
        given = [name for name in (key, by_file) if name in section]
        if len(given) != 1:
            both = "only one of them can be used" if given else "one of them is needed"
            self._problem(f"{where}.{key} and {where}.{by_file}: {both}")
            return None
        if by_file in section:
            return self._content(section, where, by_file)
        value = section[key]
        if not isinstance(value, str):
            self._problem(f"{where}.{key}: is no text, write it in quotes")
            return None
        return value

    def _content(self, section: Mapping[str, object], where: str, key: str) -> str | None:
        path = self._path(section, where, key)
        try:
            return path.read_text("utf-8").strip() if path else None
        except (OSError, UnicodeDecodeError) as error:
            self._problem(f"{where}.{key}: {path}: {getattr(error, 'strerror', None) or 'is no text'}")
            return None

    def _path(self, section: Mapping[str, object], where: str, key: str) -> Path | None:
        value = section[key]
        if not isinstance(value, str) or not value or "\0" in value:
            self._problem(f"{where}.{key}: needs a path")
            return None
        path = self._folder / value
        self._files.append(path)
        try:
            path.open("rb").close()
        except OSError as error:
            # OpenSSL's own message would not name the file.
            self._problem(f"{where}.{key}: {path}: {error.strerror or error}")
            return None
        return path

    def _mapping(self, value: object, where: str) -> Mapping[str, object] | None:
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return value
        hint = "; {} is one without any" if value is None else ""
        self._problem(f"{where}: not a mapping of names{hint}")
        return None

    def _refuse_others(self, section: Mapping[str, object], known: Iterable[str], prefix: str) -> None:
        for key in sorted(section.keys() - set(known)):
            self._problem(f"{prefix}{key}: not supported")

    def _problem(self, text: str) -> None:
        if text not in self.problems:
            self.problems.append(text)


def _try_context(tls: TlsSettings) -> tuple[ssl.SSLContext, list[str]]:
    """A context for new connections, and what is wrong with it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = tls.min_version
    context.set_alpn_protocols(["http/1.1"])
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context, [*_load_authorities(context, tls), *_load_certificate(context, tls)]


def _load_authorities(context: ssl.SSLContext, tls: TlsSettings) -> Iterator[str]:
    if tls.ca_file is None:
        if tls.verify:
            context.load_default_certs()
        return
    try:
        context.load_verify_locations(tls.ca_file)
    except (OSError, ValueError) as error:
        yield f"ca_file: {tls.ca_file}: {_on_one_line(error)}"


def _load_certificate(context: ssl.SSLContext, tls: TlsSettings) -> Iterator[str]:
    if tls.cert_file is None or tls.key_file is None:
        return
    try:
        # Without `password` OpenSSL would ask the terminal for the passphrase of an encrypted key.
        context.load_cert_chain(tls.cert_file, tls.key_file, password="")
    except (OSError, ValueError) as error:
        yield f"cert_file: {tls.cert_file} with key_file {tls.key_file}: {_on_one_line(error)}"


class _StrictLoader(yaml.SafeLoader):
    """Refuses what Prometheus refuses and plain YAML does not: a key that is there twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{key} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _without_excerpt(error: Exception) -> str:
    """What is wrong with the YAML and where, but not the line itself: a password may stand in it."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return _on_one_line(error)
    mark = error.problem_mark
    problem = _QUOTED.sub("'…'", error.problem or "is no YAML")
    return f"{problem}, line {mark.line + 1}, column {mark.column + 1}"


def _on_one_line(error: Exception) -> str:
    return " ".join(str(error).split())
