"""A Lua state and the tasks that it starts and resumes: the only user of lupa."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import sleep
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from . import _outcomes as outcomes, _values as values
from ._chunk import Chunk
from ._exceptions import LuaError, LuaSyntaxError, MarshalError
from ._function import Function
from ._host import HostFunction, HostFunctions
from ._implementation import Implementation
from ._limits import Isolation, Limiter, Limits
from ._ngx.semaphores import Waiters
from ._upcalls import upcall
from .lua import source

if TYPE_CHECKING:
    from ._ngx.worker import NgxWorker

# The outcome that the fast path looks for.
_PACKED: Final = outcomes.PACKED

_logger = logging.getLogger("threadpool_lua")

_MAX_ARGUMENTS = 7000  # that all implementations take; as in dispatcher.lua
_CHUNKS_KEPT = 1000  # compiled chunks in one state; a guess at what a service has in use
_OURS = b"^threadpool_lua/[%w_/]+%.lua"  # how the names of our own chunks begin, as a Lua pattern

_bytecode: dict[tuple[str, str], bytes] = {}  # of our own Lua files, by implementation and file

Code: TypeAlias = "Chunk | Function | Native | str"

CALL: Final = Chunk(source("call.lua"), "threadpool_lua/call.lua")
"""Calls a function of a module: the arguments are both names and the function's own arguments."""


def _no_functions() -> HostFunctions:
    return HostFunctions()


@dataclass(frozen=True, slots=True)
class Native:
    """A function of ours in Lua that is run as a chunk is; ``lua/ngx.lua`` has it by its name."""

    name: str


@dataclass(frozen=True)
class StateOptions:
    """What all the states of a pool have in common."""

    implementation: Implementation
    package_path: bytes | None
    package_cpath: bytes | None
    init: tuple[Chunk, ...]
    """What runs first of all, one after the other."""

    as_text: bool
    """Whether Lua strings become ``str`` (UTF-8), or else ``bytes``."""

    ngx: NgxWorker
    """What tasks have in common through ``ngx``."""

    functions: Callable[[], HostFunctions | None] = _no_functions
    """A weak reference to the host functions. More may come while the pool is open."""

    isolation: Isolation = "task"
    limits: Limits | None = None
    """What tasks may use, if there is a limit to anything."""

    modules: tuple[str, ...] | None = None
    """In a sandbox the modules that may be required; elsewhere None."""


class Pause:
    """
    What a step of a task returns that has not ended: its coroutine waits to be resumed.

    Attributes:
        place: the number of its coroutine in the state.
        function: the function that it calls, or None if it has yielded.
        values: the function's arguments, or the yielded values.
        refusal: why the values cannot cross, if they cannot.
    """

    __slots__ = ("function", "place", "refusal", "values")

    def __init__(
        self,
        place: int,
        function: HostFunction | None,
        values: Sequence[Any],
        refusal: MarshalError | None = None,
    ) -> None:
        self.place = place
        self.function = function
        self.values = values
        self.refusal = refusal


YIELDED: Final = object()
"""What `State.resume` returns, instead of a `Pause`, when a task has yielded one plain value."""


class State:
    """
    One Lua state, entered by one thread at a time.

    It is made, used and closed on pool threads only: touching any object of lupa can block until
    Lua code returns. A thread enters it by its `lock`; only `lock` and `aside` are for threads
    that have not.

    Raises:
        LuaError: the ``init`` chunk failed.
        LuaSyntaxError: the ``init`` chunk does not compile.
    """

    __slots__ = (
        "_as_text",
        "_batch",
        "_batch_on",
        "_batch_result",
        "_batch_stopped",
        "_close",
        "_close_task",
        "_compile",
        "_define",
        "_defined",
        "_enlist",
        "_export",
        "_fetch",
        "_fetch_slice",
        "_forget_batch",
        "_functions",
        "_go_on",
        "_implementation",
        "_import",
        "_init",
        "_integers",
        "_lupa_error",
        "_max_integer",
        "_min_integer",
        "_requests",
        "_seal",
        "_slots",
        "_step",
        "_step_packed",
        "_throw",
        "aside",
        "coroutines",
        "entered_by",
        "is_closed",
        "is_in_spawn",
        "is_retired",
        "lacks_functions",
        "limiter",
        "lock",
        "lost",
        "waiters",
        "yielded",
    )

    def __init__(self, options: StateOptions) -> None:
        self.lock = threading.Lock()
        """Held by the thread that has entered the state."""

        self.aside: deque[Any] = deque()
        """What has to be done in this state, and was taken from the queue while it was entered."""

        self.coroutines = 0
        """How many tasks that have begun here wait to be resumed; one more, if it is retired."""

        self.lacks_functions = False
        """Whether there may be host functions that Lua does not know. Any thread may say so."""

        self.entered_by: Any = None
        """What has entered the state, with its `task`, in a pool with limits."""

        self.is_retired = False
        """Whether it takes no more tasks, and is closed when none waits here any more."""

        self.is_in_spawn = False
        """Whether a light thread runs here that is about to pause for the first time."""

        self.lost: str | None = None
        """Why the tasks that wait here cannot go on, if they cannot."""

        self.is_closed = False
        """Whether nobody will enter the state any more."""

        self.waiters = Waiters()
        """Those who wait for a semaphore that belongs to it."""

        self.yielded: object = None
        """The value that was yielded, when `resume` has returned `YIELDED`."""

        runtime = options.implementation.module.LuaRuntime(
            # Strings cross as bytes, so that any string does, and lupa raises nothing of its own.
            encoding=None,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,  # of upcalls
            attribute_filter=_no_attribute,
            # With 0 lupa counts the memory, but sets no limit yet: see Limiter.
            max_memory=None if options.limits is None or options.limits.memory is None else 0,
        )
        self.limiter: Limiter | None = None
        """What keeps its tasks within their limits, if there are any."""

        if options.limits is not None:
            self.limiter = Limiter(options.limits, runtime, self)
        self._load(runtime, options)
        self._functions = options.functions
        self._requests = options.ngx.requests
        self._defined: set[bytes] = set()
        self._implementation = options.implementation.name
        self._lupa_error = options.implementation.module.LuaError
        self._slots: dict[Code, int] = {}
        self._integers = options.implementation.integers
        self._min_integer = self._integers[0]
        self._max_integer = self._integers[-1]
        self._as_text = options.as_text
        self.define_functions()
        for chunk in options.init:
            failure = self._init(chunk.source, chunk.chunkname)
            if failure is not None:
                raise self._failure(failure)
        if self._seal is not None:
            self._seal()

    def _load(self, runtime: Any, options: StateOptions) -> None:
        """Load our Lua files, and get the functions of dispatcher.lua."""
        name = options.implementation.name

        def load(file: str, *args: Any) -> Any:
            # Lua reads its own bytecode many times as fast as it compiles, which holds the GIL.
            key = (name, file)
            if key not in _bytecode:
                function = runtime.compile(source(file), name=f"=threadpool_lua/{file}".encode())
                _bytecode[key] = runtime.eval(b"string.dump")(function)
            return runtime.execute(_bytecode[key], *args)

        depth = values.MAX_DEPTH
        limiter = self.limiter
        in_sandbox = options.modules is not None
        own_globals = in_sandbox or options.isolation == "task"
        wire = load(options.implementation.wire)
        rules = load("values.lua")
        read = load("reader.lua", wire, rules, depth)
        nesting = load("nesting.lua")
        limits: Any = None
        if limiter is not None and options.limits is not None and options.limits.concern_lua:
            limits = load(
                "limits.lua",
                limiter.check,
                options.limits.ask_every,
                options.limits.have_hook,
                options.limits.memory,
                _OURS,
            )
            limiter.use(limits[b"stage"], limits[b"staged"], limits[b"current_step"])
        write, self._fetch_slice = load("writer.lua", wire, rules, depth, limits)
        encoding = load("encode.lua", write, wire[b"address"], options.as_text)
        coroutines = load("coroutines.lua", nesting[b"resume"], limits)
        host = load("host.lua", coroutines)
        environments = load("environments.lua", own_globals)
        functions = load("functions.lua", rules, environments, limits, depth, _OURS)
        (
            self._compile,
            step,
            go_on,
            step_packed,
            throw,
            close_task,
            batch,
            batch_on,
            self._batch_result,
            batch_stopped,
            self._forget_batch,
            self._fetch,
            self._define,
            export,
            self._import,
            self._init,
            self._close,
            places,
        ) = load(
            "dispatcher.lua",
            read,
            write,
            encoding,
            environments,
            functions,
            coroutines,
            host,
            limits,
            rules,
            own_globals,
            options.as_text,
            _OURS,
        )
        # The others have got the functions of the libraries by now that are replaced here.
        load(
            "libraries.lua",
            rules,
            host,
            nesting,
            options.package_path,
            options.package_cpath,
        )
        load_text = None
        if limits is not None:
            load_text = load("guards.lua", limits, in_sandbox)
            if options.limits is not None and options.limits.have_hook:
                patterns = load("patterns.lua", limits[b"spend"], nesting[b"enter"])
                load("natives.lua", limits, patterns)
        if limiter is not None:
            step = limiter.limit_step(step)
            step_packed = limiter.limit_step(step_packed)
            go_on = limiter.limit_resume(go_on)
            throw = limiter.limit_resume(throw)
            close_task = limiter.limit_close(close_task)
            batch = limiter.limit_batch(batch)
            batch_on = limiter.limit_batch(batch_on)
            batch_stopped = limiter.limit_stopped(batch_stopped)
            export = limiter.limit(export)
        self._step = step
        self._go_on = go_on
        self._step_packed = step_packed
        self._throw = throw
        self._close_task = close_task
        self._batch = batch
        self._batch_on = batch_on
        self._batch_stopped = batch_stopped
        self._export = export
        self._seal: Any = None
        new_host = host[b"new_table"]
        self._enlist, new_ngx, ngx_modules = load(
            "ngx.lua",
            rules,
            coroutines,
            host,
            environments,
            functions,
            places,
            limits,
            upcall(
                {**options.ngx.upcalls, **self.waiters.upcalls(), **_code(name)},
                limiter,
            ),
            limiter.restore_memory_limit if limits is not None and limiter is not None else None,
            in_sandbox,
        )
        if options.modules is not None:
            modules = "\n".join(options.modules).encode()
            self._seal = load(
                "sandbox.lua", environments, new_host, new_ngx, ngx_modules, modules, load_text
            )
        elif own_globals:
            self._seal = load("globals.lua", environments, new_host, new_ngx)

    def retire(self) -> None:
        """Have no more tasks begin here; those that wait here go on, unless the state is lost."""
        if not self.is_retired:
            self.is_retired = True
            # As if there were always one more that a new task might delay.
            self.coroutines += 1

    def nobody_waits(self) -> bool:
        """Tell whether what runs here was cancelled; called from inside of Lua."""
        worker = self.entered_by
        task = worker.task if worker is not None else None
        return task is not None and task[0] is not None and task[0].done()

    def define_functions(self) -> None:
        """Give Lua the host functions that have come since."""
        self.lacks_functions = False
        for name in (self._functions() or {}).keys() - self._defined:
            self._define(name)
            self._defined.add(name)

    def run(self, chunk: Code, args: tuple[object, ...]) -> object:
        """
        Start a task, and return its result or, if it pauses, a `Pause`.

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
                        result = self._packed_step(slot, args, chunk is CALL)
                        break
                elif kind is str or kind is bytes:
                    result = self._encoded_step(slot, args, chunk is CALL)
                    break
                elif kind not in values.PLAIN_TYPES:
                    result = self._packed_step(slot, args, chunk is CALL)
                    break
            else:
                # Python makes a tuple of `slot, *args` by way of a list.
                result = self._step(*(slot,) + args)  # noqa: RUF005
        except self._lupa_error as error:
            if len(args) > _MAX_ARGUMENTS:
                raise MarshalError(f"{len(args)} arguments: too many") from None
            raise _foreign(error) from None
        kind = type(result)
        if kind is tuple:
            if result[0] != _PACKED:
                return self._outcome(result)
            results = values.unpack(result[1])
            return results[0] if len(results) == 1 else tuple(results)
        if kind is bytes and self._as_text:
            return values.text(result)
        return result

    def accepts(self, args: Any) -> bool:
        """Tell whether a task can be started or resumed with these values."""
        try:
            values.pack_checked(args, self._integers, 1, "argument")
        except MarshalError:
            return False
        return len(args) <= _MAX_ARGUMENTS

    def resume(self, place: int, args: tuple[object, ...]) -> object:
        """
        Resume a task that has yielded.

        Args:
            place: that of its `Pause`.
            args: what its ``coroutine.yield`` returns.

        Returns:
            What `run` does, or `YIELDED`, where the task waits in the same place again; or a
            `MarshalError`, if `args` cannot cross and the task still waits for others.

        Raises:
            LuaError: the code failed.
            MarshalError: a result cannot cross.
        """
        try:
            for arg in args:
                kind = type(arg)
                if kind is int:
                    if not self._min_integer <= arg <= self._max_integer:  # type: ignore[operator]
                        result = self._packed_step(-place, args)
                        break
                elif kind not in values.PLAIN_TYPES:
                    result = self._encoded_step(-place, args)
                    break
            else:
                result = self._go_on(*(place,) + args)  # noqa: RUF005
        except MarshalError as error:
            return error.with_traceback(None)  # It would lead to objects of lupa.
        except self._lupa_error as error:
            if len(args) > _MAX_ARGUMENTS:
                return MarshalError(f"{len(args)} arguments: too many")
            result = error
        else:
            kind = type(result)
            if kind is not tuple and (kind is not bytes or not self._as_text):
                self.yielded = result
                return YIELDED
        return self._ended_or_paused(place, result)

    def answer(self, place: int, results: tuple[object, ...]) -> object:
        """Do what `resume` does for a task that has called a host function."""
        try:
            # The first is not the function's, but tells that it has not failed.
            result = self._encoded_step(-place, (True, *results), is_answer=True)
        except MarshalError as error:
            return error.with_traceback(None)
        except self._lupa_error as error:
            if len(results) > _MAX_ARGUMENTS:
                return MarshalError(f"{len(results)} results: too many")
            result = error
        return self._ended_or_paused(place, result)

    def throw(self, place: int, number: int, error: Exception) -> object:
        """
        Resume a task that has called a host function by raising an error there.

        Args:
            place: that of its `Pause`.
            number: which the `LuaError` has as its `_exception_number` that Lua makes of it.
            error: what the function raised.
        """
        try:
            message = str(error)
        except Exception:  # It is the user's code.
            message = ""
        try:
            result = self._throw(
                place, number, type(error).__name__.encode(), message.encode(errors="replace")
            )
        except self._lupa_error as lupa_error:
            result = lupa_error
        return self._ended_or_paused(place, result)

    def close_task(self, place: int) -> None:
        """
        End a task for good, if it waits: run its to-be-closed variables, and free it.

        Args:
            place: that of its `Pause`.
        """
        if self.lost is not None:
            return  # It goes with the state.
        waited, failure = self._close_task(place)
        if waited:
            self.coroutines -= 1
        if failure is not None:
            _logger.warning("a to-be-closed variable of an ended task failed: %s", _show(failure))

    def run_batch(
        self, chunk: Code, items: Sequence[object]
    ) -> tuple[list[Any], MarshalError | None, bool]:
        """
        Run a task for each of the items, one after the other, until one does not finish.

        Returns:
            The results of those that have finished; why the one after these cannot cross, if it
            cannot; and whether a task has not finished: how its step ended is what `batch_stopped`
            returns or raises.

        Raises:
            MarshalError: an item cannot cross. No task has been run.
            LuaError: the chunk does not compile, or there is no memory for the items.
        """
        try:
            outcome = self._packed(self._batch, self._slot_of(chunk), (items,))
        except self._lupa_error as error:
            raise _foreign(error) from None
        if self.limiter is not None:
            self.limiter.count(len(items))
            if outcome[0] == outcomes.LIMITED:
                raise self._failure(outcome)
        return self._batch_results(outcome)

    def go_on_with_batch(self) -> tuple[list[Any], MarshalError | None, bool]:
        """Run the tasks of the batch that come after the one that has stopped it."""
        return self._batch_results(self._batch_on())

    def forget_batch(self) -> None:
        """Let go of the batch, and of its results."""
        self._forget_batch()

    def batch_stopped(self) -> object:
        """Return or raise, as `run` does, how the step of a task ended that did not finish."""
        result = self._batch_stopped()
        return self._outcome(result) if type(result) is tuple else result

    def export(self, chunk: Chunk | str) -> Function:
        """
        Run a task that returns a function, and return that for another state.

        Raises:
            LuaError: the code failed or does not compile.
            MarshalError: the function, or what it refers to, cannot cross.
        """
        try:
            result = self._export(self._slot_of(chunk))
        except self._lupa_error as error:
            raise _foreign(error) from None
        if result[0] in (outcomes.FAILED, outcomes.LIMITED):
            raise self._failure(result)
        (description,) = self._received("result", self._as_text, *result)
        return Function(self._implementation, values.pack((description,)))

    def close(self) -> None:
        """Free what the state holds. It must not be used afterwards."""
        with suppress(self._lupa_error):  # A `__gc` of the user's may fail; the state goes anyway.
            self._close()
        if self.limiter is not None:
            self.limiter.forget()
        self.is_closed = True
        # Whoever holds on to the state no longer holds on to any object of lupa.
        for name in self.__slots__:
            if name.startswith("_"):
                delattr(self, name)

    def _encoded_step(
        self, key: int, args: tuple[object, ...], is_call: bool = False, is_answer: bool = False
    ) -> Any:
        """
        Start or resume a task with strings among its arguments: lupa passes them as bytes.

        The other arguments are those of `_packed_step`.
        """
        encoded: list[object] = [key]
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
            return self._step(*encoded)
        return self._packed_step(key, args, is_call, is_answer)

    def _packed_step(
        self, key: int, args: tuple[object, ...], is_call: bool = False, is_answer: bool = False
    ) -> Any:
        """
        Start or resume a task with arguments that lupa does not pass as they are.

        Args:
            key: as dispatcher.lua takes it.
            args: the arguments.
            is_call: whether the first two are names that are no arguments to who calls it.
            is_answer: whether they are the results of a host function, after one of ours.
        """
        first = -1 if is_call else 0 if is_answer else 1
        return self._packed(
            self._step_packed, key, args, first, "result" if is_answer else "argument"
        )

    def _packed(
        self, step: Any, key: int, args: tuple[object, ...], first: int = 1, what: str = "argument"
    ) -> Any:
        """
        Call a function of dispatcher.lua that reads its arguments itself.

        Args:
            step: the function.
            key: its first argument.
            args: what it reads.
            first: the number of the first of these, for messages.
            what: what they are.

        Raises:
            MarshalError: one of `args` cannot cross.
        """
        try:
            packed = values.pack(args)
        except ValueError:
            pass
        else:
            if len(packed) > values.MAX_SIZE:
                raise values.too_large()
            result = step(key, packed, False)
            if type(result) is not tuple or result[0] != outcomes.REFUSED_ARGUMENT:
                return result
            if values.types_are_known(args):
                result = step(key, packed, True)
                if type(result) is not tuple or result[0] != outcomes.REFUSED_ARGUMENT:
                    return result
        packed = values.pack_checked(args, self._integers, first, what)
        if len(packed) > values.MAX_SIZE:
            raise values.too_large()
        result = step(key, packed, True)
        if type(result) is tuple and result[0] == outcomes.REFUSED_ARGUMENT:
            raise MarshalError(f"{len(args) + first - 1} {what}s: {_show(result[1])}")
        return result

    def _slot_of(self, chunk: Code) -> int:
        try:
            return self._slots[chunk]
        except (KeyError, TypeError):
            pass
        return self._slot(chunk)

    def _slot(self, chunk: Code) -> int:
        """Compile a chunk that this state has not, or no longer, compiled."""
        if isinstance(chunk, Chunk | Function | Native):
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
        elif isinstance(code, Native):
            self._enlist(slot, code.name.encode())
        else:
            failure = self._compile(slot, code.source, code.chunkname)
            if failure is not None:
                raise self._failure(failure)
        if oldest is not None:
            del slots[oldest]
        slots[chunk] = slot
        return slot

    def _outcome(self, result: tuple[Any, ...]) -> object:
        """Return or raise how a step ended that did not end with nothing or a plain value."""
        kind = result[0]
        if kind == outcomes.YIELDED:
            return self._pause(None, "yielded value", self._as_text, result[1], *result[2:])
        if kind == outcomes.CALLED:
            functions = self._functions()
            assert functions is not None  # The task that runs keeps its pool alive.
            function = functions[result[2]]
            return self._pause(function, "argument", self._as_text, result[1], *result[3:])
        if kind == outcomes.REQUESTED:
            function = self._requests[result[2]]
            return self._pause(function, "argument", False, result[1], *result[3:])
        if kind in (outcomes.FAILED, outcomes.UNCOMPILED, outcomes.LIMITED):
            raise self._failure(result)
        results = self._received("result", self._as_text, *result)
        return results[0] if len(results) == 1 else tuple(results) or None

    def _ended_or_paused(self, place: int, result: Any) -> object:
        """Do what `_outcome` does for a task that has been resumed; or raise lupa's error."""
        self.coroutines -= 1  # Back below, if it waits again.
        if isinstance(result, self._lupa_error):
            raise _foreign(result) from None
        if type(result) is not tuple:
            result = outcomes.YIELDED, place, outcomes.PLAIN, result
        return self._outcome(result)

    def _pause(
        self, function: HostFunction | None, what: str, as_text: bool, place: int, *received: Any
    ) -> Pause:
        self.coroutines += 1
        try:
            return Pause(place, function, self._received(what, as_text, *received))
        except MarshalError as error:
            return Pause(place, function, (), error.with_traceback(None))
        except BaseException:
            self.close_task(place)
            raise

    def _received(
        self, what: str, as_text: bool, kind: int, value: Any = None, length: Any = None
    ) -> Sequence[Any]:
        """
        Return the values that encode.lua passes.

        Raises:
            MarshalError: they cannot cross.
        """
        if kind == outcomes.NOTHING:
            return ()
        if kind == outcomes.PLAIN:
            return [values.text(value, what) if as_text and type(value) is bytes else value]
        if kind == _PACKED:
            return values.unpack(value, what)
        if kind == outcomes.SLICED:
            return self._sliced()
        if kind == outcomes.LARGE:
            return [self._large(what, value, length, as_text)]
        if type(value) is int:
            assert self.limiter is not None
            raise self.limiter.error(value, None, None, "")
        raise MarshalError(_show(value))

    def _large(self, what: str, address: int, length: int, as_text: bool) -> str | bytes:
        """Read a large string."""
        with _one_large_result_at_a_time:
            if address and as_text:
                try:
                    return values.text_at(address, length, what)
                finally:
                    self._fetch(True)
            string: bytes = self._fetch()
            sleep(0)  # Lets go of the GIL for once: the loop may have waited long enough.
            return values.text(string, what) if as_text else string

    def _batch_results(
        self, outcome: tuple[Any, ...]
    ) -> tuple[list[Any], MarshalError | None, bool]:
        _, count, stopped, *received = outcome
        results: list[Any]
        try:
            results, several = self._received("result", self._as_text, *received)
        except MarshalError:
            # It is of one of them. Those before are good.
            results = []
            for number in range(1, count + 1):
                try:
                    one = self._received("result", self._as_text, *self._batch_result(number))
                except MarshalError as error:
                    return results, error, False
                results.append(one[0] if len(one) == 1 else tuple(one) or None)
            return results, None, stopped
        for number in several:
            results[number - 1] = tuple(results[number - 1])
        return results, None, stopped

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
        chunk = None if chunk_name is None else _show(chunk_name)
        if kind == outcomes.LIMITED:
            assert self.limiter is not None
            return self.limiter.error(message, chunk, line, _show(rest[0] or b""))
        text = _show(message)
        if kind == outcomes.UNCOMPILED:
            return LuaSyntaxError(text, value=text, chunk=chunk, line=line)
        traceback, packed, number = rest
        value = None
        if packed is not None:
            with suppress(MarshalError):  # It holds a string that is not valid UTF-8.
                value = (self._sliced() if packed is True else values.unpack(packed))[0]
        error = LuaError(text, value=value, chunk=chunk, line=line, traceback=_show(traceback))
        error._exception_number = number
        return error


# Copying and decoding hold the GIL. If threads took turns at that, the loop, which waits for the
# GIL as they do, would wait for several of them.
_one_large_result_at_a_time = threading.Lock()


def _renew_lock() -> None:
    """In a forked child: the thread that may have held the lock stayed in the parent."""
    global _one_large_result_at_a_time
    _one_large_result_at_a_time = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def _code(implementation: str) -> dict[bytes, Callable[..., Any]]:
    """Return the upcalls by which ``lua/ngx.lua`` gets at our Lua files, and keeps bytecode."""

    def code(file: bytes) -> bytes:
        name = file.decode()
        return _bytecode.get((implementation, name)) or source(name)

    def keep_code(file: bytes, bytecode: bytes) -> None:
        _bytecode[implementation, file.decode()] = bytecode

    return {b"code": code, b"keep_code": keep_code}


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
