"""Text from strangers (images, registries, manifests, error messages) made fit to be published.

Whoever writes a manifest chooses most of it, so it may be huge or hold what no parser expects.
"""

from hashlib import sha256
from typing import Final

LONGEST_BYTES: Final = 1024
"""Most bytes in UTF-8. Every legal reference, digest and media type is shorter."""

_UNPRINTABLE: Final = dict.fromkeys((*range(0x0A), *range(0x0B, 0x20), *range(0x7F, 0xA0)), "\ufffd")
"""Control characters, which steer terminals and end C strings; without the line feed, which every format escapes."""


def presentable(text: str) -> str:
    """The text as published: valid Unicode of at most `LONGEST_BYTES` bytes, no control character but the line feed.

    A text that had to be changed ends in an ellipsis and a hash of the original. So two texts never become one, which
    would make two series one.
    """
    if len(text) * 4 <= LONGEST_BYTES and text.isprintable():
        return text
    clean = text.translate(_UNPRINTABLE).encode("utf-8", "replace")
    if clean.decode() == text and len(clean) <= LONGEST_BYTES:
        return text
    mark = f"…{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
    return clean[: LONGEST_BYTES - len(mark.encode())].decode("utf-8", "ignore") + mark


def one_line(text: object, longest: int = 300) -> str:
    """A message of another program, such as an exception, on one line of at most `longest` characters."""
    return shortened(presentable(" ".join(str(text).split())), longest)


def shortened(text: str, longest: int) -> str:
    """At most `longest` characters of the text; an ellipsis shows the cut."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
