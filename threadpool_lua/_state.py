"""A Lua state and the tasks that it runs: the only user of lupa."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from time import sleep
from typing import Any, Final

from . import _values as values
from ._chunk import Chunk
from ._exceptions import LuaError, LuaSyntaxError, MarshalError
from ._implementation import Implementation
from .lua import source

# How a step ended, where it did not end with nothing or one plain value: see dispatcher.lua.
_PACKED, _LARGE, _FAILED, _UNCOMPILED, _REFUSED_ARGUMENT, _REFUSED_RESULT = range(1, 7)

_CHUNKS_KEPT = 1000  # compiled chunks in one state; a guess at what a service has in use
_VALUES = source("values.lua")
_DISPATCHER = source("dispatcher.lua")

CALL: Final = Chunk(source("call.lua"), "threadpool_lua/call.lua")
"""Calls a function of a module: the arguments are both names and the function's own arguments."""


@dataclass(frozen=True)
class StateOptions:
    """What all the states of a pool have in common."""

    implementation: Implementation
    package_path: bytes | None
    package_cpath: bytes | None
    init: Chunk | None
    as_text: bool
    """Whether Lua strings become ``str`` (UTF-8), or else ``bytes``."""


class State:
    """
    One Lua state, entered by one thread at a time.

    It is made, used and closed on pool threads only: touching any object of lupa can block until
    Lua code returns.

    Raises:
        LuaError: the ``init`` chunk failed.
        LuaSyntaxError: the ``init`` chunk does not compile.
    """

    __slots__ = (
        "_as_text",
        "_close",
        "_compile",
        "_fetch",
        "_integers",
        "_lupa_error",
        "_max_integer",
        "_min_integer",
        "_slots",
        "_start",
        "_start_packed",
    )

    def __init__(self, options: StateOptions) -> None:
        runtime = options.implementation.module.LuaRuntime(
            # Strings cross as bytes, so that any string does, and lupa raises nothing of its own.
            encoding=None,
            register_eval=False,
            register_builtins=False,
            attribute_filter=_no_attribute,
        )
        rules = runtime.execute(
            _VALUES, values.MAX_DEPTH, options.as_text, name=b"=threadpool_lua/values.lua"
        )
        self._compile, self._start, self._start_packed, self._fetch, init, self._close = (
            runtime.execute(
                _DISPATCHER,
                rules,
                options.package_path,
                options.package_cpath,
                name=b"=threadpool_lua/dispatcher.lua",
            )
        )
        self._lupa_error = options.implementation.module.LuaError
        self._slots: dict[Chunk | str, int] = {}
        self._integers = options.implementation.integers
        self._min_integer = self._integers[0]
        self._max_integer = self._integers[-1]
        self._as_text = options.as_text
        if options.init is not None:
            failure = init(options.init.source, options.init.chunkname)
            if failure is not None:
                raise _lua_error(failure)

    def run(self, chunk: Chunk | str, args: tuple[object, ...]) -> object:
        """
        Run a task to its end and return its result.

        Raises:
            LuaError: the code failed or does not compile.
            MarshalError: an argument or a result cannot cross.
            TypeError: `chunk` is no chunk.
        """
        try:
            try:
                slot = self._slots[chunk]
            except (KeyError, TypeError):
                slot = 0  # Compiled below, so that its errors have no KeyError as their context.
            if not slot:
                slot = self._slot(chunk)
            for arg in args:
                kind = type(arg)
                if kind is int:
                    if not self._min_integer <= arg <= self._max_integer:  # type: ignore[operator]
                        result = self._run_unplain(slot, chunk, args)
                        break
                elif kind not in values.PLAIN_TYPES:
                    result = self._run_unplain(slot, chunk, args)
                    break
            else:
                result = self._start(slot, *args)
        except self._lupa_error as error:
            raise _foreign(error) from None
        kind = type(result)
        if kind is tuple:
            return self._outcome(result, len(args))
        if kind is bytes and self._as_text:
            return values.text(result)
        return result

    def close(self) -> None:
        """Free what the state holds. It must not be used afterwards."""
        with suppress(self._lupa_error):  # A `__gc` of the user's may fail; the state goes anyway.
            self._close()

    def _run_unplain(self, slot: int, chunk: Chunk | str, args: tuple[object, ...]) -> Any:
        """Run a task with arguments that lupa does not pass as they are."""
        try:
            plain = [arg.encode() if type(arg) is str else arg for arg in args]
        except UnicodeEncodeError:
            plain = list(args)
        for arg in plain:
            kind = type(arg)
            if kind not in values.PLAIN_TYPES and (kind is not int or arg not in self._integers):
                break
        else:
            return self._start(slot, *plain)
        # The names of module and function are no arguments to who calls it.
        first = -1 if chunk is CALL else 1
        packed, checked = values.pack(args, self._integers, first)
        result = self._start_packed(slot, packed, checked)
        if not checked and type(result) is tuple and result[0] == _REFUSED_ARGUMENT:
            packed = values.pack_checked(args, self._integers, first)
            result = self._start_packed(slot, packed, True)
        return result

    def _slot(self, chunk: Chunk | str) -> int:
        """Compile a chunk that this state has not, or no longer, compiled."""
        if isinstance(chunk, str):
            code = Chunk(chunk)
        elif isinstance(chunk, Chunk):
            code = chunk
        else:
            raise TypeError(f"a task is Lua source (str) or a Chunk, not {type(chunk).__name__}")
        slots = self._slots
        # The oldest makes room: sources made up on the fly must not pile up.
        oldest = next(iter(slots)) if len(slots) >= _CHUNKS_KEPT else None
        slot = len(slots) + 1 if oldest is None else slots[oldest]
        failure = self._compile(slot, code.source, code.chunkname)
        if failure is not None:
            raise _lua_error(failure)
        if oldest is not None:
            del slots[oldest]
        slots[chunk] = slot
        return slot

    def _outcome(self, result: tuple[Any, ...], count: int) -> object:
        kind, *facts = result
        if kind == _PACKED:
            return self._unpacked(facts[0])
        if kind == _LARGE:
            # Copying and decoding hold the GIL. If threads took turns at that, the loop, which
            # waits for the GIL as they do, would wait for several of them.
            with _one_large_result_at_a_time:
                string = self._fetch()
                sleep(0)  # Lets go of the GIL for once: the loop may have waited long enough.
                if facts[0]:
                    return self._unpacked(string)
                return values.text(string) if self._as_text else string
        if kind in (_FAILED, _UNCOMPILED):
            raise _lua_error(result)
        if kind == _REFUSED_ARGUMENT:
            raise MarshalError(f"{count} arguments: {_show(facts[0])}")
        raise MarshalError(_show(facts[0]))

    def _unpacked(self, packed: bytes) -> object:
        results = values.unpack(packed)
        return results[0] if len(results) == 1 else tuple(results)


_one_large_result_at_a_time = threading.Lock()


def _renew_lock() -> None:
    """In a forked child: the thread that may have held the lock stayed in the parent."""
    global _one_large_result_at_a_time
    _one_large_result_at_a_time = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def _no_attribute(obj: object, name: object, is_setting: bool) -> object:
    """Lua sees no attribute of any Python object, should one ever get there."""
    raise AttributeError("access denied")


def _foreign(error: Exception) -> LuaError:
    """
    Return our error for one of lupa's own.

    The dispatcher lets no error of a task through, so this is a state at its limits: no memory, or
    no room on the stack for the arguments.
    """
    return LuaError(str(error) or "not enough memory")


def _show(string: bytes) -> str:
    """Decode text that is for people: it may hold any byte."""
    return string.decode(errors="backslashreplace")


def _lua_error(failure: tuple[Any, ...]) -> LuaError:
    """Return the error that dispatcher.lua described."""
    kind, message, chunk_name, line, *rest = failure
    text = _show(message)
    chunk = None if chunk_name is None else _show(chunk_name)
    if kind == _UNCOMPILED:
        return LuaSyntaxError(text, value=text, chunk=chunk, line=line)
    traceback, packed = rest
    try:
        value = None if packed is None else values.unpack(packed)[0]
    except MarshalError:  # It holds a string that is not valid UTF-8.
        value = None
    return LuaError(text, value=value, chunk=chunk, line=line, traceback=_show(traceback))
