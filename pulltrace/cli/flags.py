"""Command line flags as a table: one list of `Flag` gives the parser, the environment, `--help` and a page.

A program declares each of its flags once, as an attribute of its `Settings`.

Flags have the form of Prometheus' own programs: `--name=value` or `--name value`, and `--name` or `--no-name` for a
switch. Each has an environment variable; the flag wins over it. All mistakes are reported at once, including those in
files that values name.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import chain
from typing import Any, ClassVar, Final, Generic, NamedTuple, Self, TypeVar, overload

from pulltrace.errors import ConfigError

T = TypeVar("T")

ENVIRONMENT_PREFIX: Final = "PULLTRACE_"
HELP: Final = ("-h", "--help")
VERSION: Final = "--version"

_SERVICE_LINK = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_|$)|_PORT$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_|$)")
"""Variables that Kubernetes sets in each container for every Service of its namespace, such as `pulltrace`."""


@dataclass(frozen=True, slots=True)
class Flag(Generic[T]):
    """One flag. `default` has the form in which a user writes it, and goes through `parse` like any value.

    `parse` raises ValueError with the text and what is wrong with it. `default_help` describes a default
    that is found at run time. As an attribute of `Settings` it is the flag on the class, its value on an instance.
    """

    name: str
    parse: Callable[[str], T]
    default: str
    help: str
    _: KW_ONLY
    metavar: str = "VALUE"
    repeated: bool = False
    switch: bool = False
    default_help: str = ""

    @overload
    def __get__(self, settings: None, owner: type) -> Self: ...
    @overload
    def __get__(self, settings: "Settings", owner: type) -> T: ...
    def __get__(self, settings: "Settings | None", owner: type) -> "Self | T":
        return self if settings is None else settings.values[self]

    def __set__(self, settings: "Settings", value: T) -> None:
        raise AttributeError(f"{self.option} is read once, at the start")

    @property
    def option(self) -> str:
        """The flag as typed, `--poll.interval`."""
        return f"--{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable, `PULLTRACE_POLL_INTERVAL`."""
        return ENVIRONMENT_PREFIX + self.name.upper().replace(".", "_").replace("-", "_")


def switch(name: str, default: bool, help_text: str) -> Flag[bool]:
    """A flag without a value: `--name` turns on, `--no-name` off."""
    return Flag(name, parse_bool, "true" if default else "false", help_text, switch=True)


def repeated(name: str, parse: Callable[[str], T], help_text: str, *, metavar: str) -> Flag[tuple[T, ...]]:
    """A flag that may be given several times. Its variable holds values separated by commas; by default it has none."""
    return Flag(name, lambda text: (parse(text),), "", help_text, metavar=metavar, repeated=True)


def parse_bool(text: str) -> bool:
    """True or False for `true` or `false`; raises ValueError."""
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text == "true"


class Given(NamedTuple):
    """A value as text and where it comes from: `--poll.interval` or `PULLTRACE_POLL_INTERVAL`."""

    source: str
    text: str


class WrongValueError(Exception):
    """A value is asked for that is wrong and reported already."""


class Values:
    """The parsed value of each flag of a table; asking for one that is wrong raises WrongValueError."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getitem__(self, flag: Flag[T]) -> T:
        """The value of a flag; of a repeated one all values, in order."""
        if flag.name not in self._values:
            raise WrongValueError(flag.name)
        value: T = self._values[flag.name]
        return value


Check = Callable[[Values], None]
"""Checks values further, such as the files that they name; raises ConfigError."""


class FlagTable:
    """The flags of one program, in the order of its help text."""

    def __init__(self, flags: Iterable[Flag[Any]]) -> None:
        self.flags = tuple(flags)
        self._forms = {form: (flag, text) for flag in self.flags for form, text in _forms(flag)}
        if len(self._forms) != sum(len(list(_forms(flag))) for flag in self.flags):
            raise ValueError("a flag is declared twice")

    def parse(self, argv: Sequence[str], environ: Mapping[str, str], *checks: Check) -> Values:
        """The values from flags, else environment, else defaults; raises ConfigError with every problem.

        That includes what `checks` find. A check that needs a wrong value is skipped. `--help` and `--version` are
        skipped as well: they are answered before anything is parsed.
        """
        given, problems = self._scan(argv)
        values: dict[str, Any] = {}
        for flag in self.flags:
            found = given.get(flag.name) or _from_environment(flag, environ)
            parsed, wrong = _parse_all(flag, found)
            if len(found) > 1 and not flag.repeated:
                wrong.insert(0, f"{found[1].source}: given more than once")
            if not wrong:
                values[flag.name] = tuple(chain.from_iterable(parsed)) if flag.repeated else parsed[0]
            problems += wrong
        taken = Values(values)
        problems += [problem for check in checks for problem in _complaints(check, taken)]
        if problems:
            raise ConfigError(problems)
        return taken

    def unknown_variables(self, environ: Mapping[str, str]) -> tuple[str, ...]:
        """Variables with our prefix that belong to no flag, for a warning.

        Those that Kubernetes sets for a Service named `pulltrace…` are left out.
        """
        known = {flag.variable for flag in self.flags}
        ours = (name for name in environ if name.startswith(ENVIRONMENT_PREFIX))
        return tuple(sorted(name for name in ours if name not in known and not _SERVICE_LINK.search(name)))

    def _scan(self, argv: Sequence[str]) -> tuple[dict[str, list[Given]], list[str]]:
        given: dict[str, list[Given]] = {}
        problems = []
        rest = list(argv)
        while rest:
            argument = rest.pop(0)
            if argument in HELP or argument == VERSION:
                continue
            try:
                flag, value = self._take(argument, rest)
            except _UsageError as error:
                problems.append(str(error))
            else:
                given.setdefault(flag.name, []).append(value)
        return given, problems

    def _take(self, argument: str, rest: list[str]) -> tuple[Flag[Any], Given]:
        """The flag and value that `argument` begins; a separate value is removed from `rest`."""
        form, equals, text = argument.partition("=")
        if not argument.startswith("-") or argument in ("-", "--"):
            raise _UsageError(f"unexpected argument {argument!r}")
        if form not in self._forms:
            _drop_value(equals, rest)
            raise _UsageError(f"unknown flag {_shown(form)}{self._suggestion(form)}")
        flag, switched = self._forms[form]
        if flag.switch:
            if equals:
                raise _UsageError(f"{form}: takes no value, use {flag.option} or --no-{flag.name}")
            return flag, Given(form, switched)
        if not equals:
            text = _next_value(form, rest)
        return flag, Given(form, text)

    def _suggestion(self, form: str) -> str:
        near = difflib.get_close_matches(form, [*self._forms, *HELP, VERSION], n=1)
        return f", did you mean {near[0]}?" if near else ""


class Settings:
    """The values of a program's flags.

    A subclass declares each flag once, as an attribute, and names its program and what that does. The flags of its base
    come after its own.
    """

    program: ClassVar[str]
    summary: ClassVar[str]
    table: ClassVar[FlagTable]

    def __init_subclass__(cls) -> None:
        declared = chain.from_iterable(vars(each).values() for each in cls.__mro__)
        cls.table = FlagTable(flag for flag in declared if isinstance(flag, Flag))

    def __init__(self, values: Values) -> None:
        self.values = values

    @classmethod
    def from_argv(cls, argv: Sequence[str], environ: Mapping[str, str], *checks: Check) -> Self:
        """The settings from flags, environment and defaults; raises ConfigError with every problem.

        `checks` check more than the text of the values.
        """
        return cls(cls.table.parse(argv, environ, *checks))


class _UsageError(Exception):
    """One argument that is wrong."""


def _forms(flag: Flag[Any]) -> Iterable[tuple[str, str]]:
    """The ways to type a flag, each with the value that it stands for."""
    yield flag.option, "true"
    if flag.switch:
        yield f"--no-{flag.name}", "false"


def _shown(form: str) -> str:
    return form if form.isprintable() else repr(form)


def _next_value(form: str, rest: list[str]) -> str:
    if not rest or _is_option(rest[0]):
        raise _UsageError(f"{form}: a value is missing")
    return rest.pop(0)


def _drop_value(equals: str, rest: list[str]) -> None:
    """The argument after an unknown flag is most likely its value, so both are one problem."""
    if not equals and rest and not _is_option(rest[0]):
        rest.pop(0)


def _is_option(argument: str) -> bool:
    """Whether an argument is a flag, and not the value of the flag before it. `--flag=--value` gives such a value."""
    return argument.startswith("--") or argument in HELP


def _from_environment(flag: Flag[Any], environ: Mapping[str, str]) -> list[Given]:
    if flag.variable not in environ:
        return []
    text = environ[flag.variable]
    texts = [part.strip() for part in text.split(",") if part.strip()] if flag.repeated else [text]
    return [Given(flag.variable, part) for part in texts]


def _complaints(check: Check, values: Values) -> tuple[str, ...]:
    try:
        check(values)
    except WrongValueError:
        return ()
    except ConfigError as error:
        return error.problems
    return ()


def _parse_all(flag: Flag[Any], found: Sequence[Given]) -> tuple[list[Any], list[str]]:
    if not found:
        return ([] if flag.repeated else [flag.parse(flag.default)]), []
    values, problems = [], []
    for given in found:
        try:
            values.append(flag.parse(given.text))
        except ValueError as error:
            problems.append(f"{given.source}: {error}")
    return values, problems
