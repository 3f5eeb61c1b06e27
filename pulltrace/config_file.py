"""Configuration files in YAML, read strictly: unknown keys are refused, and all mistakes are named at once.

Messages name keys, paths and wrong choices. They never quote a line, because it may hold a password. Relative paths
start from the folder of the file.
"""

import re
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import yaml

from pulltrace.errors import ConfigError
from pulltrace.text import one_line

_T = TypeVar("_T")
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
TLS_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}


class ConfigFile:
    """One reading of a file. `files` are all that were read, the file itself first."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError when the file cannot be read or is not YAML."""
        self._path = path
        self._problems: dict[str, None] = {}
        self.files = [path]
        try:
            self._document = yaml.load(path.read_text("utf-8"), _StrictLoader)  # noqa: S506 - a SafeLoader
        except OSError as error:
            raise ConfigError([f"{path}: {error.strerror or error}"]) from error
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError([f"{path}: {_without_excerpt(error)}"]) from None
        except RecursionError:
            raise ConfigError([f"{path}: nested too deeply"]) from None

    def top(self, known: Iterable[str]) -> "Section":
        """The file's keys; an empty file has none. Others than the known ones are refused."""
        document = {} if self._document is None else self._document
        return Section(self, "", self.mapping(document, "the file") or {}, known)

    def mapping(self, value: object, where: str) -> Mapping[str, object] | None:
        """The value if it is a mapping of names; None, and a problem, otherwise."""
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return value
        hint = "; {} is one without any" if value is None else ""
        self.problem(f"{where}: not a mapping of names{hint}")
        return None

    def opened(self, value: object, where: str) -> Path | None:
        """The path of a file that can be read; None, and a problem, otherwise."""
        if not isinstance(value, str) or not value or "\0" in value:
            self.problem(f"{where}: needs a path")
            return None
        path = self._path.parent / value
        self.files.append(path)
        try:
            path.open("rb").close()
        except OSError as error:
            # OpenSSL's own message would not name the file.
            self.problem(f"{where}: {path}: {error.strerror or error}")
            return None
        return path

    def problem(self, text: str) -> None:
        """Say what is wrong."""
        self._problems[text] = None

    def check(self) -> None:
        """Raise ConfigError with all that is wrong, if anything is."""
        if self._problems:
            raise ConfigError(f"{self._path}: {problem}" for problem in self._problems)


class Section:
    """A mapping in the file. Its methods give a default, and note a problem, for a value that cannot be used."""

    def __init__(self, file: ConfigFile, name: str, values: Mapping[str, object], known: Iterable[str] | None) -> None:
        self._file = file
        self.prefix = f"{name}." if name else ""
        self.values = values
        for key in sorted(values.keys() - set(values if known is None else known)):
            self.problem(key, "not supported")

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def problem(self, key: str, text: str) -> None:
        """Say what is wrong with a key."""
        self._file.problem(f"{self.prefix}{key}: {text}")

    def section(self, key: str, known: Iterable[str] | None) -> "Section | None":
        """A mapping in this one; None where it is absent or is not a mapping. `known` None allows any key."""
        if key not in self.values:
            return None
        values = self._file.mapping(self.values[key], self.prefix + key)
        return None if values is None else Section(self._file, self.prefix + key, values, known)

    def choice(self, key: str, known: Mapping[str, _T], default: _T) -> _T:
        """The meaning of one of the known words; the default where it is absent."""
        value = self.values.get(key)
        if isinstance(value, str) and value in known:
            return known[value]
        if value is not None:
            self.problem(key, f"{value!r} is not one of {', '.join(known)}")
        return default

    def path(self, key: str) -> Path | None:
        """The path of a file that can be read."""
        return self._file.opened(self.values.get(key), self.prefix + key)


def load_certificate(context: ssl.SSLContext, certificate: Path, key: Path) -> str:
    """Read a certificate and its key into a context; returns what is wrong, on one line, or an empty text."""
    try:
        # Without `password` OpenSSL would ask the terminal for the passphrase of an encrypted key.
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        return one_line(error)
    return ""


def load_authorities(context: ssl.SSLContext, path: Path) -> str:
    """Read certificates of authorities into a context; returns what is wrong, on one line, or an empty text."""
    try:
        context.load_verify_locations(path)
    except (OSError, ValueError) as error:
        return one_line(error)
    return ""


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that is there twice, as Prometheus does. PyYAML alone would take the last one.

    A scalar without a value of its type, such as `2001-99-99`, is refused, too. PyYAML raises any error then.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        try:
            return super().construct_object(node, deep)
        except (AttributeError, LookupError, ValueError):
            problem = f"no value of the type {node.tag.rpartition(':')[2]}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{key} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _without_excerpt(error: Exception) -> str:
    """What is wrong with the YAML and where, but not the line itself."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return one_line(error)
    mark = error.problem_mark
    problem = _QUOTED.sub("'…'", error.problem or "is not YAML")
    return f"{problem}, line {mark.line + 1}, column {mark.column + 1}"
