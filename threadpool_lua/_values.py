"""
What crosses between Python and Lua, and how: the Python half.

The Lua halves are ``lua/reader.lua`` and ``lua/writer.lua``. Numbers, booleans, nil and strings
cross by lupa itself. Anything else crosses as bytes, which the other side takes apart: Python
writes its marshal format, version 4 (written in C, and so strict that it refuses nearly all but the
exact built-in types), and reads the MessagePack that Lua writes.
"""

from __future__ import annotations

import ctypes
import marshal
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

import msgspec

from ._exceptions import MarshalError

MAX_DEPTH: Final = 100
"""How deep lists and dicts may nest, as in nginx's Lua module (LUA_COPY_MAX_DEPTH)."""

MAX_SIZE: Final = 2**30
"""How many bytes a string, or all of a message, may have. A longer one can end the process."""

PLAIN_TYPES: Final = frozenset({float, bool, type(None)})
"""What lupa passes to Lua as it is; `int` and `bytes` too, within bounds."""

_WIRE_VERSION = 4  # of the marshal format; with references, without which a cycle takes for ever
_CONTAINERS = frozenset({list, tuple, dict})
_LEAVES = frozenset({*PLAIN_TYPES, int, str, bytes, bytearray, memoryview})
_KEYS = frozenset({str, bytes, int, float, bool})
_MAX_STEPS = 20  # of a path that a message shows
_LONGEST_KEY = 60  # characters of a key that a message shows
_LIST, _MAP = 0xDD, 0xDF  # MessagePack's tags, each with a size of four bytes

_decode_utf8 = ctypes.PYFUNCTYPE(
    ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_char_p
)(("PyUnicode_DecodeUTF8", ctypes.pythonapi))
_decode = msgspec.msgpack.decode
_decode_list = msgspec.msgpack.Decoder(list[Any]).decode
_split_list = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


# ---------------------------------------------------------------------------------- Python to Lua


def pack(args: tuple[Any, ...]) -> bytes:
    """
    Write the arguments of a task for ``reader.lua``.

    Args:
        args: the arguments.

    Returns:
        The bytes. Types of values have not been checked: the reader may refuse them.

    Raises:
        ValueError: there is a value that marshal does not write.
    """
    # The 0 is for the reader, which looks five bytes ahead.
    return marshal.dumps((args, 0), _WIRE_VERSION)


def types_are_known(args: tuple[Any, ...]) -> bool:
    """
    Tell whether everything in `args` is of a built-in type that crosses.

    Bytes need this: marshal writes whatever has a buffer, such as an array, just as it does them.
    """
    found: list[Any] = [args]
    seen = set()
    for container in found:
        items: Iterable[Any] = container
        if type(container) is dict:
            if not _KEYS.issuperset(map(type, container)):
                return False
            items = container.values()
        if not _LEAVES.issuperset(map(type, items)):
            for item in items:
                kind = type(item)
                if kind in _CONTAINERS:
                    if id(item) not in seen:
                        seen.add(id(item))
                        found.append(item)
                elif kind not in _LEAVES:
                    return False
    return True


def pack_checked(args: tuple[Any, ...], integers: range, first: int, what: str) -> bytes:
    """
    Do what `pack` does for values that marshal or the reader refuses.

    Args:
        args: the arguments.
        integers: the integers that this Lua holds exactly.
        first: the number of the first argument, for messages.
        what: what they are: "argument" or "result".

    Returns:
        The bytes. The types of all values have been checked.

    Raises:
        MarshalError: an argument cannot be passed; it is named with its path.
    """
    check = _Check(integers, what)
    plain: Any = tuple(check.argument(arg, i) for i, arg in enumerate(args, first))
    try:
        return pack(plain)
    except ValueError:  # marshal has no room for more than 2 GiB, nor Lua for much less.
        raise too_large() from None


def too_large() -> MarshalError:
    """Return the error for arguments of more than `MAX_SIZE`."""
    return MarshalError("arguments: larger than 1 GiB")


class _Field(str):
    """A step of a path that is a field of a dataclass."""

    __slots__ = ()


class _Check:
    """Makes values plain, or says which one cannot cross, and where it is."""

    def __init__(self, integers: range, what: str) -> None:
        self._integers = integers
        self._what = what
        self._argument = 0
        # By depth: the keys that lead to the value at hand.
        self._path: list[object] = [None] * MAX_DEPTH
        # What has been made of the lists, dicts and so on that came before, by identity: each is
        # looked at once, however often it appears. One that is not finished yet contains itself.
        # Each is kept with what was made of it: one that a mapping makes up on the fly would
        # otherwise be gone by now, and its identity another's. And with how many levels it has.
        self._made: dict[int, tuple[object, object, int]] = {}
        self._deepest = 0

    def argument(self, value: object, number: int) -> object:
        """Return `value` made of nothing but the types that marshal and Lua know."""
        self._argument = number
        return self._plain(value, 0)

    def _refusal(self, depth: int, why: str) -> MarshalError:
        """Return the error for a value in `depth` containers."""
        steps = [
            f".{step}" if type(step) is _Field else f"[{_short(step)}]"
            for step in self._path[: min(depth, _MAX_STEPS)]
        ]
        if depth > _MAX_STEPS:
            steps.append("...")
        path = f"{''.join(steps)}: " if steps else ""
        return MarshalError(f"{self._what} {self._argument}: {path}{why}")

    def _plain(self, value: Any, depth: int) -> object:
        kind = type(value)  # What it is, whatever it says of its class.
        if kind in PLAIN_TYPES:
            return value
        if issubclass(kind, int | float | str | bytes):
            return self._scalar(value, depth)
        if issubclass(kind, bytearray | memoryview):
            try:
                return bytes(memoryview(value))
            except ValueError as error:
                raise self._refusal(depth, str(error)) from None
        if id(value) in self._made:
            _, made, height = self._made[id(value)]
            if made is _UNFINISHED:
                raise self._refusal(depth, f"cannot pass {_a(kind)} that contains itself")
            self._check_depth(depth + height, depth)
            return made
        self._check_depth(depth + 1, depth)
        self._made[id(value)] = value, _UNFINISHED, 0
        before, self._deepest = self._deepest, depth + 1
        try:
            made = self._container(value, depth)
        except MarshalError:
            raise
        except Exception as error:
            raise self._refusal(depth, f"cannot read {_a(kind)}: {_shown(error)}") from error
        self._made[id(value)] = value, made, self._deepest - depth
        self._deepest = max(before, self._deepest)
        return made

    def _check_depth(self, bottom: int, depth: int) -> None:
        if bottom > MAX_DEPTH:
            raise self._refusal(depth, f"nested deeper than {MAX_DEPTH} levels")
        self._deepest = max(self._deepest, bottom)

    def _scalar(self, value: Any, depth: int) -> object:
        """Return a number or string, free of what a subclass adds."""
        kind = type(value)
        if issubclass(kind, str):
            try:
                return str.encode(value).decode()
            except UnicodeEncodeError as error:
                raise self._refusal(depth, f"cannot encode the string: {error.reason}") from None
        if issubclass(kind, float):
            return float.__float__(value)
        if issubclass(kind, bytes):
            return bytes(memoryview(value))
        integer = int.__int__(value)  # A range would be searched for one of a subclass.
        if integer not in self._integers:
            raise self._refusal(
                depth, f"the integer {_short(integer)} is beyond what this Lua holds exactly"
            )
        return integer

    def _container(self, value: Any, depth: int) -> object:
        path = self._path
        kind = type(value)
        if issubclass(kind, list | tuple):
            items = []
            for path[depth], item in enumerate(value):
                items.append(self._plain(item, depth + 1))
            return items
        if issubclass(kind, Mapping):
            return self._mapping(value, depth)
        if is_dataclass(kind):
            made = {}
            for field in fields(kind):
                path[depth] = _Field(field.name)
                made[field.name] = self._plain(getattr(value, field.name), depth + 1)
            return made
        raise self._refusal(depth, f"cannot pass {_a(kind)}")

    def _mapping(self, value: Mapping[Any, object], depth: int) -> object:
        made: dict[Any, object] = {}
        lua_keys: set[object] = set()
        for key, item in value.items():
            self._path[depth] = key
            if not issubclass(type(key), str | bytes | int | float):
                raise self._refusal(depth, f"cannot pass {_short(key)} as a key")
            plain_key: Any = self._plain(key, depth + 1)
            if plain_key != plain_key:
                raise self._refusal(depth, "cannot pass nan as a key")
            lua_key = plain_key.encode() if isinstance(plain_key, str) else plain_key
            if lua_key in lua_keys:
                raise self._refusal(depth, f"two keys become one in Lua: {_short(key)}")
            lua_keys.add(lua_key)
            made[plain_key] = self._plain(item, depth + 1)
        return made


_UNFINISHED = object()


def _short(key: object) -> str:
    """Show a key, or a number, in not too many characters."""
    if isinstance(key, int) and key.bit_length() > 128:
        return f"of {key.bit_length()} bits"
    try:
        text = repr(key)
    except Exception:  # It is the user's code; or an integer of too many digits is in there.
        return f"<{type(key).__qualname__}>"
    return text if len(text) <= _LONGEST_KEY else f"{text[:_LONGEST_KEY]}..."


def _shown(error: Exception) -> str:
    try:
        return repr(error)
    except Exception:  # It is the user's code.
        return f"<{type(error).__qualname__}>"


def _a(kind: type) -> str:
    """Name a type with its article."""
    name = kind.__qualname__
    if kind.__module__ not in ("builtins", "__main__"):
        name = f"{kind.__module__}.{name}"
    return f"an {name}" if name[:1].lower() in tuple("aeiou") else f"a {name}"


# ---------------------------------------------------------------------------------- Lua to Python


def unpack(packed: bytes, what: str = "result") -> list[Any]:
    """
    Read the values that ``writer.lua`` wrote.

    Args:
        packed: the bytes.
        what: what the values are, for messages.

    Raises:
        MarshalError: a string among the values is not valid UTF-8.
    """
    try:
        try:
            return _decode_list(packed)
        except UnicodeDecodeError:
            raise _not_text(packed, what, 0, "", 0) from None
    except msgspec.DecodeError as error:
        raise MarshalError(f"{what}: {error}") from None


class Slices:
    """Reads a message that comes in slices, one by one: others may use the GIL in between."""

    def __init__(self) -> None:
        # By number, the lists and dicts that are not in their places yet. Number 0 is the whole.
        self._tables: dict[int, Any] = {}

    @property
    def values(self) -> list[Any]:
        """The values, once all slices have been added."""
        return self._tables[0]  # type: ignore[no-any-return]

    def add(
        self, packed: bytes, number: int, what: bytes, which: int, steps: bytes, before: int
    ) -> None:
        """
        Read a slice.

        Args:
            packed: some items of a list or dict.
            number: the number of that.
            what: the direction.
            which: in which value the list or dict is; it is the list of all if this is false.
            steps: the path from there to the list or dict.
            before: how many items it got before these.

        Raises:
            MarshalError: a string among the items is not valid UTF-8.
        """
        try:
            items = _decode(packed, ext_hook=self._table)
        except UnicodeDecodeError:
            way = steps.decode(errors="backslashreplace")
            raise _not_text(packed, what.decode(), which, way, before) from None
        table = self._tables.setdefault(number, items)
        if table is not items:
            if isinstance(table, list):
                table.extend(items)
            else:
                table.update(items)

    def _table(self, _: int, number: memoryview) -> Any:
        return self._tables.pop(int.from_bytes(number))


def text(string: bytes, what: str = "result") -> str:
    """
    Decode a Lua string that is the only value; `what` it is goes into messages.

    Raises:
        MarshalError: it is not valid UTF-8.
    """
    try:
        return string.decode()
    except UnicodeDecodeError as error:
        raise MarshalError(f"{what} 1: {_bad_byte(error)}") from None


def text_at(address: int, length: int, what: str) -> str:
    """
    Do what `text` does from Lua's own memory: a copy less of a large string.

    Raises:
        MarshalError: it is not valid UTF-8.
    """
    try:
        return _decode_utf8(address, length, None)  # type: ignore[no-any-return]
    except UnicodeDecodeError as error:
        raise MarshalError(f"{what} 1: {_bad_byte(error)}") from None


def _bad_byte(error: UnicodeDecodeError) -> str:
    byte = error.object[error.start]
    return (
        f"byte 0x{byte:02x} at {error.start + 1} is not valid UTF-8; "
        "a pool with encoding=None returns Lua strings as bytes"
    )


def _undecodable(packed: bytes) -> UnicodeDecodeError | None:
    try:
        _decode(packed)
    except UnicodeDecodeError as error:
        return error
    return None


def _not_text(packed: bytes, what: str, which: int, steps: str, before: int) -> MarshalError:
    """
    Find the first string that is not valid UTF-8 in (a slice of) a message.

    The arguments are those of `Slices.add`.
    """
    error = _undecodable(packed)
    while packed[0] in (_LIST, _MAP):
        keys: Iterable[Any]
        if packed[0] == _MAP:
            # Keys and values in turn, read as a list.
            size = 2 * int.from_bytes(packed[1:5])
            parts = _split_list(bytes([_LIST]) + size.to_bytes(4) + packed[5:])
            keys, items = parts[::2], parts[1::2]
            error = next(filter(None, map(_undecodable, keys)), None)
            if error is not None:
                steps += ": in a key" if steps else "in a key"
                break
            keys = map(_decode, keys)
        else:
            items = _split_list(packed)
            keys = range(before + 1, before + len(items) + 1)
        before = 0
        key, item, error = next(
            (key, item, error)
            for key, item in zip(keys, items, strict=True)
            if (error := _undecodable(item))
        )
        packed = bytes(item)
        if which:
            steps += f"['{key}']" if isinstance(key, str) else f"[{str(key).lower()}]"
        else:
            which = key
    assert error is not None
    return MarshalError(f"{what} {which}: {steps}{': ' if steps else ''}{_bad_byte(error)}")
