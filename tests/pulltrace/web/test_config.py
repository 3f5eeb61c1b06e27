"""The file of --web.config.file: what it may hold, what is said of the rest, and which files it depends on."""

import ssl
from pathlib import Path

import bcrypt
import pytest

from pulltrace.errors import ConfigError
from pulltrace.web.config import read_settings
from pulltrace.web.live import WebConfig
from pulltrace.web.passwords import Passwords
from rig.pki import Authority
from rig.web import MUTUAL_TLS, TLS, HurriedClock, basic, hashed, put

pytestmark = pytest.mark.unit

HASH = hashed("secret")
CA = Authority()
CLIENT_AUTH_TYPES = "NoClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    CA.write(tmp_path)
    CA.issue().write(tmp_path, "server")
    return tmp_path


def written(folder: Path, text: str) -> Path:
    return put(folder / "web.yml", text)


def problems(path: Path) -> list[str]:
    """What is wrong when the program starts with this file, less the file's name, which each has to begin with."""
    with pytest.raises(ConfigError) as raised:
        WebConfig(path, HurriedClock())
    assert all(problem.startswith(f"{path}: ") for problem in raised.value.problems)
    return [problem.removeprefix(f"{path}: ") for problem in raised.value.problems]


def test_all_that_can_be_set_is_read(folder: Path) -> None:
    settings = read_settings(
        written(
            folder,
            f"{TLS}  client_ca_file: {folder}/ca.crt\n  client_auth_type: RequireAndVerifyClientCert\n"
            f"  min_version: TLS13\nbasic_auth_users:\n  prometheus: {HASH}\n",
        )
    )
    assert settings.tls is not None
    assert settings.tls.cert_file == folder / "server.crt"
    assert settings.tls.client_ca_file == folder / "ca.crt"
    assert settings.tls.client_auth == ssl.CERT_REQUIRED
    assert settings.tls.min_version == ssl.TLSVersion.TLSv1_3
    assert settings.users == {"prometheus": HASH.encode()}


def test_defaults_are_those_of_exporter_toolkit(folder: Path) -> None:
    security = WebConfig(written(folder, TLS), HurriedClock()).current()
    assert security.tls is not None
    assert security.tls.verify_mode == ssl.CERT_NONE
    assert security.tls.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "tls_server_config:\n", "tls_server_config: {}\nbasic_auth_users: {}\n"]
)
def test_an_empty_file_asks_for_nothing(folder: Path, text: str) -> None:
    security = WebConfig(written(folder, text), HurriedClock()).current()
    assert security.tls is None
    assert security.passwords.remembers(None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http_server_config: {http2: false}\nrate_limit: {}\n",
         ["http_server_config: not supported", "rate_limit: not supported"]),
        (TLS + "  max_version: TLS13\n  cipher_suites: []\n",
         ["tls_server_config.cipher_suites: not supported", "tls_server_config.max_version: not supported"]),
        (TLS + "  min_version: TLS10\n", ["tls_server_config.min_version: 'TLS10' is not one of TLS12, TLS13"]),
        (TLS + "  client_auth_type: RequireAnyClientCert\n  client_ca_file: ca.crt\n",
         ["tls_server_config.client_auth_type: 'RequireAnyClientCert' is not one of " + CLIENT_AUTH_TYPES,
          "tls_server_config.client_ca_file: needs a client_auth_type that verifies"]),
        (TLS + "  client_auth_type: VerifyClientCertIfGiven\n",
         ["tls_server_config.client_auth_type: needs client_ca_file"]),
        (TLS + "  client_ca_file: ca.crt\n",
         ["tls_server_config.client_ca_file: needs a client_auth_type that verifies"]),
        ("tls_server_config: {cert_file: server.crt}\n", ["tls_server_config.key_file: needs a path"]),
        ("tls_server_config: {cert_file: 1, key_file: ''}\n",
         ["tls_server_config.cert_file: needs a path", "tls_server_config.key_file: needs a path"]),
        ("basic_auth_users: {a: plain, b: 5, '': $2y$10$, 'c:d': x}\n",
         ["basic_auth_users.a: not a bcrypt hash", "basic_auth_users.b: not a bcrypt hash",
          "basic_auth_users.: a user name must not be empty or contain a colon", "basic_auth_users.: not a bcrypt hash",
          "basic_auth_users.c:d: a user name must not be empty or contain a colon",
          "basic_auth_users.c:d: not a bcrypt hash"]),
        (f"basic_auth_users: {{a: '{HASH.replace('$04$', '$15$')}'}}\n",
         ["basic_auth_users.a: the bcrypt cost is above 14"]),
        ("basic_auth_users: [a]\ntls_server_config: yes\n",
         ["tls_server_config: not a mapping of names", "basic_auth_users: not a mapping of names"]),
        ("- a\n", ["the file: not a mapping of names"]),
        ("basic_auth_users: {1: x}\n", ["basic_auth_users: not a mapping of names"]),
    ],
    ids=lambda value: "file" if isinstance(value, str) else "problems",  # a hash has another salt in each process
)  # fmt: skip
def test_all_faults_are_named_at_once(folder: Path, text: str, expected: list[str]) -> None:
    assert problems(written(folder, text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: {b", "line 1"),
        ("basic_auth_users: {a: x, a: y}\n", "a is there twice"),
        ("? [a]\n: b\n", "unhashable"),
        ("a: !!python/object/apply:os.getpid []\n", "could not determine a constructor"),
        ("a: \x00\n", "unacceptable character"),
        ("a:\n  b: 2001-99-99\n", "no value of the type timestamp, line 2, column 6"),
        ("a: 0x_\n", "no value of the type int"),
        ("a: !!int ''\n", "no value of the type int"),
        ("a: !!bool maybe\n", "no value of the type bool"),
        ("a: !!timestamp soon\n", "no value of the type timestamp"),
        (f"a: {'9' * 5000}\n", "no value of the type int"),
        ("[" * 3000, "nested too deeply"),
    ],
)
def test_broken_yaml_is_reported_in_one_line(folder: Path, text: str, expected: str) -> None:
    (problem,) = problems(written(folder, text))
    assert expected in problem
    assert "\n" not in problem


def test_a_file_that_is_no_text_is_said(folder: Path) -> None:
    path = folder / "web.yml"
    path.write_bytes(b"\xff\xfe\xfa")
    (problem,) = problems(path)
    assert "codec can't decode" in problem


def test_files_that_cannot_be_read_are_all_named(folder: Path) -> None:
    assert problems(folder / "absent.yml") == ["No such file or directory"]
    files = "cert_file: a.crt, key_file: '.', client_ca_file: b.crt, client_auth_type: VerifyClientCertIfGiven"
    assert problems(written(folder, f"tls_server_config: {{{files}}}")) == [
        f"tls_server_config.cert_file: {folder}/a.crt: No such file or directory",
        f"tls_server_config.key_file: {folder}: Is a directory",
        f"tls_server_config.client_ca_file: {folder}/b.crt: No such file or directory",
    ]


def test_a_key_of_another_certificate_is_said(folder: Path) -> None:
    (folder / "server.key").write_bytes(CA.issue().key)
    (problem,) = problems(written(folder, TLS))
    files = f"cert_file {folder}/server.crt with key_file {folder}/server.key"
    assert problem.startswith(f"tls_server_config.{files}: [X509: KEY_VALUES_MISMATCH]")


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_passphrase(folder: Path) -> None:
    CA.issue(passphrase=b"hush").write(folder, "server")
    (problem,) = problems(written(folder, TLS))
    assert "server.key: " in problem


def test_a_client_ca_without_certificates_is_said(folder: Path) -> None:
    (folder / "ca.crt").write_text("nothing\n")
    (problem,) = problems(written(folder, MUTUAL_TLS))
    assert problem.startswith(f"tls_server_config.client_ca_file {folder}/ca.crt: ")


@pytest.mark.parametrize("name", ["web.yml", "server.crt", "server.key"])
def test_a_change_of_any_file_is_noticed(folder: Path, name: str) -> None:
    config = WebConfig(written(folder, TLS), HurriedClock())
    before = config.current()
    put(folder / name, (folder / name).read_text())
    assert config.current() is not before


def header(user: str, password: str) -> str:
    return basic(user, password)["Authorization"]


def test_a_password_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Passwords({"a": HASH.encode()})
    right = header("a", "secret")
    assert not passwords.remembers(right)
    assert passwords.verify(right)
    monkeypatch.delattr(bcrypt, "checkpw")
    assert passwords.remembers(right)
    assert not passwords.remembers(header("a", "wrong"))
    assert not passwords.remembers(header("b", "secret"))


def test_a_password_is_not_kept_in_clear() -> None:
    passwords = Passwords({"a": HASH.encode()})
    assert passwords.verify(header("a", "secret"))
    assert "secret" not in repr(vars(passwords))


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Basic", "Basic !", "Basic YQ==", "Bearer secret", header("a", ""), header("a", "secret2"),
     header("a", "secret\0"), header("", "secret"), header("b", "secret"), "Basic " + "A" * 4000, "Basic é"],
)  # fmt: skip
def test_whoever_does_not_know_the_password_stays_outside(authorization: str | None) -> None:
    passwords = Passwords({"a": HASH.encode()})
    assert not passwords.remembers(authorization)
    assert not passwords.verify(authorization)
    assert not passwords.remembers(authorization)


def test_an_unknown_user_costs_as_much_as_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    costly = hashed("other", cost=6).encode()

    def checkpw(_password: bytes, stored: bytes) -> bool:
        asked.append(stored)
        return True

    asked: list[bytes] = []
    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    passwords = Passwords({"a": HASH.encode(), "b": costly})
    assert not passwords.verify(header("c", "secret"))
    assert asked == [costly]


def test_a_password_that_bcrypt_refuses_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def checkpw(_password: bytes, _stored: bytes) -> bool:
        raise ValueError

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    assert not Passwords({"a": HASH.encode()}).verify(header("a", "secret"))


def test_a_long_password_counts_as_far_as_bcrypt_reads() -> None:
    passwords = Passwords({"a": hashed("x" * 72).encode()})
    assert passwords.verify(header("a", "x" * 100))
    assert passwords.remembers(header("a", "x" * 72))
