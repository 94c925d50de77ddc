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
from ._function import Function
from ._implementation import Implementation
from .lua import source

# How a step ended, where it did not end with nothing or one plain value: see dispatcher.lua.
_PACKED, _SLICED, _LARGE, _FAILED, _UNCOMPILED, _REFUSED_ARGUMENT, _REFUSED_RESULT = range(1, 8)

_MAX_ARGUMENTS = 7000  # that all implementations take; as in dispatcher.lua
_CHUNKS_KEPT = 1000  # compiled chunks in one state; a guess at what a service has in use
_OURS = b"^threadpool_lua/[%w_]+%.lua"  # how the names of our own chunks begin, as a Lua pattern

_bytecode: dict[tuple[str, str], bytes] = {}  # of our own Lua files, by implementation and file

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
        "_export",
        "_fetch",
        "_fetch_slice",
        "_implementation",
        "_import",
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

        def load(name: str, *args: Any) -> Any:
            # Lua reads its own bytecode many times as fast as it compiles, which holds the GIL.
            key = (options.implementation.name, name)
            if key not in _bytecode:
                function = runtime.compile(source(name), name=f"=threadpool_lua/{name}".encode())
                _bytecode[key] = runtime.eval(b"string.dump")(function)
            return runtime.execute(_bytecode[key], *args)

        depth = values.MAX_DEPTH
        wire = load(options.implementation.wire)
        rules = load("values.lua")
        read = load("reader.lua", wire, rules, depth)
        write, self._fetch_slice = load("writer.lua", wire, rules, depth)
        environments = load("environments.lua", rules, options.package_path, options.package_cpath)
        functions = load("functions.lua", rules, environments, depth, _OURS)
        (
            self._compile,
            self._start,
            self._start_packed,
            self._fetch,
            self._export,
            self._import,
            init,
            self._close,
        ) = load(
            "dispatcher.lua",
            read,
            write,
            wire[b"address"],
            environments,
            functions,
            options.as_text,
            _OURS,
        )
        self._implementation = options.implementation.name
        self._lupa_error = options.implementation.module.LuaError
        self._slots: dict[Chunk | Function | str, int] = {}
        self._integers = options.implementation.integers
        self._min_integer = self._integers[0]
        self._max_integer = self._integers[-1]
        self._as_text = options.as_text
        if options.init is not None:
            failure = init(options.init.source, options.init.chunkname)
            if failure is not None:
                raise self._failure(failure)

    def run(self, chunk: Chunk | Function | str, args: tuple[object, ...]) -> object:
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
                        result = self._run_packed(slot, chunk, args)
                        break
                elif kind is str or kind is bytes:
                    result = self._run_encoded(slot, chunk, args)
                    break
                elif kind not in values.PLAIN_TYPES:
                    result = self._run_packed(slot, chunk, args)
                    break
            else:
                result = self._start(slot, *args)
        except self._lupa_error as error:
            if len(args) > _MAX_ARGUMENTS:
                raise MarshalError(f"{len(args)} arguments: too many") from None
            raise _foreign(error) from None
        kind = type(result)
        if kind is tuple:
            if result[0] != _PACKED:
                return self._outcome(result, len(args))
            results = values.unpack(result[1])
            return results[0] if len(results) == 1 else tuple(results)
        if kind is bytes and self._as_text:
            return values.text(result)
        return result

    def export(self, chunk: Chunk | str) -> Function:
        """
        Run a task that returns a function, and return that for another state.

        Raises:
            LuaError: the code failed or does not compile.
            MarshalError: the function, or what it refers to, cannot cross.
        """
        try:
            result = self._export(self._slots.get(chunk) or self._slot(chunk))
        except self._lupa_error as error:
            raise _foreign(error) from None
        if result[0] == _PACKED:
            (description,) = values.unpack(result[1])
        else:
            description = self._outcome(result, 0)
        return Function(self._implementation, values.pack((description,)))

    def close(self) -> None:
        """Free what the state holds. It must not be used afterwards."""
        with suppress(self._lupa_error):  # A `__gc` of the user's may fail; the state goes anyway.
            self._close()

    def _run_encoded(
        self, slot: int, chunk: Chunk | Function | str, args: tuple[object, ...]
    ) -> Any:
        """Run a task with strings among its arguments, which lupa passes if they are bytes."""
        encoded: list[object] = []
        for arg in args:
            kind = type(arg)
            if kind is str or kind is bytes:
                string: Any = arg
                if kind is str:
                    try:
                        string = string.encode()
                    except UnicodeEncodeError:
                        break
                if len(string) > values.MAX_SIZE:
                    raise values.too_large()
                encoded.append(string)
            elif kind in values.PLAIN_TYPES or (kind is int and arg in self._integers):
                encoded.append(arg)
            else:
                break
        else:
            return self._start(slot, *encoded)
        return self._run_packed(slot, chunk, args)

    def _run_packed(
        self, slot: int, chunk: Chunk | Function | str, args: tuple[object, ...]
    ) -> Any:
        """Run a task with arguments that lupa does not pass as they are."""
        try:
            packed = values.pack(args)
        except ValueError:
            pass
        else:
            if len(packed) > values.MAX_SIZE:
                raise values.too_large()
            result = self._start_packed(slot, packed, False)
            if type(result) is not tuple or result[0] != _REFUSED_ARGUMENT:
                return result
            if values.types_are_known(args):
                result = self._start_packed(slot, packed, True)
                if type(result) is not tuple or result[0] != _REFUSED_ARGUMENT:
                    return result
        # The names of module and function are no arguments to who calls it.
        first = -1 if chunk is CALL else 1
        packed = values.pack_checked(args, self._integers, first)
        if len(packed) > values.MAX_SIZE:
            raise values.too_large()
        return self._start_packed(slot, packed, True)

    def _slot(self, chunk: Chunk | Function | str) -> int:
        """Compile a chunk that this state has not, or no longer, compiled."""
        if isinstance(chunk, Chunk | Function):
            code = chunk
        elif isinstance(chunk, str):
            code = Chunk(chunk)
        else:
            raise TypeError(f"a task is Lua source (str) or a Chunk, not {type(chunk).__name__}")
        slots = self._slots
        hash(chunk)  # Nothing must fail once a place has been taken.
        # The oldest makes room: sources made up on the fly must not pile up.
        oldest = next(iter(slots)) if len(slots) >= _CHUNKS_KEPT else None
        slot = len(slots) + 1 if oldest is None else slots[oldest]
        if isinstance(code, Function):
            if code.implementation != self._implementation:
                raise MarshalError(
                    f"cannot pass a function of {code.implementation} to {self._implementation}"
                )
            self._import(slot, code.packed)
        else:
            failure = self._compile(slot, code.source, code.chunkname)
            if failure is not None:
                raise self._failure(failure)
        if oldest is not None:
            del slots[oldest]
        slots[chunk] = slot
        return slot

    def _outcome(self, result: tuple[Any, ...], count: int) -> object:
        kind, fact = result[:2]
        if kind == _SLICED:
            results = self._sliced()
            return results[0] if len(results) == 1 else tuple(results)
        if kind == _LARGE:
            address, length = result[1:]
            with _one_large_result_at_a_time:
                if address and self._as_text:
                    try:
                        return values.text_at(address, length)
                    finally:
                        self._fetch(True)
                string = self._fetch()
                sleep(0)  # Lets go of the GIL for once: the loop may have waited long enough.
                return values.text(string) if self._as_text else string
        if kind in (_FAILED, _UNCOMPILED):
            raise self._failure(result)
        if kind == _REFUSED_ARGUMENT:
            raise MarshalError(f"{count} arguments: {_show(fact)}")
        raise MarshalError(_show(fact))

    def _sliced(self) -> list[Any]:
        """Read a large result, and let the loop have the GIL between its slices."""
        slices = values.Slices()
        try:
            while True:
                with _one_large_result_at_a_time:
                    piece = self._fetch_slice()
                    if piece is None:
                        return slices.values
                    slices.add(*piece)
                sleep(0)
        except BaseException:
            self._fetch_slice(True)
            raise

    def _failure(self, failure: tuple[Any, ...]) -> LuaError:
        """Return the error that dispatcher.lua described."""
        kind, message, chunk_name, line, *rest = failure
        text = _show(message)
        chunk = None if chunk_name is None else _show(chunk_name)
        if kind == _UNCOMPILED:
            return LuaSyntaxError(text, value=text, chunk=chunk, line=line)
        traceback, packed = rest
        value = None
        if packed is not None:
            with suppress(MarshalError):  # It holds a string that is not valid UTF-8.
                value = (self._sliced() if packed is True else values.unpack(packed))[0]
        return LuaError(text, value=value, chunk=chunk, line=line, traceback=_show(traceback))


# Copying and decoding hold the GIL. If threads took turns at that, the loop, which waits for the
# GIL as they do, would wait for several of them.
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
