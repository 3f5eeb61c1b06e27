"""Which drawing a view has."""

from pulltrace_kubectl.core.picture import Picture
from pulltrace_kubectl.model.options import Options
from pulltrace_kubectl.render.layout import Line, Span
from pulltrace_kubectl.render.waits import Form, wait_lines


def drawn(picture: Picture, options: Options, form: Form) -> list[Line]:
    """The picture as lines."""
    if not picture.waits:
        return [(Span(nothing(picture)),)]
    return wait_lines(picture.waits, form, namespaces=not picture.namespace)


def nothing(picture: Picture) -> str:
    """What is said where no image is waited for."""
    where = f"in namespace {picture.namespace}" if picture.namespace else "in any namespace"
    return f"No pod waits for an image {where}."
