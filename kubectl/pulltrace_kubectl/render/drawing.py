"""Chooses how each view is drawn."""

from pulltrace_kubectl.core.picture import Picture
from pulltrace_kubectl.core.rollout import rollouts
from pulltrace_kubectl.model.options import Options, Output, View
from pulltrace_kubectl.render.images import image_lines
from pulltrace_kubectl.render.layout import Line, Span
from pulltrace_kubectl.render.node import node_lines
from pulltrace_kubectl.render.paint import painted
from pulltrace_kubectl.render.pods import pod_lines
from pulltrace_kubectl.render.structured import structured
from pulltrace_kubectl.render.waits import Form, wait_lines


def text_of(picture: Picture, options: Options, form: Form, *, colour: bool) -> str:
    """The picture in the form that the options ask for."""
    if options.output in (Output.TEXT, Output.WIDE):
        return painted(drawn(picture, options, form), colour=colour)
    return structured(picture, options)


def drawn(picture: Picture, options: Options, form: Form) -> list[Line]:
    """The picture as lines."""
    match options.view:
        case View.NODE:
            return node_lines(picture, form)
        case View.PODS if picture.named:
            return pod_lines(picture, form)
        case View.PODS:
            return [(Span("There are no such pods."),)]
        case View.IMAGES if found := rollouts(picture.waits, options.names):
            return image_lines(found, form)
        case View.IMAGES:
            return [(Span(_nothing(picture)),)]
    return _list(picture, form)


def _nothing(picture: Picture) -> str:
    """What is said where no image is waited for."""
    where = f"in namespace {picture.namespace}" if picture.namespace else "in any namespace"
    return f"No pod waits for an image {where}."


def _list(picture: Picture, form: Form) -> list[Line]:
    if picture.waits:
        return wait_lines(picture.waits, form, namespaces=not picture.namespace)
    # Exporters alone know no pods.
    return node_lines(picture, form) if picture.reports else [(Span(_nothing(picture)),)]
