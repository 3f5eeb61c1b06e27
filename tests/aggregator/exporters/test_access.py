"""How exporters are asked, and which files say so; when they are read again is tested with `pulltrace.reread`."""

import os
from pathlib import Path

import pytest

from pulltrace_aggregator.exporters.http_config import HttpAccess
from rig.pki import Authority
from rig.web import HurriedClock, put

pytestmark = pytest.mark.unit

CA = Authority()


def test_without_a_file_there_is_nothing_to_show() -> None:
    session = HttpAccess(None, HurriedClock()).current()
    assert (session.https, session.authorization, session.server_name) == (False, "", "")


@pytest.mark.parametrize("name", ["password", "ca.crt", "http.yml"])
def test_any_of_the_files_counts(tmp_path: Path, name: str) -> None:
    CA.write(tmp_path)
    (tmp_path / "password").write_text("one")
    basic = "basic_auth:\n  username: a\n  password_file: password\n"
    access = HttpAccess(put(tmp_path / "http.yml", f"tls_config:\n  ca_file: ca.crt\n{basic}"), HurriedClock())
    before = access.current(), access.context()
    assert (access.current(), access.context()) == before
    (tmp_path / name).write_text((tmp_path / name).read_text() + "\n")
    assert access.current() is not before[0]
    assert access.context() is not before[1]


def test_the_credentials_are_not_shown(tmp_path: Path) -> None:
    access = HttpAccess(put(tmp_path / "http.yml", "authorization:\n  credentials: geheim\n"), HurriedClock())
    assert "geheim" not in repr(access.current())
    assert os.fspath(tmp_path) not in repr(access.current())
