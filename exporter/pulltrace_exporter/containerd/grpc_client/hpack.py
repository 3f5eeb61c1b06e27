"""HPACK (RFC 7541), the encoding of HTTP/2's header fields. Neither side uses a dynamic table."""

from functools import lru_cache
from itertools import groupby
from typing import Final

Field = tuple[str, str]

_STATIC: Final[tuple[Field, ...]] = (
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    *((":status", code) for code in ("200", "204", "206", "304", "400", "404", "500")),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    *(
        (name, "")
        for name in (
            *("accept-language", "accept-ranges", "accept", "access-control-allow-origin", "age", "allow"),
            *("authorization", "cache-control", "content-disposition", "content-encoding", "content-language"),
            *("content-length", "content-location", "content-range", "content-type", "cookie", "date", "etag"),
            *("expect", "expires", "from", "host", "if-match", "if-modified-since", "if-none-match", "if-range"),
            *("if-unmodified-since", "last-modified", "link", "location", "max-forwards", "proxy-authenticate"),
            *("proxy-authorization", "range", "referer", "refresh", "retry-after", "server", "set-cookie"),
            *("strict-transport-security", "transfer-encoding", "user-agent", "vary", "via", "www-authenticate"),
        )
    ),
)
"""Appendix A; the first has the index 1."""

_CODE_LENGTHS: Final = (
    "ISXXXXXXXTZXXZXXXXXXXXZXXXXXXXXXBFFHIBDGFFDGDBBBAAABBBBBBBCDKBHFIBCCCCCCCCCCCCCCCCCCCCCCDCDIOIJB"
    "KABABABBBACCBBBABCBAABCCCCCKGJIXPRPPRRRSRSSSSSTSTTRSTSSSSQRSRSSTRQPRRSSQSRRTQRSSQQRQSRSSPRRRSRRS"
    "VVPORSRUVVVWWVTUOQVWWVWTQQVVXWWWPTPQRQQSRRUUTTVSVWVVWWWWWXWWWWWVZ"
)
"""Appendix B: how many bits the code of each byte has, and at the end that of the end mark; `A` stands for 5."""
_MOST_PADDING_BITS: Final = 7


class HpackError(ValueError):
    """These bytes are no header fields, or need a dynamic table."""


def encode(fields: tuple[Field, ...]) -> bytes:
    """Each field as a literal without indexing (6.2.2)."""
    return b"".join(b"\x00" + _encode_text(name) + _encode_text(value) for name, value in fields)


@lru_cache(maxsize=64)
def decode(block: bytes, wanted: frozenset[str]) -> tuple[Field, ...]:
    """The fields with the wanted names in a whole header block; raises HpackError."""
    fields: list[Field] = []
    at = 0
    try:
        while at < len(block):
            first = block[at]
            if first & 0x80:
                index, at = _integer(block, at, 7)
                fields.append(_static(index))
            elif first & 0xE0 == 0x20:
                size, at = _integer(block, at, 5)
                if size:
                    raise HpackError(f"a dynamic table of {size} bytes, and none was allowed")
            else:
                index, at = _integer(block, at, 6 if first & 0x40 else 4)
                packed_name, at = (b"", at) if index else _text(block, at)
                packed_value, at = _text(block, at)
                name = _static(index)[0] if index else _unpacked(packed_name)
                if name in wanted:
                    fields.append((name, _unpacked(packed_value)))
    except IndexError as error:
        raise HpackError("the header block ends too early") from error
    return tuple(field for field in fields if field[0] in wanted)


def _static(index: int) -> Field:
    if not 0 < index <= len(_STATIC):
        raise HpackError(f"header field {index} is in no table")
    return _STATIC[index - 1]


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """An integer that begins in the low bits of a byte, and where it ends."""
    most = (1 << bits) - 1
    value = block[at] & most
    at += 1
    if value < most:
        return value, at
    for shift in range(0, 28, 7):
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
    raise HpackError("an integer is too large")


def _text(block: bytes, at: int) -> tuple[bytes, int]:
    """The first byte of a text's length, which has the Huffman flag, then the text as encoded; and where it ends."""
    length, after = _integer(block, at, 7)
    end = after + length
    if end > len(block):
        raise HpackError("the header block ends in a text")
    return block[at : at + 1] + block[after:end], end


@lru_cache(maxsize=64)
def _unpacked(text: bytes) -> str:
    """A text from `_text`, decoded: its first byte tells whether it is in the Huffman code."""
    data = text[1:]
    return (_decode_huffman(data) if text[0] & 0x80 else data).decode("latin-1")


def _encode_text(text: str) -> bytes:
    data = text.encode("latin-1")
    if len(data) < 0x7F:
        return bytes((len(data),)) + data
    rest, octets = len(data) - 0x7F, bytearray((0x7F,))
    while rest > 0x7F:
        octets.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes((*octets, rest)) + data


def _codes() -> dict[int, int]:
    """The byte for each code. A 1 is put before the code, so that zeros at its beginning count."""
    lengths = [ord(letter) - ord("A") + 5 for letter in _CODE_LENGTHS]
    codes: dict[int, int] = {}
    code = before = 0
    for length, values in groupby(sorted(range(len(lengths)), key=lengths.__getitem__), key=lengths.__getitem__):
        code <<= length - before
        before = length
        for value in values:
            codes[1 << length | code] = value
            code += 1
    return codes


_CODES: Final = _codes()
_END_MARK: Final = 256


def _decode_huffman(data: bytes) -> bytes:
    """A text in the Huffman code; raises HpackError."""
    octets = bytearray()
    code = 1
    for bit in f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}" if data else "":
        code = code << 1 | (bit == "1")
        value = _CODES.get(code)
        if value is not None:
            if value == _END_MARK:
                raise HpackError("the end mark is in a text")
            octets.append(value)
            code = 1
    if code.bit_length() - 1 > _MOST_PADDING_BITS or code & (code + 1):
        raise HpackError("a text ends in the middle of a code")
    return bytes(octets)
