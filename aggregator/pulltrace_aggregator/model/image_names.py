"""Image references as they are compared: by what a runtime would ask for, however they were written."""

from dataclasses import dataclass, replace
from functools import lru_cache

from pulltrace.model.reference import InvalidReference, Reference


@dataclass(frozen=True, slots=True)
class ImageName:
    """A reference taken apart.

    `registry` is its host as written, without the port, as the exporter's labels have it; `host` is the same in lower
    case, since host names are compared so. `asked` is the text of what a runtime asks for, the host with its port in
    lower case: two references with equal texts are one request. `digest` is None where none was written.
    """

    registry: str
    host: str
    repository: str
    asked: str
    digest: str | None


@lru_cache(maxsize=4096)
def image_name(text: str) -> ImageName | None:
    """What a reference means; None for a text that is none."""
    try:
        reference = Reference.parse(text)
    except InvalidReference:
        return None
    asked = replace(reference, registry=reference.registry.lower()).requested
    return ImageName(reference.host, asked.host, reference.repository, str(asked), reference.digest)


def same_image(one: str, other: str) -> bool:
    """Whether two texts ask for the same image."""
    if one == other:
        return True
    first, second = image_name(one), image_name(other)
    return first is not None and second is not None and first.asked == second.asked
