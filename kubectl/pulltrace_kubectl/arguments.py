"""The command line: kubectl's own flags where kubectl has them, read into Options."""

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from pulltrace import __version__
from pulltrace.units import parse_duration
from pulltrace_kubectl.errors import UsageError
from pulltrace_kubectl.model.options import Access, Options, Output, Target, View

SERVICE_VARIABLE: Final = "PULLTRACE_SERVICE"
HELP_HINT: Final = "see 'kubectl pulltrace --help'"
KINDS: Final[Mapping[str, str]] = {
    "pod": "pod", "pods": "pod", "po": "pod",
    "deployment": "deployment", "deployments": "deployment", "deploy": "deployment",
    "statefulset": "statefulset", "statefulsets": "statefulset", "sts": "statefulset",
    "daemonset": "daemonset", "daemonsets": "daemonset", "ds": "daemonset",
    "replicaset": "replicaset", "replicasets": "replicaset", "rs": "replicaset",
    "job": "job", "jobs": "job",
}  # fmt: skip
PASSED_VALUES: Final = (
    "context", "cluster", "kubeconfig", "as", "as-group", "as-uid", "server", "token", "tls-server-name",
    "certificate-authority", "client-certificate", "client-key", "cache-dir",
)  # fmt: skip
PASSED_SWITCHES: Final = ("insecure-skip-tls-verify", "disable-compression")

_EXAMPLES: Final = """\
examples:
  kubectl pulltrace                        what waits in this namespace, the longest first
  kubectl pulltrace -A -w                  in all namespaces, redrawn in place
  kubectl pulltrace web-7d9f               the images of one pod, with their layers
  kubectl pulltrace deploy/web --wait      until all its images are there, for pipelines
  kubectl pulltrace node node-1            what a node pulls, and what waits in line there
  kubectl pulltrace images                 each image with the nodes that wait for it

kubectl's flags work as everywhere: --context, --kubeconfig, --as and others.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, HELP_HINT)


def parse(argv: Sequence[str], environment: Mapping[str, str] = os.environ) -> Options:
    """The options that the arguments mean; raises UsageError. `--help` and `--version` end the program."""
    given = parser().parse_intermixed_args(argv)
    view, targets, names = _what(given.target)
    if given.selector and targets:
        raise UsageError("-l selects pods by labels, and so no name can be given beside it", HELP_HINT)
    if given.selector:
        view = View.PODS
    options = Options(
        view=view,
        targets=targets,
        names=names,
        selector=given.selector,
        namespace=given.namespace,
        all_namespaces=given.all_namespaces,
        output=Output(given.output),
        headers=not given.no_headers,
        watch=given.watch,
        wait=given.wait,
        wait_timeout=_duration("--timeout", given.timeout),
        access=_access(given, environment),
    )
    _check(options, given)
    return options


def parser() -> argparse.ArgumentParser:
    """The parser, whose help is the reference."""
    made = _Parser(
        prog="kubectl pulltrace",
        description="How far the images of pods are, and what they wait for.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("target", nargs="*", metavar="POD | KIND/NAME | node NODE | images", help="what to show")
    _add_output(made)
    _add_access(made)
    made.add_argument("--version", action="version", version=f"kubectl-pulltrace {__version__}")
    return made


def _add_output(made: argparse.ArgumentParser) -> None:
    made.add_argument("-n", "--namespace", default="", help="the namespace; that of the context if not given")
    made.add_argument("-A", "--all-namespaces", action="store_true", help="all namespaces")
    made.add_argument("-l", "--selector", default="", metavar="LABELS", help="the pods with these labels")
    forms = [form.value for form in Output if form]
    made.add_argument("-o", "--output", default="", choices=forms, help="the form: %(choices)s")
    made.add_argument("--no-headers", action="store_true", help="no heading above columns")
    made.add_argument("-w", "--watch", action="store_true", help="go on, redrawn in place, until Ctrl-C")
    made.add_argument("--wait", action="store_true", help="until all images are there; status 1 when one will not come")
    made.add_argument("--timeout", default="10m", metavar="TIME", help="how long to --wait (default %(default)s)")


def _add_access(made: argparse.ArgumentParser) -> None:
    through = made.add_argument_group("through the API server")
    through.add_argument("--service", default="", metavar="NAMESPACE/NAME", help="the aggregator's Service")
    through.add_argument("--request-timeout", default="", metavar="TIME", help="how long one request may take")
    for name in PASSED_VALUES:
        short = ("-s",) if name == "server" else ()
        through.add_argument(*short, f"--{name}", metavar="VALUE", action="append", help=argparse.SUPPRESS)
    for name in PASSED_SWITCHES:
        through.add_argument(f"--{name}", action="store_true", help=argparse.SUPPRESS)
    direct = made.add_argument_group("directly")
    direct.add_argument("--url", action="append", default=[], help="an aggregator or exporter; may be repeated")
    direct.add_argument("--ca-file", default="", metavar="FILE", help="the authority that signed its certificate")
    direct.add_argument("--cert-file", default="", metavar="FILE", help="the certificate to show it")
    direct.add_argument("--key-file", default="", metavar="FILE", help="the key of that certificate")
    direct.add_argument(
        "--user", default="", help="who asks; the password is in $PULLTRACE_PASSWORD or --password-file."
        " Without --url, kubectl's own --user"
    )  # fmt: skip
    direct.add_argument("--password-file", default="", metavar="FILE", help="the file with the password")


def _what(words: Sequence[str]) -> tuple[View, tuple[Target, ...], tuple[str, ...]]:
    """What is to be shown: the view, objects that are named, and names of a node or of images."""
    if not words:
        return View.WAITS, (), ()
    if words[0] in KINDS and len(words) == 1:
        if KINDS[words[0]] != "pod":
            raise UsageError(f"{words[0]!r} wants a name", f"a pod of that name is 'pod/{words[0]}'")
        return View.WAITS, (), ()
    if words[0] in ("node", "nodes", "no"):
        if len(words) != 2:
            raise UsageError("'node' wants the name of one node", HELP_HINT)
        return View.NODE, (), (words[1],)
    if words[0] in ("images", "image"):
        return View.IMAGES, (), tuple(words[1:])
    if words[0].startswith(("node/", "nodes/")) and len(words) == 1:
        return View.NODE, (), (words[0].partition("/")[2],)
    return View.PODS, _targets(words), ()


def _targets(words: Sequence[str]) -> tuple[Target, ...]:
    """`POD`, `KIND/NAME`, or a kind followed by names."""
    if words[0] in KINDS and len(words) > 1 and not any("/" in word for word in words):
        return tuple(Target(KINDS[words[0]], name) for name in words[1:])
    return tuple(_target(word) for word in words)


def _target(word: str) -> Target:
    kind, slash, name = word.partition("/")
    if not slash:
        return Target("pod", word)
    known = KINDS.get(kind.lower().partition(".")[0])
    if known is None:
        raise UsageError(
            f"there is no kind {kind!r} here; those are {', '.join(sorted(set(KINDS.values())))}", HELP_HINT
        )
    if not name or "/" in name:
        raise UsageError(f"{word!r} is no KIND/NAME", HELP_HINT)
    return Target(known, name)


def _access(given: argparse.Namespace, environment: Mapping[str, str]) -> Access:
    return Access(
        kubectl=tuple(_passed(given)),
        timeout=_seconds(given.request_timeout),
        service=given.service or environment.get(SERVICE_VARIABLE, ""),
        urls=tuple(given.url),
        ca_file=given.ca_file,
        cert_file=given.cert_file,
        key_file=given.key_file,
        user=given.user if given.url else "",
        password_file=given.password_file,
    )


def _passed(given: argparse.Namespace) -> list[str]:
    """The flags that go to kubectl."""
    flags = [f"--{name}={value}" for name in PASSED_VALUES for value in getattr(given, name.replace("-", "_")) or ()]
    flags += [f"--{name}" for name in PASSED_SWITCHES if getattr(given, name.replace("-", "_"))]
    if given.user and not given.url:
        flags.append(f"--user={given.user}")
    if given.request_timeout:
        flags.append(f"--request-timeout={given.request_timeout}")
    return flags


def _check(options: Options, given: argparse.Namespace) -> None:
    access = options.access
    if options.watch and options.output not in (Output.TEXT, Output.WIDE):
        raise UsageError(f"-w redraws text, and -o {options.output} is none", HELP_HINT)
    if options.wait and options.view not in (View.WAITS, View.PODS):
        raise UsageError(f"--wait is for pods, and not for '{options.view}'", HELP_HINT)
    if access.service and given.service and access.urls:
        raise UsageError("--service is reached through the API server and --url directly: give one of them", HELP_HINT)
    if not access.urls and any((access.ca_file, access.cert_file, access.key_file, access.password_file)):
        raise UsageError("--ca-file, --cert-file, --key-file and --password-file go with --url", HELP_HINT)
    if bool(access.cert_file) != bool(access.key_file):
        raise UsageError("--cert-file and --key-file belong together", HELP_HINT)
    for url in access.urls:
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"--url is {url!r}, and has to begin with http:// or https://", HELP_HINT)


def _duration(flag: str, text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}", HELP_HINT) from None


def _seconds(text: str) -> float | None:
    """Kubectl's own form: a bare number is seconds, 0 is no limit."""
    if not text:
        return None
    return float(text) if text.isdecimal() else _duration("--request-timeout", text)
