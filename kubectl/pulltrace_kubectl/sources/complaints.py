"""What kubectl complains of, as an error that says what is wrong and what to do."""

import re
from collections.abc import Sequence
from typing import Final

from pulltrace.text import presentable
from pulltrace_kubectl.errors import ClientError, Forbidden, NotFound, Unanswered

_SERVER: Final = re.compile(r"Error from server(?: \((?P<reason>\w+)\))?: (?P<message>.*)")
_CANNOT: Final = re.compile(
    r'cannot (?P<verb>\S+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]+)")?'
)
_CREDENTIALS: Final = ("You must be logged in", "has asked for the client to provide credentials", "Unauthorized")
_UNREACHABLE: Final = ("Unable to connect to the server", "The connection to the server", "context deadline exceeded")


class CredentialsWanted(Unanswered):
    """Status 401, of the API server or of a program behind its proxy."""


def from_kubectl(stderr: str, words: Sequence[str]) -> ClientError:
    """The error that kubectl's standard error tells of."""
    line = _essence(stderr)
    found = _SERVER.search(line)
    message = found["message"] if found else line.removeprefix("error: ")
    if found and found["reason"] == "Forbidden":
        return _forbidden(message)
    if found and found["reason"] == "NotFound":
        return NotFound(message)
    if any(words_ in line for words_ in _CREDENTIALS):
        return CredentialsWanted(message, "log in to the cluster, as for any other kubectl command")
    if any(words_ in line for words_ in _UNREACHABLE):
        return Unanswered(message, "see whether 'kubectl version' answers; --context chooses another cluster")
    return Unanswered(message or f"kubectl {words[0]} failed and said nothing")


def _essence(stderr: str) -> str:
    """The last line that is a message; those before it are client-go's log."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    told = [line for line in lines if _SERVER.search(line) or line.startswith("error:")]
    return presentable((told or lines or [""])[-1])


def _forbidden(message: str) -> Forbidden:
    found = _CANNOT.search(message)
    if not found:
        return Forbidden(message, "ask for the chart's viewer role (rbac.viewer)")
    resource = found["resource"] + (f".{found['group']}" if found["group"] else "")
    where = f"in namespace {found['namespace']}" if found["namespace"] else "in all namespaces"
    kind = "Role" if found["namespace"] else "ClusterRole"
    return Forbidden(
        f"you may not {found['verb']} {resource} {where}",
        f"a {kind} with the verb {found['verb']} on {resource} gives the right, as the chart's does"
        " (rbac.viewer.create=true)",
    )
