"""The file of --exporter.http-config.file: what it may hold, and what is said of the rest."""

import base64
import ssl
from pathlib import Path

import pytest

from pulltrace.errors import ConfigError
from pulltrace_aggregator.exporters.http_config import HttpConfig, load
from rig.pki import Authority
from rig.web import put

pytestmark = pytest.mark.unit

CA = Authority()
CLIENT = CA.issue("aggregator")
LOCKED = CA.issue("locked", passphrase=b"secret")
MISSING = "No such file or directory"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    CA.write(tmp_path)
    CLIENT.write(tmp_path, "client")
    LOCKED.write(tmp_path, "locked")
    (tmp_path / "password").write_text(" swordfish\n")
    (tmp_path / "user").write_text("aggregator\n")
    (tmp_path / "token").write_text("\teyJhbGciOi.J9\n")
    return tmp_path


def read(folder: Path, text: str) -> HttpConfig:
    return load(put(folder / "http.yml", text))


def problems(folder: Path, text: str) -> list[str]:
    """What is wrong with the file, less its name, which each problem has to begin with."""
    path = folder / "http.yml"
    with pytest.raises(ConfigError) as raised:
        read(folder, text)
    assert all(problem.startswith(f"{path}: ") for problem in raised.value.problems)
    return [problem.removeprefix(f"{path}: ") for problem in raised.value.problems]


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_tls_is_read(folder: Path) -> None:
    config = read(
        folder,
        "tls_config:\n  ca_file: ca.crt\n  cert_file: client.crt\n  key_file: client.key\n"
        "  server_name: exporter.example\n  insecure_skip_verify: false\n  min_version: TLS13\n",
    )
    assert config.tls is not None
    assert config.context is not None
    assert config.tls.ca_file == folder / "ca.crt"
    assert config.tls.server_name == "exporter.example"
    assert config.context.minimum_version == ssl.TLSVersion.TLSv1_3
    assert config.context.verify_mode == ssl.CERT_REQUIRED
    assert config.context.check_hostname
    # Only the authority that is named is trusted, not the system's beside it.
    assert config.context.cert_store_stats()["x509_ca"] == 1
    assert config.files == (folder / "http.yml", folder / "ca.crt", folder / "client.crt", folder / "client.key")
    assert config.authorization == ""


def test_tls_without_particulars_verifies(folder: Path) -> None:
    config = read(folder, "tls_config: {}\n")
    assert config.tls is not None
    assert config.context is not None
    assert config.context.verify_mode == ssl.CERT_REQUIRED
    assert config.context.check_hostname
    assert config.context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_verification_can_be_turned_off(folder: Path) -> None:
    config = read(folder, "tls_config:\n  insecure_skip_verify: true\n")
    assert config.context is not None
    assert config.context.verify_mode == ssl.CERT_NONE
    assert not config.context.check_hostname


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("basic_auth: {username: me, password: 'pass:word'}", basic("me:pass:word")),
        ("basic_auth: {username: me, password: ''}", basic("me:")),
        ("basic_auth: {username: ärger, password: grün}", basic("ärger:grün")),
        ("basic_auth: {username_file: user, password_file: password}", basic("aggregator:swordfish")),
        ("authorization: {credentials: abc}", "Bearer abc"),
        ("authorization: {credentials_file: token}", "Bearer eyJhbGciOi.J9"),
        ("authorization: {type: Token, credentials: two words}", "Token two words"),
    ],
)
def test_credentials(folder: Path, text: str, header: str) -> None:
    config = read(folder, text)
    assert config.authorization == header
    assert config.tls is None
    assert config.context is None


def test_files_that_hold_credentials_are_told(folder: Path) -> None:
    config = read(folder, f"basic_auth: {{username_file: user, password_file: {folder}/password}}")
    assert config.files == (folder / "http.yml", folder / "user", folder / "password")


def test_secrets_are_not_shown(folder: Path) -> None:
    assert "swordfish" not in repr(read(folder, "basic_auth: {username: me, password: swordfish}"))
    assert "Basic" not in repr(read(folder, "basic_auth: {username: me, password: swordfish}"))


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}\n"])
def test_an_empty_file_asks_for_nothing(folder: Path, text: str) -> None:
    config = read(folder, text)
    assert (config.tls, config.context, config.authorization) == (None, None, "")


NOT_A_MAPPING = "not a mapping of names"
ONE_NEEDED = "one of them is needed"
ONLY_ONE = "only one of them can be used"
NO_HEADER = "empty, or with characters that a header cannot hold"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- a\n", f"the file: {NOT_A_MAPPING}"),
        ("1: 2\n", f"the file: {NOT_A_MAPPING}"),
        ("proxy_url: http://proxy\n", "proxy_url: not supported"),
        ("tls_config:\n", f"tls_config: {NOT_A_MAPPING}; {{}} is one without any"),
        ("tls_config: [a]\n", f"tls_config: {NOT_A_MAPPING}"),
        ("tls_config:\n  ca: |\n    PEM\n", "tls_config.ca: not supported"),
        ("tls_config: {max_version: TLS13}", "tls_config.max_version: not supported"),
        ("tls_config: {cert_file: client.crt}", "tls_config.cert_file: needs key_file"),
        ("tls_config: {key_file: client.key}", "tls_config.key_file: needs cert_file"),
        ("tls_config: {ca_file: ''}", "tls_config.ca_file: needs a path"),
        ("tls_config: {ca_file: 3}", "tls_config.ca_file: needs a path"),
        ("tls_config: {ca_file: none.crt}", f"tls_config.ca_file: FOLDER/none.crt: {MISSING}"),
        ("tls_config: {ca_file: .}", "tls_config.ca_file: FOLDER: Is a directory"),
        ("tls_config: {server_name: 5}", "tls_config.server_name: 5 is not a server name"),
        ("tls_config: {server_name: a b}", "tls_config.server_name: 'a b' is not a server name"),
        (
            "tls_config: {insecure_skip_verify: 'yes'}",
            "tls_config.insecure_skip_verify: 'yes' is neither true nor false",
        ),
        ("tls_config: {min_version: TLS10}", "tls_config.min_version: 'TLS10' is not one of TLS12, TLS13"),
        ("tls_config: {min_version: 1.2}", "tls_config.min_version: 1.2 is not one of TLS12, TLS13"),
        ("basic_auth: {}\n", f"basic_auth.username and basic_auth.username_file: {ONE_NEEDED}"),
        ("basic_auth: {username: a}", f"basic_auth.password and basic_auth.password_file: {ONE_NEEDED}"),
        (
            "basic_auth: {username: a, password: b, password_file: password}",
            f"basic_auth.password and basic_auth.password_file: {ONLY_ONE}",
        ),
        (
            "basic_auth: {username: 'a:b', password: c}",
            "basic_auth.username: a user name must not contain a colon or control characters",
        ),
        ("basic_auth: {username: a, password: 12}", "basic_auth.password: is not text, write it in quotes"),
        ("basic_auth: {username: a, password_file: none}", f"basic_auth.password_file: FOLDER/none: {MISSING}"),
        ("basic_auth: {username: a, password: b, realm: c}", "basic_auth.realm: not supported"),
        ("authorization: {}\n", f"authorization.credentials and authorization.credentials_file: {ONE_NEEDED}"),
        ("authorization: {type: Basic, credentials: a}", "authorization.type: use basic_auth for Basic"),
        (
            "authorization: {type: Bear er, credentials: a}",
            "authorization.type: 'Bear er' is not an authentication scheme",
        ),
        ('authorization: {credentials: "geheim\\r\\nX: y"}', f"authorization.credentials: {NO_HEADER}"),
        ("authorization: {credentials: ''}", f"authorization.credentials: {NO_HEADER}"),
        (
            "authorization: {credentials: a}\nbasic_auth: {username: a, password: b}",
            f"basic_auth and authorization: {ONLY_ONE}",
        ),
        ("basic_auth:\n  username: a\n  username: b\n", "username is there twice, line 2, column 3"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, text: str, problem: str) -> None:
    assert problem.replace("FOLDER", str(folder)) in problems(folder, text)


def test_everything_wrong_is_named_at_once(folder: Path) -> None:
    text = (
        "tls_config:\n  ca_file: token\n  cert_file: none.crt\n  min_version: SSL3\n  curves: x\n"
        "basic_auth:\n  password: a\nauthorization:\n  type: Basic\n  credentials_file: none\nnonsense: 1\n"
    )
    found = problems(folder, text)
    assert found.pop(6).startswith(f"tls_config.ca_file: {folder}/token: ")
    assert found == [
        "nonsense: not supported",
        "basic_auth and authorization: only one of them can be used",
        "tls_config.curves: not supported",
        f"tls_config.cert_file: {folder}/none.crt: {MISSING}",
        "tls_config.cert_file: needs key_file",
        "tls_config.min_version: 'SSL3' is not one of TLS12, TLS13",
        "basic_auth.username and basic_auth.username_file: one of them is needed",
        "authorization.type: use basic_auth for Basic",
        f"authorization.credentials_file: {folder}/none: {MISSING}",
    ]


def test_certificates_that_are_none_are_named(folder: Path) -> None:
    both = problems(folder, "tls_config:\n  ca_file: token\n  cert_file: client.crt\n  key_file: locked.key\n")
    assert [problem.split(" ")[0] for problem in both] == ["tls_config.ca_file:", "tls_config.cert_file:"]
    assert f"{folder}/locked.key" in both[1]


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ConfigError) as raised:
        load(Path("/nonexistent/http.yml"))
    assert raised.value.problems == (f"/nonexistent/http.yml: {MISSING}",)


@pytest.mark.parametrize(
    "text",
    [
        "basic_auth:\n  username: a\n  password: geheim: x\n",
        "basic_auth:\n  username: a\n  password: *geheim\n",
        "basic_auth:\n  username: a\n  password: !geheim x\n",
        "basic_auth:\n  username: a\n  password: 'geheim\n",
        "basic_auth:\n\tpassword: geheim\n",
    ],
)
def test_a_file_that_is_no_yaml_is_told_without_what_it_holds(folder: Path, text: str) -> None:
    (problem,) = problems(folder, text)
    assert ", line " in problem
    assert "geheim" not in problem


def test_a_file_that_is_no_text(folder: Path) -> None:
    (folder / "password").write_bytes(b"\xff\xfe\x00")
    text = "basic_auth:\n  username: a\n  password_file: password\n"
    assert problems(folder, text) == [f"basic_auth.password_file: {folder}/password: is not text"]
    (folder / "http.yml").write_bytes(b"\xff")
    with pytest.raises(ConfigError):
        load(folder / "http.yml")
