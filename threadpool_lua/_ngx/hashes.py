"""Hashes and checksums for ``lua/ngx/hashes.lua``. On long strings they run without the GIL."""

from __future__ import annotations

import hashlib
import hmac
import os
import zlib
from collections.abc import Callable, Mapping
from typing import Final

# OpenSSL may be set up to refuse these for security, which is not what they are asked for here.


def md5(data: bytes) -> bytes:
    """Return the MD5 of something in hexadecimal."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest().encode()


def md5_bin(data: bytes) -> bytes:
    """Return the MD5 of something."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def sha1_bin(data: bytes) -> bytes:
    """Return the SHA-1 of something."""
    return hashlib.sha1(data, usedforsecurity=False).digest()


def hmac_sha1(key: bytes, data: bytes) -> bytes:
    """Return the HMAC-SHA1 of something."""
    return hmac.digest(key, data, "sha1")


def digest(algorithm: bytes, data: bytes) -> bytes:
    """Return the digest of something by an algorithm such as ``sha256``."""
    return hashlib.new(algorithm.decode(), data, usedforsecurity=False).digest()


UPCALLS: Final[Mapping[bytes, Callable[..., object]]] = {
    b"md5": md5,
    b"md5_bin": md5_bin,
    b"sha1_bin": sha1_bin,
    b"hmac_sha1": hmac_sha1,
    b"crc32": zlib.crc32,
    b"digest": digest,
    b"random": lambda count: os.urandom(int(count)),
}
"""What Lua calls on the spot, by name."""
