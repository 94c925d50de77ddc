"""
What crosses between Python and Lua, and how: the Python half of ``lua/values.lua``.

Numbers, booleans, nil and strings cross by lupa itself. Anything else crosses as bytes, which the
other side takes apart: Python writes its marshal format, version 3 (written in C, and so strict
that it refuses nearly all but the exact built-in types), and reads the MessagePack that Lua writes.
"""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

import msgspec

from ._exceptions import MarshalError

MAX_DEPTH: Final = 100
"""How deep lists and dicts may nest, as in nginx's Lua module (LUA_COPY_MAX_DEPTH)."""

PLAIN_TYPES: Final = frozenset({float, bytes, bool, type(None)})
"""What lupa passes to Lua as it is; `int` too, within the bounds of the implementation."""

_WIRE_VERSION = 3  # of the marshal format; with references, without which a cycle takes for ever
_SURROGATE_LEAD = b"\xed"  # begins each surrogate in marshal's UTF-8, and few other characters

_decode_list = msgspec.msgpack.Decoder(list[Any]).decode


def pack(args: tuple[Any, ...], integers: range, first: int) -> tuple[bytes, bool]:
    """
    Write the arguments of a task for `read` in ``values.lua``.

    Args:
        args: the arguments.
        integers: the integers that this Lua holds exactly.
        first: the number of the first argument, for messages.

    Returns:
        What `read` takes: the bytes, and whether the types of all values have been checked. If
        not, `read` may refuse them, and they go to `pack_checked`.

    Raises:
        MarshalError: an argument cannot be passed.
    """
    try:
        packed = marshal.dumps(args, _WIRE_VERSION)
    except ValueError:
        pass
    else:
        if _SURROGATE_LEAD not in packed:
            return packed, False
    return pack_checked(args, integers, first), True


def pack_checked(args: tuple[Any, ...], integers: range, first: int) -> bytes:
    """
    Do what `pack` does for values that marshal does not write as they are.

    Raises:
        MarshalError: an argument cannot be passed; it is named with its path.
    """
    check = _Check(integers)
    plain: Any = tuple(check.plain(arg, f"argument {i}: ", 0) for i, arg in enumerate(args, first))
    return marshal.dumps(plain, _WIRE_VERSION)


def unpack(packed: bytes) -> list[Any]:
    """
    Read what `write` in ``values.lua`` wrote.

    Raises:
        MarshalError: a string among the values is not valid UTF-8.
    """
    try:
        return _decode_list(packed)
    except UnicodeDecodeError as error:
        raise _not_text("result: in a string, ", error) from None
    except msgspec.DecodeError as error:
        raise MarshalError(f"result: {error}") from None


def text(string: bytes) -> str:
    """
    Decode a Lua string.

    Raises:
        MarshalError: it is not valid UTF-8.
    """
    try:
        return string.decode()
    except UnicodeDecodeError as error:
        raise _not_text("result 1: ", error) from None


def _not_text(path: str, error: UnicodeDecodeError) -> MarshalError:
    byte = error.object[error.start]
    return MarshalError(
        f"{path}byte 0x{byte:02x} at {error.start + 1} is not valid UTF-8; "
        "a pool with encoding=None returns Lua strings as bytes"
    )


class _Check:
    """Makes values plain, or says which one cannot cross, and where it is."""

    def __init__(self, integers: range) -> None:
        self._integers = integers
        # What has been made of the lists, dicts and so on that came before, by identity: each is
        # looked at once, however often it appears. One that is not finished yet contains itself.
        # Each is kept with what was made of it: one that a mapping makes up on the fly would
        # otherwise be gone by now, and its identity another's.
        self._made: dict[int, tuple[object, object]] = {}

    def plain(self, value: object, path: str, depth: int) -> object:
        """Return `value`, at `path`, made of nothing but the types that marshal and Lua know."""
        kind = type(value)
        if kind in PLAIN_TYPES:
            return value
        if kind is int:
            return self._integer(value, path)  # type: ignore[arg-type]
        if kind is str:
            return self._string(value, path)  # type: ignore[arg-type]
        if isinstance(value, bytearray | memoryview):
            try:
                return bytes(value)
            except ValueError as error:
                raise MarshalError(f"{path}{error}") from None
        if id(value) in self._made:
            _, made = self._made[id(value)]
            if made is _UNFINISHED:
                raise MarshalError(f"{path}cannot pass a {kind.__qualname__} that contains itself")
            return made
        if depth >= MAX_DEPTH:
            raise MarshalError(f"{path}nested deeper than {MAX_DEPTH} levels")
        where = path.removesuffix(": ") if depth else path
        self._made[id(value)] = value, _UNFINISHED
        made = self._container(value, path, where, depth + 1)
        self._made[id(value)] = value, made
        return made

    def _integer(self, value: int, path: str) -> int:
        if value not in self._integers:
            size = value.bit_length()
            number = f"integer {value}" if size <= 128 else f"integer of {size} bits"
            raise MarshalError(f"{path}the {number} is beyond what this Lua holds exactly")
        return value

    def _string(self, value: str, path: str) -> str:
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise MarshalError(f"{path}cannot encode the string: {error.reason}") from None
        return value

    def _container(self, value: object, path: str, where: str, depth: int) -> object:
        if isinstance(value, list | tuple):
            return [self.plain(item, f"{where}[{i}]: ", depth) for i, item in enumerate(value)]
        if isinstance(value, Mapping):
            return self._mapping(value, path, where, depth)
        if is_dataclass(value) and not isinstance(value, type):
            return {
                field.name: self.plain(getattr(value, field.name), f"{where}.{field.name}: ", depth)
                for field in fields(value)
            }
        raise MarshalError(f"{path}cannot pass a {type(value).__qualname__}")

    def _mapping(self, value: Mapping[Any, object], path: str, where: str, depth: int) -> object:
        made: dict[Any, object] = {}
        lua_keys: set[object] = set()
        for key, item in value.items():
            kind = type(key)
            if kind not in (str, bytes, int, float, bool) or key != key:
                raise MarshalError(f"{path}cannot pass {key!r} as a key")
            self.plain(key, f"{where}[{key!r}] (the key): ", depth)
            lua_key = key.encode() if kind is str else key
            if lua_key in lua_keys:
                raise MarshalError(f"{path}two keys become one in Lua: {key!r}")
            lua_keys.add(lua_key)
            made[key] = self.plain(item, f"{where}[{key!r}]: ", depth)
        return made


_UNFINISHED = object()
