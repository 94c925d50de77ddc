"""
Base64 for ``lua/ngx/base64.lua``, as nginx decodes it.

Padding ends what is decoded, and may be missing; bits beyond the last whole byte are dropped.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping
from string import ascii_letters, digits
from typing import Final

_ALPHABET: Final = (ascii_letters + digits + "+/").encode()
_NO_ALPHABET: Final = bytes(set(range(256)) - set(_ALPHABET))

_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_+/", b"+/--")  # what has no place in a URL is none here

# These functions keep the GIL. So large strings are cut: the loop can have it in between.
_SLICE: Final = 2**18 * 3  # which is whole groups both of three bytes and of four characters


def encode(data: bytes, no_padding: bool) -> bytes:
    """Return something in Base64."""
    encoded = _sliced(lambda part: b2a_base64(part, newline=False), data)
    return encoded.rstrip(b"=") if no_padding else encoded


def decode(text: bytes) -> bytes | None:
    """Return what is in Base64, or None if it is not."""
    text = text.partition(b"=")[0]
    if len(text) % 4 == 1 or _sliced(lambda part: part.translate(None, _ALPHABET), text):
        return None
    return _sliced(a2b_base64, text + b"=" * (-len(text) % 4))


def decode_mime(text: bytes) -> bytes | None:
    """Return what is in Base64, with anything between its characters, or None if it is not."""
    text = text.partition(b"=")[0]
    return decode(_sliced(lambda part: part.translate(None, _NO_ALPHABET), text))


def encode_url(data: bytes) -> bytes:
    """Return something in the Base64 of URLs."""
    return encode(data, True).translate(_TO_URL)


def decode_url(text: bytes) -> bytes | None:
    """Return what is in the Base64 of URLs, or None if it is not."""
    return decode(text.translate(_FROM_URL))


def _sliced(function: Callable[[bytes], bytes], data: bytes) -> bytes:
    if len(data) <= _SLICE:
        return function(data)
    return b"".join(function(data[i : i + _SLICE]) for i in range(0, len(data), _SLICE))


UPCALLS: Final[Mapping[bytes, Callable[..., object]]] = {
    b"encode_base64": encode,
    b"decode_base64": decode,
    b"decode_base64mime": decode_mime,
    b"encode_base64url": encode_url,
    b"decode_base64url": decode_url,
}
"""What Lua calls on the spot, by name."""
