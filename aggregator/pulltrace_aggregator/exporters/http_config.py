"""TLS and credentials of requests to exporters, from --exporter.http-config.file. Re-read when its files change.

The file has a part of Prometheus' `http_config`; the error for any other key names the key.
Format: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#http_config
"""

import base64
import re
import ssl
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pulltrace.clock import Clock
from pulltrace.config_file import TLS_VERSIONS, ConfigFile, Section, load_authorities, load_certificate
from pulltrace.reread import Reread

_KEYS: Final = ("tls_config", "basic_auth", "authorization")
_TLS_FILES: Final = ("ca_file", "cert_file", "key_file")
_TLS_KEYS: Final = (*_TLS_FILES, "server_name", "insecure_skip_verify", "min_version")
_BASIC_KEYS: Final = ("username", "username_file", "password", "password_file")
_AUTHORIZATION_KEYS: Final = ("type", "credentials", "credentials_file")
_SCHEME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_SERVER_NAME: Final = re.compile(r"[A-Za-z0-9:._-]{1,253}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """`tls_config`; the paths are absolute or relative to the working directory. An empty `server_name` is the host."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str = ""
    verify: bool = True
    min_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """One reading of the file, by default without any of its parts. Nothing of it is shown in a log.

    `tls` and its `context` are None where the file has no `tls_config`. `authorization` is the header's value, empty
    for none. `files` are all that were read, the file itself first.
    """

    tls: TlsSettings | None = field(default=None, repr=False)
    context: ssl.SSLContext | None = field(default=None, repr=False)
    authorization: str = field(default="", repr=False)
    files: tuple[Path, ...] = field(default=(), repr=False)

    @property
    def https(self) -> bool:
        """Whether exporters that Kubernetes names are read over TLS."""
        return self.tls is not None

    @property
    def server_name(self) -> str:
        """The name that certificates must have; empty for the host's."""
        return self.tls.server_name if self.tls else ""


class HttpAccess:
    """Hands out the configuration in force. Without a file there are no credentials. For use by one thread."""

    def __init__(self, path: Path | None, clock: Clock) -> None:
        """Read the file; raises ConfigError with all that is wrong. A later fault is logged, without effect."""
        self._file = Reread(path, _read, clock) if path else None
        self._config = HttpConfig()
        self._context: ssl.SSLContext | None = None

    def current(self) -> HttpConfig:
        """The configuration in force, another value after each reading of the files. Call it for each request."""
        if self._file and (config := self._file.current()) is not self._config:
            self._config, self._context = config, config.context
        return self._config

    def context(self) -> ssl.SSLContext:
        """The context of the configuration in force; without `tls_config` it trusts the system's authorities."""
        if self._context is None:
            # Not before it is needed: the system's authorities take megabytes.
            self._context = _new_context(TlsSettings())
        return self._context


def load(path: Path) -> HttpConfig:
    """Read the file and those that it names; raises ConfigError with everything that is wrong, and with no secret."""
    file = ConfigFile(path)
    top = file.top(_KEYS)
    if "basic_auth" in top and "authorization" in top:
        file.problem("basic_auth and authorization: only one of them can be used")
    tls = context = None
    if section := top.section("tls_config", _TLS_KEYS):
        tls = _tls(section)
        context = _new_context(tls)
        _load_files(context, tls, section)
    basic = top.section("basic_auth", _BASIC_KEYS)
    header = _basic_auth(basic) if basic else ""
    token = top.section("authorization", _AUTHORIZATION_KEYS)
    header = header or (_authorization(token) if token else "")
    file.check()
    return HttpConfig(tls, context, header, tuple(dict.fromkeys(file.files)))


def _tls(section: Section) -> TlsSettings:
    paths = {key: section.path(key) for key in _TLS_FILES if key in section}
    for one, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
        if one in section and other not in section:
            section.problem(one, f"needs {other}")
    return TlsSettings(
        **paths,
        server_name=_server_name(section),
        verify=not _flag(section, "insecure_skip_verify"),
        min_version=section.choice("min_version", TLS_VERSIONS, ssl.TLSVersion.TLSv1_2),
    )


def _server_name(section: Section) -> str:
    name = section.values.get("server_name", "")
    if isinstance(name, str) and (not name or _SERVER_NAME.fullmatch(name)):
        return name
    section.problem("server_name", f"{name!r} is not a server name")
    return ""


def _flag(section: Section, key: str) -> bool:
    value = section.values.get(key, False)
    if not isinstance(value, bool):
        section.problem(key, f"{value!r} is neither true nor false")
    return value is True


def _basic_auth(section: Section) -> str:
    user, password = _secret(section, "username"), _secret(section, "password")
    if user is None or password is None:
        return ""
    if ":" in user or not user.isprintable():
        section.problem("username", "a user name must not contain a colon or control characters")
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _authorization(section: Section) -> str:
    scheme = section.values.get("type", "Bearer")
    if not isinstance(scheme, str) or not _SCHEME.fullmatch(scheme):
        section.problem("type", f"{scheme!r} is not an authentication scheme")
    elif scheme.lower() == "basic":
        section.problem("type", "use basic_auth for Basic")
    credentials = _secret(section, "credentials")
    if credentials is None:
        return ""
    if not credentials or not credentials.isascii() or not credentials.isprintable():
        section.problem("credentials", "empty, or with characters that a header cannot hold")
    return f"{scheme} {credentials}"


def _secret(section: Section, key: str) -> str | None:
    """The text of `key`, or of the file that `key`_file names. Exactly one of the two must be given."""
    by_file = f"{key}_file"
    given = [name for name in (key, by_file) if name in section]
    if len(given) != 1:
        both = "only one of them can be used" if given else "one of them is needed"
        section.problem(f"{key} and {section.prefix}{by_file}", both)
        return None
    if by_file in section:
        return _content(section, by_file)
    value = section.values[key]
    if not isinstance(value, str):
        section.problem(key, "is not text, write it in quotes")
        return None
    return value


def _content(section: Section, key: str) -> str | None:
    """The text of a file without the white space around it, as Prometheus reads it."""
    path = section.path(key)
    try:
        return path.read_text("utf-8").strip() if path else None
    except (OSError, UnicodeDecodeError) as error:
        section.problem(key, f"{path}: {getattr(error, 'strerror', None) or 'is not text'}")
        return None


def _new_context(tls: TlsSettings) -> ssl.SSLContext:
    """A context for new connections, still without the files of `tls`. It trusts the system's authorities or those."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = tls.min_version
    context.set_alpn_protocols(["http/1.1"])
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif tls.ca_file is None:
        context.load_default_certs()
    return context


def _load_files(context: ssl.SSLContext, tls: TlsSettings, section: Section) -> None:
    if tls.ca_file and (problem := load_authorities(context, tls.ca_file)):
        section.problem("ca_file", f"{tls.ca_file}: {problem}")
    if tls.cert_file and tls.key_file and (problem := load_certificate(context, tls.cert_file, tls.key_file)):
        section.problem("cert_file", f"{tls.cert_file} with key_file {tls.key_file}: {problem}")


def _read(path: Path) -> tuple[HttpConfig, Collection[Path]]:
    config = load(path)
    return config, config.files
