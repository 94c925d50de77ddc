"""
A task that can pause: the threads run it, and the loop looks after it while it is paused.

    queued ──► running ──► paused: it has yielded, or calls a function of Python's
      ▲           │           │
      │           │           │  the loop runs `on_yield`, or awaits the function
      │           │           │
      └───────────┼───────────┘
                  ▼
                ended: by a result, or by an exception

Only one of the two has a task at any time: the threads from when the loop puts it into the queue
until they tell the loop what came of it, and the loop from then on until it puts it there again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import replace
from itertools import count
from types import CoroutineType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, TypeVar

from ._exceptions import LuaError, MarshalError, StateLostError
from ._host import HostFunction, as_values
from ._state import YIELDED, Code, Pause, State

if TYPE_CHECKING:
    from ._ngx.context import TaskContext
    from ._pool import ThreadPool

# What a thread tells the loop: a task's future with its result, or with its error. Or, where
# PAUSED is in the place of the error, what the loop goes on with and what that is to be told: a
# task and its pause, or a batch and what came of it; or, where STEPPED is, a `SteppedTask` and the
# value that it has yielded; or, where VOID is, just a future.
Completion: TypeAlias = "tuple[Any, Any, BaseException | None]"

PAUSED: Final = BaseException("paused")
"""Found where an error would be, so that a task that does not pause pays nothing for it."""

STEPPED: Final = BaseException("stepped")
"""Found there, too, where nothing but the value is to be told."""

VOID: Final = BaseException("void")
"""
Found there where there is no outcome: a thread has come to a task that was cancelled, and has not
run it, or not to its end; or it has closed a coroutine.
"""

_MOST_RESULTS: Final = frozenset({type(None), bool, int, float, str, bytes, tuple, list, dict})

_ErrorT = TypeVar("_ErrorT", bound=BaseException)

_set_context: Callable[[BaseException, None], None] = vars(BaseException)["__context__"].__set__

_exception_numbers = count(1)
_EXCEPTIONS_KEPT: Final = 100  # of one task, for Lua code that catches and raises them again


VISIT: Final = object()
"""Found in the queue where a chunk would be, before a `Visit` in the place of the arguments."""


class Visit(Protocol):
    """Something that a thread does in a Lua state."""

    @property
    def state(self) -> State | None:
        """The state that it has to be done in, or None where any will do."""

    def run(self, state: State) -> Completion | None:
        """Do it, on a thread that has entered that state, and return what to tell the loop."""


class Ended:
    """What a task has come to that the loop has to clean up after: see `TaskContext`."""

    __slots__ = ("error", "result")

    def __init__(self, result: object, error: BaseException | None) -> None:
        self.result = result
        self.error = error


class Task:
    """
    A task that can pause.

    Args:
        pool: the pool that it belongs to.
        future: what is done when the task has ended; cancelling it ends the task.
        chunk: what the task runs.
        args: the arguments of the chunk.
        context: what the Python code that the task calls runs in; None if nobody has asked.
        on_yield: what the loop calls with the values that the task yields.
    """

    _mark = PAUSED  # what tells the loop that the task has yielded one plain value

    __slots__ = (
        "_answer",
        "_awaited",
        "_context",
        "_exceptions",
        "_function",
        "_on_yield",
        "_place",
        "_watched",
        "_with_loop",
        "chunk",
        "future",
        "ngx",
        "phase",
        "pool",
        "state",
    )

    def __init__(
        self,
        pool: ThreadPool,
        future: asyncio.Future[Any],
        chunk: Code,
        args: tuple[object, ...],
        context: Context | None,
        on_yield: Callable[..., object] | None = None,
    ) -> None:
        self.pool = pool
        self.future = future
        self.chunk = chunk
        self.state: State | None = None
        """The state in which it waits to be resumed; None before it has paused."""

        self.phase: Literal["created", "queued", "running", "yielded", "destroyed"] = "queued"
        """What it is doing, as far as a `SteppedTask` has to know."""

        self.ngx: TaskContext | None = None
        """What it has of ``ngx`` that must be let go of when it ends, if it has anything."""

        self._place = 0  # the number of its coroutine there, while that waits
        self._function: HostFunction | None = None  # which that waits for, if it has not yielded
        self._answer: tuple[object, ...] | Exception = args  # for its next step
        self._exceptions: dict[int, Exception] | None = None  # raised in it, by Lua's number
        self._context = context
        self._on_yield = on_yield
        self._with_loop = False
        self._awaited: asyncio.Future[Any] | None = None  # what the loop awaits for it
        self._watched: asyncio.Future[Any] | None = None  # the future whose end it hears of

    # -------------------------------------------------------------------------------- the threads

    def run(self, state: State) -> Completion:
        """Start or resume the task."""
        if self.future.done():
            self.close(state)
            return self._completion(None, VOID)
        self.phase = "running"
        if state.lacks_functions:
            state.define_functions()
        place = self._place
        try:
            if place and self._function is None:
                answer, self._answer = self._answer, ()
                outcome = state.resume(place, answer)  # type: ignore[arg-type]
                if outcome is YIELDED:
                    return self, state.yielded, self._mark
                if type(outcome) is MarshalError:
                    outcome = self._refuse(state, outcome)
            else:
                outcome = self._step(state)
        except BaseException as error:
            self.close(state)
            return self._completion(None, self._own(error))
        return self.follow(state, outcome)

    def follow(self, state: State, outcome: object) -> Completion:
        """
        Go on with the task for as long as it calls plain functions.

        Args:
            state: the state that the task is in.
            outcome: how its last step ended.
        """
        try:
            while type(outcome) is Pause:
                self.state = state
                self._place = outcome.place
                function = outcome.function
                self._function = function
                if function is not None and outcome.refusal is not None:
                    outcome = self._throw(state, _named(function, outcome.refusal))
                elif function is None or function.is_async:
                    return self, outcome, PAUSED
                elif self.future.done() and not function.wants_task:
                    # It was cancelled: no more of the user's Python code is to run. But what is
                    # ours must hear of a light thread, to end it.
                    self.close(state)
                    return self._completion(None, VOID)
                else:
                    outcome = self._call(state, function, outcome)
        except BaseException as error:
            self.close(state)
            return self._completion(None, self._own(error))
        self._place = 0
        return self._completion(outcome, None)

    def _completion(self, result: object, error: BaseException | None) -> Completion:
        """Return what tells the loop how the task has ended."""
        if self.ngx is None:
            return self.future, result, error
        return self, Ended(result, error), PAUSED

    def _own(self, error: BaseException) -> BaseException:
        """Return the error by which the task ends: if Lua let it through, Python's exception."""
        if isinstance(error, LuaError) and self._exceptions:
            exception = self._exceptions.get(error._exception_number or 0)
            if exception is not None:
                add_note(exception, f"Lua {error.traceback}")
                return _settable(exception)
        return presentable(error)

    def close(self, state: State) -> None:
        """End the task's coroutine, if it waits."""
        place, self._place = self._place, 0
        if place:
            state.close_task(place)

    def _step(self, state: State) -> object:
        """Start the task, or resume it where it has called a function."""
        answer, self._answer = self._answer, ()
        if isinstance(answer, Exception):
            return self._throw(state, answer)
        if not self._place:
            return state.run(self.chunk, answer)
        outcome = state.answer(self._place, answer)
        return self._refuse(state, outcome) if type(outcome) is MarshalError else outcome

    def _refuse(self, state: State, error: MarshalError) -> object:
        """Go on, or end, where what the task is to be resumed with cannot cross."""
        if self._function is not None:
            return self._throw(state, _named(self._function, error))
        self.close(state)
        raise MarshalError(f"on_yield: {error}")

    def _call(self, state: State, function: HostFunction, pause: Pause) -> object:
        """Call a plain function, and resume the task."""
        raised = None
        args = (self, *pause.values) if function.wants_task else pause.values
        try:
            if self._context is None:
                result = function.function(*args)
            else:
                result = self._context.run(function.function, *args)
        except Exception as error:
            raised = _without_us(error)
        if raised is not None:  # Out of `except`, so that it is no context of errors to come.
            try:
                return self._throw(state, raised)
            finally:
                del raised  # Its traceback leads here.
        if is_awaitable(result):
            # So it was no plain one. The loop goes on with what it has returned.
            returned = replace(function, function=lambda: result, is_async=True)
            return Pause(pause.place, returned, ())
        outcome = state.answer(pause.place, as_values(result))
        return self._refuse(state, outcome) if type(outcome) is MarshalError else outcome

    def _throw(self, state: State, error: Exception) -> object:
        """Resume the task by raising an error where it has called a function."""
        if self._exceptions is None:
            self._exceptions = {}
        elif len(self._exceptions) == _EXCEPTIONS_KEPT:
            del self._exceptions[next(iter(self._exceptions))]
        number = next(_exception_numbers)
        self._exceptions[number] = error
        return state.throw(self._place, number, error)

    # ----------------------------------------------------------------------------------- the loop

    def paused(self, pause: Any) -> None:
        """
        Take the task over from the threads.

        Args:
            pause: its pause, or just the one value that it has yielded.
        """
        self._with_loop = True
        if type(pause) is Ended:
            assert self.ngx is not None
            self.ngx.task_ended(pause)
            return
        future = self.future
        if self.pool._end is not None and not future.done():
            self.pool._end(future)
        if future.done():
            self.end()
        elif type(pause) is not Pause:
            self._yielded((pause,))
        elif pause.refusal is not None:
            self._refused(pause.refusal)
        elif pause.function is None:
            self._yielded(tuple(pause.values))
        else:
            function = pause.function
            args = (self, *pause.values) if function.wants_task else pause.values
            self._run_python(function.task_name, function.function, args)

    def end_by(self, ended: Ended) -> None:
        """Tell what it has come to, when all is cleaned up; on the loop, which has it."""
        self._with_loop = False
        self.pool._paused.pop(self, None)
        if ended.error is None and not self.future.done():
            self.future.set_result(ended.result)
            self.pool._records.completed += 1
        else:
            self.pool._end_otherwise(self.future, ended.error)
        self.pool._stop_if_done()

    def fail_wherever_it_is(self, error: BaseException) -> None:
        """End it by an error, whoever has it; on the loop."""
        if self._with_loop:
            self.fail(error)
        elif not self.future.done():
            self.future.set_exception(_settable(error))

    def watch_future(self) -> None:
        """Hear of it when the future is cancelled, while the loop has the task."""
        if self._watched is not self.future:
            self._watched = self.future
            self.future.add_done_callback(self, context=self.pool._callback_context)

    @property
    def root(self) -> Task:
        """The task itself, or of a light thread the one that it belongs to."""
        return self

    def cancel(self) -> None:
        """End the task, whoever has it."""
        self.future.cancel()
        if self._with_loop:
            self.end()

    def is_served_by(self, task: asyncio.Task[Any] | None) -> bool:
        """Tell whether it waits for what runs in an asyncio task."""
        return self._awaited is task

    def end(self, closed: asyncio.Future[None] | None = None) -> None:
        """
        End a paused task.

        Args:
            closed: what is to be done when its coroutine has been closed.
        """
        if self._with_loop and self.phase != "yielded":
            self.pool._records.cancelled += 1
        self._leave_loop(closed)

    def _leave_loop(self, closed: asyncio.Future[None] | None = None) -> None:
        self._with_loop = False
        awaited, self._awaited = self._awaited, None
        if awaited is not None:
            self._cancel_call(awaited)
        if self.ngx is not None:
            self.ngx.close()
        self.pool._paused.pop(self, None)
        self.pool._visit(Close(self), closed)
        self.pool._stop_if_done()

    def _cancel_call(self, awaited: asyncio.Future[Any]) -> None:
        awaited.cancel()
        self.pool._calls_ending.add(awaited)
        awaited.add_done_callback(self.pool._calls_ending.discard)

    def resume(self, answer: tuple[object, ...] | Exception) -> None:
        """Have the threads go on with the task."""
        self._with_loop = False
        self._answer = answer
        self.pool._put(self.future, self)

    def _yielded(self, values: tuple[Any, ...]) -> None:
        """Deal with the values that the task has yielded."""
        if self._on_yield is None:
            self.resume(())
        else:
            self._run_python("on_yield", self._on_yield, values)

    def _refused(self, refusal: MarshalError) -> None:
        """Deal with yielded values that cannot cross."""
        if self._on_yield is None:
            self.resume(())
        else:
            self.fail(refusal)

    def _run_python(self, name: str, function: Callable[..., object], args: Any) -> None:
        """Call a function, and resume the task with what it returns, once that is there."""
        context = self._context
        # The function may close the pool, which must not take the task for ended.
        self.pool._paused[self] = None
        try:
            result = function(*args) if context is None else context.run(function, *args)
            if not is_awaitable(result):
                self.pool._paused.pop(self, None)
                if self._with_loop:  # It may have ended its own task.
                    self.resume(as_values(result))
                return
            awaited = _ensure_future(self.pool._loop, result, context, name)
        except asyncio.CancelledError:
            self.cancel()
            return
        except Exception as error:
            self._raised(error)
            return
        except BaseException as error:
            self.fail(error)
            raise
        if not self._with_loop:  # An eager asyncio task has ended it by now.
            self._cancel_call(awaited)
            return
        self._awaited = awaited
        # Neither a bound method nor a copy of the context for each: a hundred thousand may wait.
        # And not the task's own context, which a thread may enter while the callback is in it.
        awaited.add_done_callback(self, context=self.pool._callback_context)
        self.watch_future()

    def __call__(self, future: asyncio.Future[Any]) -> None:
        """Hear that what is awaited for the task is done, or that its own future is."""
        if future is self._awaited:
            self._answered(future)
        elif future is self.future and future.cancelled() and self._with_loop:
            self.end()

    def _answered(self, awaited: asyncio.Future[Any]) -> None:
        """Resume the task with what was awaited for it."""
        self._awaited = None
        self.pool._paused.pop(self, None)
        if awaited.cancelled():
            self.cancel()
            return
        error = awaited.exception()
        if error is None:
            self.resume(as_values(awaited.result()))
        else:
            self._raised(error)

    def _raised(self, error: BaseException) -> None:
        """Raise in Lua what a host function has raised; all else ends the task."""
        if not self._with_loop:
            return
        _without_us(error)
        if self._function is not None and isinstance(error, Exception):
            self.pool._paused.pop(self, None)
            self.resume(error)
        else:
            add_note(error, f'raised by on_yield of {self.chunk!r}, thread pool "{self.pool.name}"')
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """End a paused task by an error."""
        if self.future.done():
            self.end()
        else:
            self.future.set_exception(_settable(error))
            self.pool._records.add_error(error)
            self._leave_loop()


class Close:
    """Ends, on a thread, the coroutine of a task that is not to be resumed."""

    __slots__ = ("_task", "chunk", "state")

    def __init__(self, task: Task) -> None:
        self._task = task
        self.chunk = task.chunk
        self.state = task.state

    def run(self, state: State) -> None:
        """Close it."""
        with suppress(StateLostError):  # So is the coroutine.
            self._task.close(state)


def is_awaitable(result: object) -> bool:
    """Tell whether something can be awaited, quickly."""
    kind = type(result)
    return kind not in _MOST_RESULTS and hasattr(kind, "__await__")


def _ensure_future(
    loop: asyncio.AbstractEventLoop, awaitable: Any, context: Context | None, name: str
) -> asyncio.Future[Any]:
    """Return a future for `awaitable`, which runs in `context`."""
    if type(awaitable) is not CoroutineType:
        if asyncio.isfuture(awaitable):
            # Refuses one of another loop.
            future: asyncio.Future[Any] = asyncio.ensure_future(awaitable, loop=loop)
            return future
        if not asyncio.iscoroutine(awaitable):
            awaitable = _await(awaitable)
    return loop.create_task(awaitable, name=name, context=context)


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _named(function: HostFunction, error: MarshalError) -> MarshalError:
    return MarshalError(f"{function.task_name}: {error}")


# The attributes of an exception are set as C code does it: a class may refuse it otherwise, as a
# frozen dataclass does.


def _without_us(error: _ErrorT) -> _ErrorT:
    """Leave only what is about the user's code in the traceback of `error`, and return it."""
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_globals.get("__name__") == __name__:
        traceback = traceback.tb_next
    BaseException.with_traceback(error, traceback)
    return error


def add_note(error: BaseException, note: str) -> None:
    """Add a note to an error, if it takes one and does not have it."""
    with suppress(Exception):
        if note not in getattr(error, "__notes__", ()):
            BaseException.add_note(error, note)


def _settable(error: BaseException) -> BaseException:
    """Return what a future takes in the place of `error`."""
    if isinstance(error, StopIteration):
        replacement = RuntimeError(f"a task raised {error!r}")
        replacement.__cause__ = error
        return replacement
    return error


def presentable(error: BaseException) -> BaseException:
    """
    Return `error` as it is set on a future: without a trace of us.

    Our own frames are no news to the user, who has the Lua traceback in the error; and they would
    keep the state alive, whose objects must not be dropped on the loop's thread.
    """
    error = _settable(error)
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:  # The causes of an error may be a circle.
        seen.add(id(link))
        BaseException.with_traceback(link, None)
        if link.__suppress_context__:
            _set_context(link, None)
        link = link.__cause__ or link.__context__
    return error
