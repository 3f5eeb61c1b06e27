"""`kubectl_complete-pulltrace`: kubectl asks it for completions, whatever the shell.

kubectl runs it with the words so far and the one to be completed. The answer has cobra's form: a candidate on each
line, its meaning after a tab, and a directive on the last line.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from pulltrace_kubectl.arguments import KINDS, PASSED_VALUES, parser
from pulltrace_kubectl.errors import ClientError
from pulltrace_kubectl.sources.kubectl import Kubectl

NO_FILES: Final = ":4"
FILES: Final = ":0"
_TIMEOUT: Final = 3.0
_NAMES: Final = ("--output", "jsonpath={range .items[*]}{.metadata.name}{'\\n'}{end}")
_CONTEXT: Final = ("--context", "--kubeconfig", "--cluster", "--namespace", "-n")
_FILE_FLAGS: Final = ("--kubeconfig", "--ca-file", "--cert-file", "--key-file", "--password-file")

List = Callable[..., list[str]]
"""Names of the objects that `kubectl get` with these words finds."""


def main(argv: Sequence[str]) -> int:
    """Print the completions of the last argument; always status 0, a shell shows no errors."""
    *before, word = argv or [""]
    found, directive = complete(before, word, _listing(before))
    sys.stdout.write("".join(f"{each}\n" for each in found) + directive + "\n")
    return 0


def complete(before: Sequence[str], word: str, names: List) -> tuple[list[str], str]:
    """The candidates for `word` after the words `before`, and whether the shell may offer files instead."""
    flag = before[-1] if before else ""
    if word.startswith("-") and "=" in word:
        flag, _, value = word.partition("=")
        found, directive = _values(flag, value, names)
        return [f"{flag}={each}" for each in found], directive
    if _takes_value(flag):
        return _values(flag, word, names)
    if word.startswith("-"):
        return sorted(each for each in _flags() if each.startswith(word)), NO_FILES
    return _objects(_positional(before), word, names), NO_FILES


def _objects(positional: Sequence[str], word: str, names: List) -> list[str]:
    """Names of what can be shown."""
    if positional[:1] in (["node"], ["nodes"]):
        return _starting(names("nodes"), word) if len(positional) == 1 else []
    if positional[:1] == ["images"]:
        return []
    if positional and positional[0] in KINDS:
        return _starting(names(KINDS[positional[0]]), word)
    kind, slash, _ = word.partition("/")
    if slash:
        known = KINDS.get(kind) or ("node" if kind == "node" else "")
        return _starting((f"{kind}/{name}" for name in names(known)), word) if known else []
    subjects = ("node\tpulls of a node", "images\teach image with its nodes") if not positional else ()
    kinds = ("deploy/", "statefulset/", "daemonset/", "job/")
    return [*_starting(names("pods"), word), *_starting(subjects, word), *(_starting(kinds, word) if word else ())]


def _values(flag: str, word: str, names: List) -> tuple[list[str], str]:
    match flag:
        case "-o" | "--output":
            return _starting(("json", "name", "wide", "yaml"), word), NO_FILES
        case "-n" | "--namespace":
            return _starting(names("namespaces"), word), NO_FILES
        case "--context":
            return _starting(names("contexts"), word), NO_FILES
    return [], FILES if flag in _FILE_FLAGS else NO_FILES


def _takes_value(word: str) -> bool:
    flags = {text for action in parser()._actions if action.nargs is None for text in action.option_strings}  # noqa: SLF001
    return word in flags


def _flags() -> set[str]:
    shown = {text for action in parser()._actions for text in action.option_strings if text.startswith("--")}  # noqa: SLF001
    return shown - {f"--{name}" for name in PASSED_VALUES if name not in ("context", "kubeconfig", "as")}


def _positional(before: Sequence[str]) -> list[str]:
    found = []
    skip = False
    for each in before:
        if skip:
            skip = False
        elif each.startswith("-"):
            skip = "=" not in each and _takes_value(each)
        else:
            found.append(each)
    return found


def _starting(candidates: Iterable[str], word: str) -> list[str]:
    return [each for each in candidates if each.startswith(word)]


def _listing(before: Sequence[str]) -> List:
    """Asks kubectl in the context that the words so far name."""
    flags = [
        text
        for index, each in enumerate(before)
        for text in ([each] if each.partition("=")[0] in _CONTEXT else [])
        + ([before[index + 1]] if each in _CONTEXT and index + 1 < len(before) else [])
    ]
    kubectl = Kubectl((*flags, f"--request-timeout={_TIMEOUT:.0f}s"), _TIMEOUT)

    def names(what: str) -> list[str]:
        words = ("config", "get-contexts", "--output", "name") if what == "contexts" else ("get", what, *_NAMES)
        try:
            return kubectl.text(*words).split()
        except ClientError:
            return []

    return names
