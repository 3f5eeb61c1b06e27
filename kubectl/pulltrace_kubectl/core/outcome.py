"""Whether all images that are waited for are there, or will not come."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from pulltrace_kubectl.core.advice import failed_for_good
from pulltrace_kubectl.core.picture import Picture
from pulltrace_kubectl.core.pod_status import ended, images_there
from pulltrace_kubectl.model.pulls import Wait

Name = tuple[str, str]


class State(StrEnum):
    """How it stands."""

    PENDING = "pending"
    THERE = "there"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it stands.

    `reasons` are sentences: what has failed, or what is still missing. `seen` are all pods that were seen to wait.
    """

    state: State
    reasons: tuple[str, ...] = ()
    seen: frozenset[Name] = frozenset()


def outcome(picture: Picture, seen: frozenset[Name] = frozenset()) -> Outcome:
    """How the named pods stand, or all that wait where none is named.

    `seen` are pods that have been seen to wait before: one of them that waits no more has its images.
    """
    missing = [wait for wait in picture.waits if not wait.over]
    seen = seen | {(wait.namespace, wait.pod) for wait in picture.waits}
    failed = [_sentence(wait) for wait in missing if failed_for_good(wait)]
    dead = (pod for pod in picture.pods if pod.phase == "Failed" and not pod.replaced)
    failed += [f"{pod.namespace}/{pod.name} has failed" for pod in dead]
    if failed:
        return Outcome(State.FAILED, tuple(failed), seen)
    reasons = [_sentence(wait) for wait in missing]
    silent = _silent(picture, missing, seen)
    reasons += [f"{'/'.join(filter(None, name))}: its images are not there yet" for name in silent]
    if not picture.expected:
        reasons.append("not all pods have been made yet")
    return Outcome(State.PENDING if reasons else State.THERE, tuple(reasons), seen)


def _silent(picture: Picture, missing: Iterable[Wait], seen: frozenset[Name]) -> list[Name]:
    """Named pods that wait for no image as far as anybody knows, and may not have theirs yet."""
    waiting = {(wait.namespace, wait.pod) for wait in missing}
    known = {(pod.namespace, pod.name): pod for pod in picture.pods}
    return [
        name
        for name in picture.named
        if name not in waiting
        and not (images_there(known[name]) or ended(known[name]) if name in known else name in seen)
    ]


def _sentence(wait: Wait) -> str:
    causes = (wait.cause if wait.cause != "progressing" else "", wait.reason)
    why = ", ".join(part for part in dict.fromkeys(causes) if part)
    share = f" {int(wait.ratio * 100)}%" if wait.ratio is not None else ""
    return f"{wait.namespace}/{wait.pod} {wait.image}: {wait.phase}{share}" + (f" ({why})" if why else "")
