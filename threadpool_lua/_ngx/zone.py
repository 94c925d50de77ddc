"""
What nginx keeps in a shared memory zone of `lua_shared_dict`, kept in the memory of this process.

Keys and strings are bytes, and operations return what they return in Lua: the result, then the
error in OpenResty's words.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from itertools import islice
from time import monotonic_ns
from typing import Final, TypeAlias
from weakref import WeakSet

Value: TypeAlias = bytes | int | float | bool
Number: TypeAlias = int | float

# Times are milliseconds.
_NEVER = 1 << 63
_LONG_AGO = 0
_MAX_EXPTIME = 1 << 53  # as good as never

# What nginx keeps with an entry (ngx_rbtree_node_t up to its color, ngx_http_lua_shdict_node_t up
# to its data), in it if its value is a list (ngx_queue_t), and with each item of that.
_NODE = 68
_QUEUE = 16
_LIST_NODE = 21

_MOST_EVICTED = 30  # entries at most that one makes room for another
_MOST_EXPIRED = 2  # entries at most that each operation removes because they have expired


def now_in_milliseconds() -> int:
    return monotonic_ns() // 1_000_000


class Slab:
    """
    Counts what nginx's slab allocator (ngx_slab.c) would have in use in a zone.

    It has pages, and cuts them into chunks of one power of two each. Larger pieces take whole
    pages. Here nothing is fragmented: chunks of a size take as few pages as hold them.
    """

    PAGE: Final = 4096

    _MAX_CHUNK = 2048
    _MIN_SHIFT = 3
    # Small chunks share their page with a bitmap that says which of them are in use.
    _CHUNKS = (0, 0, 0, 504, 254, 127, 64, 32, 16, 8, 4, 2)  # in a page, by shift

    # ngx_slab_pool_t, nine slots and their statistics; what describes a page (ngx_slab_page_t).
    _POOL = 704
    _PAGE_HEADER = 24

    __slots__ = ("_used", "free_pages")

    def __init__(self, size: int) -> None:
        pages = (size - self._POOL) // (self.PAGE + self._PAGE_HEADER)
        start = -(-(self._POOL + pages * self._PAGE_HEADER) // self.PAGE)
        self.free_pages = min(pages, size // self.PAGE - start)
        self._used = [0] * len(self._CHUNKS)

    def take(self, size: int) -> bool:
        """Take a piece of memory; return whether there is one."""
        if size > self._MAX_CHUNK:
            pages = -(-size // self.PAGE)
            if pages > self.free_pages:
                return False
            self.free_pages -= pages
            return True
        shift = max((size - 1).bit_length(), self._MIN_SHIFT)
        if self._used[shift] % self._CHUNKS[shift] == 0:
            if not self.free_pages:
                return False
            self.free_pages -= 1
        self._used[shift] += 1
        return True

    def give_back(self, size: int) -> None:
        """Give a piece back that was taken."""
        if size > self._MAX_CHUNK:
            self.free_pages += -(-size // self.PAGE)
            return
        shift = max((size - 1).bit_length(), self._MIN_SHIFT)
        self._used[shift] -= 1
        if self._used[shift] % self._CHUNKS[shift] == 0:
            self.free_pages += 1


class _Entry:
    __slots__ = ("expires", "flags", "size", "value")

    def __init__(self, value: Value | deque[Value], size: int) -> None:
        self.value = value
        self.size = size  # that the slab gave for it, without the items of a list
        self.expires = _NEVER
        self.flags = 0


def _size(value: Value) -> int:
    """Return the number of bytes that nginx keeps a value in."""
    return len(value) if type(value) is bytes else 1 if type(value) is bool else 8


class Zone:
    """
    The entries of a shared dictionary, the one that was not used for the longest time first.

    Every operation is atomic: it holds the lock, for a moment.

    Attributes:
        size: the size of the zone in bytes.
        evicted: how many entries were removed before they had expired, to make room for others.
    """

    __slots__ = ("__weakref__", "_entries", "_now", "_slab", "evicted", "lock", "size")

    def __init__(
        self, name: bytes, size: int, now: Callable[[], int] = now_in_milliseconds
    ) -> None:
        self.lock = threading.Lock()
        self.size = size
        self.evicted = 0
        self._now = now
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._slab = Slab(size)
        # nginx keeps the root of its tree there, and the name for its messages.
        self._slab.take(80)
        self._slab.take(len(b' in lua_shared_dict zone ""\0') + len(name))
        _zones.add(self)

    def get(self, key: bytes, stale: bool = False) -> tuple[Value | None, int | bytes | None, bool]:
        """
        Look an entry up.

        Args:
            key: its key.
            stale: whether one that has expired will do.

        Returns:
            The value, the flags unless they are 0, and whether it has expired; or None and the
            error, if it is one that there is no such entry.
        """
        with self.lock:
            now = self._now()
            if not stale:
                self._remove_expired(now)
            entry = self._touch(key)
            if entry is None or (entry.expires <= now and not stale):
                return None, None, False
            if isinstance(entry.value, deque):
                return None, b"value is a list", False
            return entry.value, entry.flags or None, entry.expires <= now

    def store(
        self,
        key: bytes,
        value: Value | None,
        exptime: float = 0,
        flags: float = 0,
        *,
        add: bool = False,
        replace: bool = False,
        safe: bool = False,
    ) -> tuple[bool, bytes | None, bool]:
        """
        Set an entry, or remove it.

        Args:
            key: its key.
            value: its value; None removes it.
            exptime: in how many seconds it expires; 0 means never.
            flags: a number of the user's, of 32 bits.
            add: do nothing if it is there.
            replace: do nothing if it is not there.
            safe: remove no others that have not expired to make room for it.

        Returns:
            Whether it was done, the error, and whether others that had not expired were removed.
        """
        if value is None:
            if add or replace:
                return False, b"attempt to add or replace nil values", False
            self.delete(key)
            return True, None, False
        with self.lock:
            now = self._now()
            self._remove_expired(now)
            entry = self._touch(key)
            is_there = entry is not None and entry.expires > now
            if add and is_there:
                return False, b"exists", False
            if replace and not is_there:
                return False, b"not found", False
            entry, forcible = self._make(key, entry, value, now, safe)
            if entry is None:
                return False, b"no memory", forcible
            entry.expires = _deadline(now, exptime)
            entry.flags = int(flags) & 0xFFFFFFFF
            return True, None, forcible

    def delete(self, key: bytes) -> bool:
        """Remove an entry; return whether there was one that had not expired."""
        with self.lock:
            now = self._now()
            self._remove_expired(now)
            entry = self._entries.get(key)
            if entry is None:
                return False
            self._remove(key)
            return entry.expires > now

    def incr(
        self, key: bytes, value: Number, init: Number | None = None, init_ttl: float = 0
    ) -> tuple[Number | None, bytes | None, bool]:
        """
        Add to a number.

        Args:
            key: its key.
            value: what to add.
            init: what it is before if it is not there.
            init_ttl: in how many seconds it expires if it was not there; 0 means never.

        Returns:
            The new number, or None; the error, and whether others that had not expired were
            removed.
        """
        with self.lock:
            now = self._now()
            self._remove_expired(now)
            entry = self._touch(key)
            if entry is not None and entry.expires > now:
                number = entry.value
                if type(number) is not int and type(number) is not float:
                    return None, b"not a number", False
                entry.value = number = _sum(number, value)
                return number, None, False
            if init is None:
                return None, b"not found", False
            number = _sum(init, value)
            entry, forcible = self._make(key, entry, number, now)
            if entry is None:
                return None, b"no memory", forcible
            entry.expires = _deadline(now, init_ttl)
            entry.flags = 0
            return number, None, forcible

    def push(self, key: bytes, value: Value, left: bool = False) -> tuple[int | None, bytes | None]:
        """Put an item at one end of a list, and return its length. No other entry goes for it."""
        with self.lock:
            now = self._now()
            self._remove_expired(now)
            entry = self._touch(key)
            if entry is not None and entry.expires <= now:
                self._remove(key)
                entry = None
            if entry is None:
                size = -(-(_NODE + len(key) + _QUEUE) // 8) * 8
                if not self._slab.take(size):
                    return None, b"no memory"
                entry = self._entries[key] = _Entry(deque(), size)
            items = entry.value
            if not isinstance(items, deque):
                return None, b"value not a list"
            if not self._slab.take(_LIST_NODE + _size(value)):
                if not items:
                    self._remove(key)
                return None, b"no memory"
            if left:
                items.appendleft(value)
            else:
                items.append(value)
            return len(items), None

    def pop(self, key: bytes, left: bool = False) -> tuple[Value | None, bytes | None]:
        """Take an item from one end of a list."""
        with self.lock:
            items, error = self._list(key)
            if not items:
                return None, error
            value = items.popleft() if left else items.pop()
            self._slab.give_back(_LIST_NODE + _size(value))
            if not items:
                self._remove(key)
            return value, None

    def llen(self, key: bytes) -> tuple[int | None, bytes | None]:
        """Return the length of a list; 0 if there is none."""
        with self.lock:
            items, error = self._list(key)
            return None if error else len(items or ()), error

    def ttl(self, key: bytes) -> tuple[float | None, bytes | None]:
        """Return in how many seconds an entry expires; 0 if it never does."""
        with self.lock:
            entry = self._entries.get(key)
            now = self._now()
            if entry is None or entry.expires <= now:
                return None, b"not found"
            return 0 if entry.expires == _NEVER else (entry.expires - now) / 1000, None

    def expire(self, key: bytes, exptime: float) -> tuple[bool | None, bytes | None]:
        """Set in how many seconds an entry expires, even if it already has."""
        with self.lock:
            entry = self._entries.get(key)
            if entry is None:
                return None, b"not found"
            entry.expires = _deadline(self._now(), exptime)
            return True, None

    def flush_all(self) -> None:
        """Have all entries expire. Their memory is free when they are removed."""
        with self.lock:
            for entry in self._entries.values():
                entry.expires = _LONG_AGO
            self._evict(self._now())

    def flush_expired(self, max_count: int = 0) -> int:
        """Remove entries that have expired, all or some, and return how many."""
        with self.lock:
            now = self._now()
            expired = (key for key, entry in self._entries.items() if entry.expires <= now)
            keys = list(islice(expired, max_count if max_count > 0 else None))
            for key in keys:
                self._remove(key)
            return len(keys)

    def get_keys(self, max_count: int = 1024) -> list[bytes]:
        """Return the keys of entries that have not expired, all (0) or some."""
        with self.lock:
            now = self._now()
            keys = (key for key, entry in self._entries.items() if entry.expires > now)
            return list(islice(keys, max_count if max_count > 0 else None))

    def free_space(self) -> int:
        """Return the size of the pages that are free; there may be room in those in use."""
        return self._slab.free_pages * Slab.PAGE

    # What follows is for who holds the lock.

    def _touch(self, key: bytes) -> _Entry | None:
        """Return an entry, which is the last now to be removed for others."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def _list(self, key: bytes) -> tuple[deque[Value] | None, bytes | None]:
        now = self._now()
        self._remove_expired(now)
        entry = self._touch(key)
        if entry is None or entry.expires <= now:
            return None, None
        if not isinstance(entry.value, deque):
            return None, b"value not a list"
        return entry.value, None

    def _make(
        self, key: bytes, old: _Entry | None, value: Value, now: int, safe: bool = False
    ) -> tuple[_Entry | None, bool]:
        """
        Return an entry of a value that takes the place of an old one, if there is memory.

        As in nginx, the old one is gone if there is not.
        """
        size = _NODE + len(key) + _size(value)
        if old is not None:
            if old.size == size and not isinstance(old.value, deque):
                old.value = value
                return old, False
            self._remove(key)
        forcible = False
        evictions = 0
        while not self._slab.take(size):
            if safe or evictions == _MOST_EVICTED or not self._entries:
                return None, forcible
            forcible |= self._evict(now)
            evictions += 1
        entry = self._entries[key] = _Entry(value, size)
        return entry, forcible

    def _evict(self, now: int) -> bool:
        """Remove the oldest entry, if any; return whether it had not expired."""
        for key, entry in self._entries.items():
            is_valid = entry.expires > now
            self.evicted += is_valid
            self._remove(key)
            self._remove_expired(now)
            return is_valid
        return False

    def _remove_expired(self, now: int) -> None:
        """Remove the oldest entries, one or two, if they have expired."""
        for _ in range(_MOST_EXPIRED):
            for key, entry in self._entries.items():
                if entry.expires > now:
                    return
                self._remove(key)
                break

    def _remove(self, key: bytes) -> None:
        entry = self._entries.pop(key)
        self._slab.give_back(entry.size)
        if isinstance(entry.value, deque):
            for item in entry.value:
                self._slab.give_back(_LIST_NODE + _size(item))


def _deadline(now: int, exptime: float) -> int:
    duration = int(min(max(exptime, 0) * 1000, _MAX_EXPTIME))
    return now + duration if duration > 0 else _NEVER


def _sum(one: Number, other: Number) -> Number:
    """Add as Lua does, but have what no 64 bits hold become a float, as nginx has all numbers."""
    number = one + other
    if type(number) is int and not -(1 << 63) <= number < 1 << 63:
        return float(number)
    return number


_zones: WeakSet[Zone] = WeakSet()


def _renew_locks() -> None:
    """In a forked child: a thread that held a lock stayed in the parent."""
    for zone in _zones:
        zone.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
