"""`ngx.shared`: dictionaries that all tasks of a process share, and Python with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from .._exceptions import MarshalError, SharedDictFullError
from .zone import Number, Value, Zone, now_in_milliseconds

if TYPE_CHECKING:
    from .worker import NgxWorker

_MIN_SIZE = 8192
_MAX_KEY = 65535
_MAX_FLAGS = 0xFFFFFFFF
_UNITS: Final = {"k": 1024, "K": 1024, "m": 1024 * 1024, "M": 1024 * 1024}


def parse_size(text: str) -> int:
    """
    Return how many bytes a size is that is written as in nginx: ``"8192"``, ``"100k"``, ``"10m"``.

    Raises:
        ValueError: it is none.
    """
    unit = _UNITS.get(text[-1:])
    digits = text if unit is None else text[:-1]
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"invalid size {text!r}")
    return int(digits) * (unit or 1)


class SharedDict:
    """
    A dictionary that Lua finds as ``ngx.shared.NAME``, with the same operations for Python.

    It holds strings, numbers, booleans, and lists of strings and numbers. Every operation is atomic
    for all tasks of all pools, and may be called from any thread. As in nginx, entries can expire,
    and there is room for so many: the entries that were not used for the longest time make room
    for new ones.

    Strings are ``str`` in Python and UTF-8 in Lua; ``bytes`` are taken as well. An ``int`` has 64
    bits, as in Lua. Times are in seconds, with a resolution of a millisecond.

    ``d[key]``, ``d[key] = value``, ``del d[key]``, ``key in d``, ``len(d)`` and iteration over the
    keys work as with a ``dict``. `len`, iteration, `get_keys`, `flush_all` and `flush_expired` look
    at all entries, and everybody else waits for that.

    Args:
        name: its name.
        size: the size in bytes of the zone that nginx would keep it in, 8192 at least. What fits
            in is what fits into nginx's; in the memory of this process it takes more.
        encoding: ``"utf-8"`` makes strings ``str``, ``None`` makes them ``bytes``.

    Raises:
        ValueError: one of these is none.
    """

    def __init__(
        self,
        name: str,
        size: int,
        *,
        encoding: str | None = "utf-8",
        _now: Callable[[], int] = now_in_milliseconds,
    ) -> None:
        if not name:
            raise ValueError('invalid lua shared dict name ""')
        if size < _MIN_SIZE:
            raise ValueError(f'invalid lua shared dict size "{size}"')
        if encoding not in ("utf-8", None):
            raise ValueError(f"encoding must be 'utf-8' or None, not {encoding!r}")
        self.name: Final = name
        self._as_text = encoding is not None
        self._zone = Zone(name.encode(), size, _now)

    def __repr__(self) -> str:
        return f"<SharedDict {self.name!r} of {self._zone.size} bytes>"

    def get(self, key: str | bytes, default: Any = None) -> Any:
        """
        Return the value of a key, or `default`.

        Raises:
            TypeError: the value is a list.
        """
        value, error, _ = self._zone.get(_key(key))
        if value is not None:
            return self._decoded(value)
        if isinstance(error, bytes):
            raise self._failure(error, key)
        return default

    def get_stale(self, key: str | bytes) -> tuple[Any, int, bool]:
        """
        Return the value of a key even if it has expired, its flags, and whether it has expired.

        The value is None if there is none, or none any more.

        Raises:
            TypeError: the value is a list.
        """
        value, flags, stale = self._zone.get(_key(key), stale=True)
        if isinstance(flags, bytes):
            raise self._failure(flags, key)
        return None if value is None else self._decoded(value), flags or 0, stale

    def set(self, key: str | bytes, value: Any, exptime: float = 0, flags: int = 0) -> None:
        """
        Set the value of a key.

        Args:
            key: 1 to 65535 bytes.
            value: a string, a number or a boolean.
            exptime: in how many seconds it expires; 0 means never.
            flags: a number of 32 bits, which `get_stale` returns with the value.

        Raises:
            SharedDictFullError: there is no room, though entries were removed to make some.
            TypeError: it is no such value.
        """
        self._store(key, value, exptime, flags)

    def safe_set(self, key: str | bytes, value: Any, exptime: float = 0, flags: int = 0) -> None:
        """
        Set the value of a key, but remove no entries that have not expired to make room.

        Raises:
            SharedDictFullError: there is no room.
        """
        self._store(key, value, exptime, flags, safe=True)

    def add(self, key: str | bytes, value: Any, exptime: float = 0, flags: int = 0) -> bool:
        """Set the value of a key that has none; return False if it has one."""
        return self._store(key, value, exptime, flags, add=True)

    def safe_add(self, key: str | bytes, value: Any, exptime: float = 0, flags: int = 0) -> bool:
        """
        Do what `add` does, but remove no entries that have not expired to make room.

        Raises:
            SharedDictFullError: there is no room.
        """
        return self._store(key, value, exptime, flags, add=True, safe=True)

    def replace(self, key: str | bytes, value: Any, exptime: float = 0, flags: int = 0) -> bool:
        """Set the value of a key that has one; return False if it has none."""
        return self._store(key, value, exptime, flags, replace=True)

    def delete(self, key: str | bytes) -> None:
        """Remove a key, if it is there."""
        self._zone.delete(_key(key))

    def incr(
        self, key: str | bytes, value: float = 1, init: float | None = None, init_ttl: float = 0
    ) -> int | float:
        """
        Add to a number, and return the sum.

        Args:
            key: its key.
            value: what to add.
            init: the number to begin with if there is none.
            init_ttl: in how many seconds the key expires if it is made; 0 means never.

        Raises:
            KeyError: there is no such key, and no `init`.
            SharedDictFullError: there is no room for a new one.
            TypeError: the value is no number.
        """
        number, error, _ = self._zone.incr(
            _key(key),
            _number(value),
            None if init is None else _number(init),
            _seconds("init_ttl", init_ttl),
        )
        if number is None:
            raise self._failure(error, key)
        return number

    def lpush(self, key: str | bytes, value: Any) -> int:
        """
        Put a string or number before the first item of a list, and return the list's length.

        A list is made when its first item comes. No entries are removed to make room.

        Raises:
            SharedDictFullError: there is no room.
            TypeError: the key has a value that is no list.
        """
        return self._push(key, value, left=True)

    def rpush(self, key: str | bytes, value: Any) -> int:
        """Do what `lpush` does after the last item."""
        return self._push(key, value)

    def lpop(self, key: str | bytes) -> Any:
        """
        Remove the first item of a list, and return it; None if there is no list.

        Raises:
            TypeError: the key has a value that is no list.
        """
        return self._pop(key, left=True)

    def rpop(self, key: str | bytes) -> Any:
        """Do what `lpop` does with the last item."""
        return self._pop(key)

    def llen(self, key: str | bytes) -> int:
        """
        Return the length of a list; 0 if there is none.

        Raises:
            TypeError: the key has a value that is no list.
        """
        length, error = self._zone.llen(_key(key))
        if length is None:
            raise self._failure(error, key)
        return length

    def ttl(self, key: str | bytes) -> float:
        """
        Return in how many seconds a key expires; 0 if it never does.

        Raises:
            KeyError: there is no such key.
        """
        seconds, error = self._zone.ttl(_key(key))
        if seconds is None:
            raise self._failure(error, key)
        return seconds

    def expire(self, key: str | bytes, exptime: float) -> None:
        """
        Set in how many seconds a key expires; 0 means never.

        Raises:
            KeyError: there is no such key.
        """
        done, error = self._zone.expire(_key(key), _seconds("exptime", exptime))
        if not done:
            raise self._failure(error, key)

    def flush_all(self) -> None:
        """Have all keys expire."""
        self._zone.flush_all()

    def flush_expired(self, max_count: int = 0) -> int:
        """Free the memory of keys that have expired, all (0) or some, and return how many."""
        return self._zone.flush_expired(max_count)

    def get_keys(self, max_count: int = 1024) -> list[Any]:
        """Return the keys, all (0) or some, the one that was not used for the longest first."""
        return [self._decoded(key) for key in self._zone.get_keys(max_count)]

    def capacity(self) -> int:
        """Return the size in bytes."""
        return self._zone.size

    def free_space(self) -> int:
        """Return the size in bytes of the free pages; those in use may have room, too."""
        return self._zone.free_space()

    @property
    def evicted(self) -> int:
        """How many entries that had not expired were removed to make room for others."""
        return self._zone.evicted

    def __getitem__(self, key: str | bytes) -> Any:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: str | bytes, value: Any) -> None:
        self.set(key, value)

    def __delitem__(self, key: str | bytes) -> None:
        if not self._zone.delete(_key(key)):
            raise KeyError(key)

    def __contains__(self, key: str | bytes) -> bool:
        return self._zone.ttl(_key(key))[0] is not None

    def __len__(self) -> int:
        return len(self._zone.get_keys(0))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.get_keys(0))

    def _store(self, key: str | bytes, value: Any, exptime: float, flags: int, **how: bool) -> bool:
        if not 0 <= flags <= _MAX_FLAGS:
            raise ValueError(f"flags must have 32 bits, not be {flags!r}")
        done, error, _ = self._zone.store(
            _key(key), _value(value), _seconds("exptime", exptime), flags, **how
        )
        if error == b"no memory":
            raise self._failure(error, key)
        return done

    def _push(self, key: str | bytes, value: Any, left: bool = False) -> int:
        if isinstance(value, bool):
            raise _bad_type(value)
        length, error = self._zone.push(_key(key), _value(value), left)
        if length is None:
            raise self._failure(error, key)
        return length

    def _pop(self, key: str | bytes, left: bool = False) -> Any:
        value, error = self._zone.pop(_key(key), left)
        if error is not None:
            raise self._failure(error, key)
        return None if value is None else self._decoded(value)

    def _decoded(self, value: Value) -> Any:
        if self._as_text and isinstance(value, bytes):
            try:
                return value.decode()
            except UnicodeDecodeError:
                raise MarshalError(
                    f'shared dict "{self.name}": {value[:40]!r} is not valid UTF-8; '
                    "with encoding=None strings are bytes"
                ) from None
        return value

    def _failure(self, error: bytes | None, key: str | bytes) -> Exception:
        """Return the exception for an error in OpenResty's words."""
        assert error is not None
        if error == b"no memory":
            return SharedDictFullError(self.name)
        if error == b"not found":
            return KeyError(key)
        return TypeError(error.decode())


def _key(key: str | bytes) -> bytes:
    if isinstance(key, str):
        key = key.encode()
    elif not isinstance(key, bytes):
        raise TypeError(f"a key is str or bytes, not {type(key).__name__}")
    if not key:
        raise ValueError("empty key")
    if len(key) > _MAX_KEY:
        raise ValueError("key too long")
    return key


def _value(value: Any) -> Value:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise _bad_type(value)


def _number(value: Any) -> Number:
    if isinstance(value, float):
        return float(value)
    if not isinstance(value, int):
        raise _bad_type(value)
    if not -(1 << 63) <= value < 1 << 63:
        raise OverflowError("an int in a shared dict has 64 bits")
    return int(value)


def _seconds(name: str, value: float) -> float:
    if not value >= 0:  # It may be nan.
        raise ValueError(f'bad "{name}" argument: {value!r}')
    return value


def _bad_type(value: Any) -> TypeError:
    return TypeError(f"bad value type: {type(value).__name__}")


# --------------------------------------------------------------------------------------- for Lua


def _packed(strings: Iterable[bytes]) -> bytes:
    """Return strings as one, as netstrings without the comma: Lua cannot take a million results."""
    return b"".join([b"%d:%s" % (len(string), string) for string in strings])


# The checks are in lua/ngx/shared.lua.
_OPERATIONS: Final[dict[bytes, Callable[..., object]]] = {
    b"get": Zone.get,
    b"get_stale": partial(Zone.get, stale=True),
    b"set": Zone.store,
    b"safe_set": partial(Zone.store, safe=True),
    b"add": partial(Zone.store, add=True),
    b"safe_add": partial(Zone.store, add=True, safe=True),
    b"replace": partial(Zone.store, replace=True),
    b"incr": Zone.incr,
    b"lpush": partial(Zone.push, left=True),
    b"rpush": Zone.push,
    b"lpop": partial(Zone.pop, left=True),
    b"rpop": Zone.pop,
    b"llen": Zone.llen,
    b"ttl": Zone.ttl,
    b"expire": Zone.expire,
    b"flush_all": Zone.flush_all,
    b"flush_expired": Zone.flush_expired,
    b"get_keys": lambda zone, max_count: _packed(zone.get_keys(max_count)),
    b"capacity": lambda zone: zone.size,
    b"free_space": Zone.free_space,
}


def upcalls(worker: NgxWorker) -> dict[bytes, Callable[..., object]]:
    """Return what shared.lua calls: operations, which take the name of a zone first."""
    shared = worker.shared

    def on_zone(operation: Callable[..., object]) -> Callable[..., object]:
        return lambda name, *args: operation(shared[name.decode()]._zone, *args)

    return {
        b"shared": lambda: _packed(name.encode() for name in shared),
        **{b"shared." + name: on_zone(operation) for name, operation in _OPERATIONS.items()},
    }
