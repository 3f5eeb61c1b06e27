"""The command line as kubectl's users write it."""

import re
from pathlib import Path

import pytest

from pulltrace_kubectl.arguments import PASSED_SWITCHES, PASSED_VALUES, parse, parser
from pulltrace_kubectl.errors import UsageError
from pulltrace_kubectl.model.options import Output, Target, View

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("words", "view", "targets", "names"),
    [
        ("", View.WAITS, [], ()),
        ("pods", View.WAITS, [], ()),
        ("web", View.PODS, ["pod/web"], ()),
        ("pod/web deploy/shop", View.PODS, ["pod/web", "deployment/shop"], ()),
        ("deployment.apps/shop", View.PODS, ["deployment/shop"], ()),
        ("sts db cache", View.PODS, ["statefulset/db", "statefulset/cache"], ()),
        ("node node-1", View.NODE, [], ("node-1",)),
        ("node/node-1", View.NODE, [], ("node-1",)),
        ("images shop/", View.IMAGES, [], ("shop/",)),
        ("-l app=web", View.PODS, [], ()),
    ],
)
def test_what_is_shown(words: str, view: View, targets: list[str], names: tuple[str, ...]) -> None:
    options = parse(words.split(), {})
    assert (options.view, [str(each) for each in options.targets], options.names) == (view, targets, names)


def test_flags_may_stand_anywhere_and_kubectls_own_are_passed_on() -> None:
    words = "web -n shop --context dev --as=me -o wide --user admin --request-timeout 5s --insecure-skip-tls-verify"
    options = parse(words.split(), {"PULLTRACE_SERVICE": "a/b"})
    assert (options.namespace, options.output, options.targets) == ("shop", Output.WIDE, (Target("pod", "web"),))
    assert options.access.kubectl == (
        "--context=dev", "--as=me", "--insecure-skip-tls-verify", "--user=admin", "--request-timeout=5s",
    )  # fmt: skip
    assert (options.access.timeout, options.access.service) == (5.0, "a/b")


def test_with_an_address_the_user_is_who_asks_there() -> None:
    access = parse(["--url", "https://localhost:1", "--user", "me", "--request-timeout", "7"], {}).access
    assert (access.user, access.kubectl, access.timeout) == ("me", ("--request-timeout=7",), 7.0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--colour", "unrecognized arguments: --colour"),
        ("deploy", "'deploy' wants a name"),
        ("node", "'node' wants the name of one node"),
        ("node a b", "'node' wants the name of one node"),
        ("secret/web", "there is no kind 'secret' here"),
        ("pod/", "'pod/' is no KIND/NAME"),
        ("web -l app=web", "no name can be given beside it"),
        ("-w -o json", "-w redraws text, and -o json is none"),
        ("images --wait", "--wait is for pods"),
        ("--timeout soon", "--timeout: 'soon' is not a duration"),
        ("--request-timeout soon", "--request-timeout: 'soon' is not a duration"),
        ("--service a/b --url http://x", "give one of them"),
        ("--ca-file f", "go with --url"),
        ("--url http://x --cert-file f", "belong together"),
        ("--url localhost:1", "has to begin with http:// or https://"),
        ("-o table", "invalid choice: 'table'"),
    ],
)
def test_a_mistake_is_named_and_ends_with_status_2(words: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(words.split(), {})
    assert said in error.value.problem
    assert error.value.status == 2


def test_the_page_names_flags_that_there_are_and_all_of_our_own() -> None:
    page = (Path(__file__).parents[2] / "docs" / "kubectl.md").read_text()
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page))
    ours = {flag for action in parser()._actions for flag in action.option_strings if flag.startswith("--")}
    kubectls = {f"--{name}" for name in (*PASSED_VALUES, *PASSED_SWITCHES)}
    assert named <= ours
    assert ours - kubectls - named == {"--help", "--version", "--all-namespaces", "--selector",
        "--output", "--watch", "--request-timeout"}  # fmt: skip


def test_help_names_every_flag_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse(["--help"], {})
    assert end.value.code == 0
    told = capsys.readouterr().out
    for flag in ("-n", "-A", "-l", "-o", "-w", "--wait", "--timeout", "--service", "--url", "--ca-file", "--user"):
        assert flag in told
    assert "--password " not in told
