"""Image references as they are compared: by what a runtime would ask for, however they were written."""

from dataclasses import dataclass, replace
from functools import lru_cache

from pulltrace.model.reference import InvalidReference, Reference


@dataclass(frozen=True, slots=True)
class ImageName:
    """A reference taken apart.

    `registry` is its host as written, without the port, as the exporter's labels have it; `host` is the same in lower
    case, since host names are compared so. `canonical` is the text of what a runtime asks for, the host with its
    port in lower case: two references with equal texts are one request. `digest` is None where none was written.
    """

    registry: str
    host: str
    repository: str
    canonical: str
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


def canonical_reference(text: str) -> str:
    """One text for all spellings of one image; the text itself where it is no reference."""
    name = image_name(text)
    return text if name is None else name.canonical


def same_image(one: str, other: str) -> bool:
    """Whether two texts ask for the same image. Texts that are no references ask for nothing but themselves."""
    return one == other or canonical_reference(one) == canonical_reference(other)
