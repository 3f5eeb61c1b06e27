"""The file of --web.config.file: a part of the format of Prometheus' exporter-toolkit. Other keys are refused by name.

Format: https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

import re
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pulltrace.config_file import TLS_VERSIONS, ConfigFile, Section, load_authorities, load_certificate
from pulltrace.errors import ConfigError
from pulltrace.web.passwords import bcrypt_cost

_CLIENT_AUTH: Final = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_TLS_KEYS: Final = ("cert_file", "key_file", "client_ca_file", "client_auth_type", "min_version")
_BCRYPT_HASH: Final = re.compile(r"\$2[abxy]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}", re.ASCII)
# With a higher cost one check takes more than a second, and only one check runs at a time.
_MAX_BCRYPT_COST: Final = 14


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """`tls_server_config`; the paths are absolute or relative to the working directory."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None
    client_auth: ssl.VerifyMode
    min_version: ssl.TLSVersion


@dataclass(frozen=True, slots=True)
class WebSettings:
    """One web configuration, and all files that it is in.

    Without `tls` it is plain HTTP; without `users` there are no passwords.
    """

    tls: TlsSettings | None
    users: Mapping[str, bytes]
    files: Collection[Path]


def read_settings(path: Path) -> WebSettings:
    """Read the file; raises ConfigError with everything that is wrong. Certificates are only checked to be readable."""
    file = ConfigFile(path)
    top = file.top(("tls_server_config", "basic_auth_users"))
    # exporter-toolkit takes a section without anything in it for none.
    tls = top.section("tls_server_config", _TLS_KEYS) if top.values.get("tls_server_config") not in (None, {}) else None
    users = top.section("basic_auth_users", None) if top.values.get("basic_auth_users") is not None else None
    settings = WebSettings(_tls(tls) if tls else None, _users(users) if users else {}, file.files)
    file.check()
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
    problems = []
    if problem := load_certificate(context, tls.cert_file, tls.key_file):
        problems.append(f"cert_file {tls.cert_file} with key_file {tls.key_file}: {problem}")
    context.verify_mode = tls.client_auth
    if tls.client_ca_file and (problem := load_authorities(context, tls.client_ca_file)):
        problems.append(f"client_ca_file {tls.client_ca_file}: {problem}")
    if problems:
        raise ConfigError([f"{path}: tls_server_config.{problem}" for problem in problems])
    return context


def _tls(section: Section) -> TlsSettings | None:
    cert, key = section.path("cert_file"), section.path("key_file")
    client_ca = section.path("client_ca_file") if "client_ca_file" in section else None
    auth = section.choice("client_auth_type", _CLIENT_AUTH, ssl.CERT_NONE)
    version = section.choice("min_version", TLS_VERSIONS, ssl.TLSVersion.TLSv1_2)
    if auth != ssl.CERT_NONE and "client_ca_file" not in section:
        section.problem("client_auth_type", "needs client_ca_file")
    if auth == ssl.CERT_NONE and "client_ca_file" in section:
        section.problem("client_ca_file", "needs a client_auth_type that verifies")
    return TlsSettings(cert, key, client_ca, auth, version) if cert and key else None


def _users(section: Section) -> Mapping[str, bytes]:
    users = {}
    for name, hashed in section.values.items():
        if not name or ":" in name:
            section.problem(name, "a user name must not be empty or contain a colon")
        if not isinstance(hashed, str) or not _BCRYPT_HASH.fullmatch(hashed):
            section.problem(name, "not a bcrypt hash")
        elif bcrypt_cost(hashed.encode()) > _MAX_BCRYPT_COST:
            section.problem(name, f"the bcrypt cost is above {_MAX_BCRYPT_COST}")
        else:
            users[name] = hashed.encode()
    return users
