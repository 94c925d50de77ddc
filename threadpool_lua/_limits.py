"""The limits of tasks: how they are measured, and what ends the tasks that exceed them."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any, Final, Literal, Protocol, TypeAlias, get_args

from . import _outcomes as outcomes
from ._exceptions import LuaError, LuaMemoryLimitError, LuaTimeLimitError, StateLostError

# What `Limiter.check` answers, and why a task was ended: as limits.lua has the numbers.
_GO_ON: Final = 0
_TIME, _CANCELLED, _MEMORY = range(1, 4)

_ASK_EVERY: Final = 0.02  # seconds of CPU time between two questions of a step that runs on
_FULL: Final = 0.75  # of the memory still in use when all garbage is gone: too full to go on

_LEAST_MEMORY: Final = 2**20  # bytes; an empty state needs a few hundred thousand
_MEMORY_OF_SANDBOX: Final = 64 * 2**20

Isolation: TypeAlias = Literal["task", "state", "none"]


@dataclass(frozen=True)
class Limits:
    """
    What the tasks of a pool may use.

    Attributes:
        pool: the name of the pool.
        time: how many seconds a task may run in Lua, or ``None`` for as many as it takes.
        memory: how many bytes a Lua state may use, or ``None`` for as many as it takes.
        interruptible: whether a task that is cancelled while it runs is stopped.
        tasks: how many tasks a state runs, before it is replaced, or ``None`` for any number.
    """

    pool: str
    time: float | None
    memory: int | None
    interruptible: bool
    tasks: int | None

    @property
    def concern_lua(self) -> bool:
        """Whether Lua has to heed them, or else only Python."""
        return self.have_hook or self.memory is not None

    @property
    def have_hook(self) -> bool:
        """Whether there is anything to look for while Lua runs."""
        return self.interruptible or self.time is not None

    @property
    def ask_every(self) -> float:
        """How many seconds of CPU time pass between two questions of the hook."""
        return _ASK_EVERY if self.time is None else min(_ASK_EVERY, self.time / 4)

    def time_error(
        self, chunk: str | None = None, line: int | None = None, traceback: str = ""
    ) -> LuaTimeLimitError:
        """Return the error of a task that has run for too long."""
        message = self._message(chunk, line, f"the time limit of {self.time} s was exceeded")
        return LuaTimeLimitError(message, chunk=chunk, line=line, traceback=traceback)

    def memory_error(
        self, chunk: str | None = None, line: int | None = None, traceback: str = ""
    ) -> LuaMemoryLimitError:
        """Return the error of a task that has used up the memory."""
        what = f"the memory limit of {self.memory} bytes was exceeded"
        message = self._message(chunk, line, what)
        return LuaMemoryLimitError(message, chunk=chunk, line=line, traceback=traceback)

    def cancelled_error(self, chunk: str | None, line: int | None, traceback: str) -> LuaError:
        """Return the error of a task that nobody waits for; nobody will see it."""
        message = self._message(chunk, line, "the task was cancelled")
        return LuaError(message, chunk=chunk, line=line, traceback=traceback)

    def _message(self, chunk: str | None, line: int | None, what: str) -> str:
        position = "" if chunk is None else f"{chunk}:{line}: "
        return f'{position}{what} (thread pool "{self.pool}")'


def checked_limits(
    pool: str,
    lua: str,
    isolation: str,
    time_limit: object,
    memory_limit: object,
    interruptible: object,
    max_tasks_per_state: object,
    sandbox: object,
) -> Limits | None:
    """
    Return the limits that a pool's arguments make, or None where there are none.

    Raises:
        TypeError: an argument is of the wrong type.
        ValueError: an argument is out of bounds, or does not go with another.
    """
    if isolation not in get_args(Isolation):
        raise ValueError(
            f"isolation must be one of {', '.join(get_args(Isolation))}, not {isolation!r}"
        )
    for name, flag in ("interruptible", interruptible), ("sandbox", sandbox):
        if not isinstance(flag, bool):
            raise TypeError(f"{name} must be bool, not {type(flag).__name__}")
    time = _checked("time_limit", time_limit, int | float)
    if time is not None and not 0 < time < inf:
        raise ValueError(f"time_limit must be more than 0 and finite, not {time_limit!r}")
    memory = _checked("memory_limit", memory_limit, int)
    tasks = _checked("max_tasks_per_state", max_tasks_per_state, int)
    if tasks is not None and tasks < 1:
        raise ValueError(f"max_tasks_per_state must be at least 1, not {tasks}")
    if sandbox:
        if isolation == "none":
            raise ValueError("a sandbox isolates tasks: isolation cannot be 'none'")
        if memory is None:
            memory = _MEMORY_OF_SANDBOX
    if memory is not None:
        if memory < _LEAST_MEMORY:
            raise ValueError(f"memory_limit must be at least {_LEAST_MEMORY} bytes, not {memory}")
        if lua == "luajit20":
            raise ValueError("luajit20 cannot limit its memory; luajit21 can")
    if isolation == "state":
        tasks = 1
    if time is None and memory is None and tasks is None and not interruptible:
        return None
    return Limits(pool, time, memory, bool(interruptible or sandbox), tasks)


def _checked(name: str, value: Any, kind: Any) -> Any:
    if value is None or (isinstance(value, kind) and not isinstance(value, bool)):
        return value
    raise TypeError(f"{name} must be a number, not {type(value).__name__}")


class LimitedState(Protocol):
    """What a limiter has to do with its state."""

    lost: str | None

    def nobody_waits(self) -> bool:
        """Tell whether what runs in the state was cancelled; called from inside of Lua."""

    def retire(self) -> None:
        """Have no more tasks begin in the state."""


class Limiter:
    """
    Keeps the tasks of one state within the limits; for the thread that is in the state.

    Args:
        limits: the limits.
        runtime: the state's runtime.
        state: the state.
    """

    __slots__ = (
        "_collect_at",
        "_current_step",
        "_in_batch",
        "_is_armed",
        "_left",
        "_left_of_last",
        "_limits",
        "_runtime",
        "_stage",
        "_staged",
        "_state",
        "_step",
        "_tasks_left",
        "deadline",
    )

    def __init__(self, limits: Limits, runtime: Any, state: LimitedState) -> None:
        self.deadline = inf
        """When the time of what runs is over, by `time.monotonic`. Any thread may look."""

        self._limits = limits
        self._runtime = runtime
        self._state = state
        self._left_of_last = inf  # seconds, of the task that came last in a batch
        self._current_step: Any = None
        self._stage: Any = None
        self._staged: Any = None
        self._step = 0  # the number that Lua has for the step that runs
        self._is_armed = False  # whether the memory limit holds right now
        self._in_batch = False  # whether each step of those that run now has all the time
        # Seconds, of the tasks that wait, by their places. Those of a task and of its light threads
        # are one and the same list, of one item.
        self._left: dict[int, list[float]] = {}
        self._tasks_left = limits.tasks
        # LuaJIT and Lua 5.1 do not collect garbage when memory runs out: one task might leave so
        # much that the next would.
        self._collect_at = 0 if limits.memory is None else limits.memory // 2

    def check(self, step: int) -> int:
        """
        Tell the hook whether what runs must end.

        Called from inside of Lua: it raises nothing, and returns what lupa passes without memory.
        """
        if self._state.nobody_waits():
            return _CANCELLED
        now = monotonic()
        if self._in_batch and step != self._step:
            self._step = step
            self.deadline = self._new_deadline(now)
        return _TIME if now >= self.deadline else _GO_ON

    def _new_deadline(self, now: float) -> float:
        return inf if self._limits.time is None else now + self._limits.time

    def use(self, stage: Any, staged: Any, current_step: Any) -> None:
        """Take functions of limits.lua: those of a call in two steps, and the step's number."""
        self._stage = stage
        self._staged = staged
        self._current_step = current_step

    def forget(self) -> None:
        """Let go of the runtime, which holds on to the limiter, too."""
        self._runtime = self._stage = self._staged = self._current_step = None

    def limit(self, function: Any) -> Any:
        """Return what calls a function of dispatcher.lua that runs code of tasks."""
        run = function if self._limits.memory is None else self._limit_memory(function)
        state = self._state

        def limited(*args: object) -> Any:
            if state.lost is not None:
                raise StateLostError(self._limits.pool, state.lost)
            result = run(*args)
            if state.lost is not None:
                raise self._lost_error()
            return result

        return limited

    def _limit_memory(self, function: Any) -> Any:
        stage = self._stage
        run = self._staged(function)
        memory_used = self._runtime.get_memory_used

        def limited(*args: object) -> Any:
            if memory_used() > self._collect_at:
                self._collect()
            stage(*args)
            self._is_armed = True
            self.restore_memory_limit()
            try:
                return run()
            except MemoryError:
                # The dispatcher itself had too little, and may have lost count of its tasks.
                self._lose()
                raise self._limits.memory_error() from None
            finally:
                self.lift_memory_limit()
                self._is_armed = False

        return limited

    def lift_memory_limit(self) -> None:
        """Have no limit while lupa passes values: nothing would catch an error there."""
        if self._is_armed:
            self._runtime.set_max_memory(0)

    def restore_memory_limit(self) -> None:
        """Have the limit again."""
        if self._is_armed:
            self._runtime.set_max_memory(self._limits.memory)

    def limit_step(self, function: Any) -> Any:
        """Do that for one whose first argument is a slot, or less than 0: minus a place."""
        function = self.limit(function)

        def limited(key: int, *args: object) -> Any:
            if key > 0:
                self.count(1)
            return self._time(function, max(0, -key), key, *args)

        return limited

    def limit_resume(self, function: Any) -> Any:
        """Do that for one whose first argument is a place."""
        function = self.limit(function)
        return lambda place, *args: self._time(function, place, place, *args)

    def limit_close(self, function: Any) -> Any:
        """Do that for the one that closes a coroutine, which has new time for it."""
        function = self.limit_resume(function)

        def limited(place: int) -> Any:
            self._left.pop(place, None)
            return function(place)

        return limited

    def limit_batch(self, function: Any) -> Any:
        """Do that for one that runs many tasks."""
        function = self.limit(function)

        def limited(*args: object) -> Any:
            self._in_batch = True
            self.deadline = self._new_deadline(monotonic())
            try:
                result = function(*args)
                # The last task may have stopped the batch by a pause. If the hook has not asked
                # about it, it has used up next to nothing.
                if self._limits.time is not None:
                    now = monotonic()
                    if self._current_step() != self._step:
                        self.deadline = now + self._limits.time
                    self._left_of_last = self.deadline - now
                return result
            finally:
                self._in_batch = False
                self.deadline = inf

        return limited

    def limit_stopped(self, function: Any) -> Any:
        """Return what calls the one that tells how the task has stopped that ended a batch."""

        def limited() -> Any:
            result = function()
            if type(result) is tuple and result[0] in outcomes.PAUSES:
                self._left[result[1]] = [self._left_of_last]
            return result

        return limited

    def count(self, tasks: int) -> None:
        """Count tasks that begin in the state."""
        if self._tasks_left is not None:
            self._tasks_left -= tasks
            if self._tasks_left <= 0:
                self._state.retire()

    def share(self, place: int, other: int) -> None:
        """Have what waits in a place use up the time of what waits in another."""
        if other in self._left:
            self._left[place] = self._left[other]

    def _time(self, function: Any, place: int, *args: object) -> Any:
        limit = self._limits.time
        if limit is None:
            return function(*args)
        left = self._left.get(place) or [limit]
        if left[0] <= 0:
            del self._left[place]
            raise self._limits.time_error()
        self.deadline = deadline = monotonic() + left[0]
        try:
            result = function(*args)
        finally:
            self.deadline = inf
            left[0] = deadline - monotonic()
        # One plain value was yielded, if it is not that of a first step: see dispatcher.lua.
        kind = result[0] if type(result) is tuple else outcomes.YIELDED if place else None
        if kind in outcomes.PAUSES:
            self._left[result[1] if type(result) is tuple else place] = left
        elif kind != outcomes.REFUSED_ARGUMENT:
            self._left.pop(place, None)
        return result

    def error(self, reason: int, chunk: str | None, line: int | None, traceback: str) -> LuaError:
        """Return the error of a task that Lua has ended."""
        if reason == _TIME:
            return self._limits.time_error(chunk, line, traceback)
        if reason == _CANCELLED:
            return self._limits.cancelled_error(chunk, line, traceback)
        assert self._limits.memory is not None
        if self._collect() > self._limits.memory * _FULL:
            self._lose()
        return self._limits.memory_error(chunk, line, traceback)

    def _collect(self) -> int:
        """Free what is garbage, and return how many bytes are in use."""
        assert self._limits.memory is not None
        self._runtime.gccollect()
        self._runtime.gccollect()  # What a finalizer has let go of is garbage now.
        used: int = self._runtime.get_memory_used()
        # Again when half of what there is now has been used up.
        self._collect_at = used + max(0, self._limits.memory - used) // 2
        return used

    def _lose(self) -> None:
        self._state.lost = "it ran out of memory"
        self._state.retire()

    def _lost_error(self) -> StateLostError:
        """Return the error of what comes back to a state that has been given up meanwhile."""
        self._state.retire()
        assert self._state.lost is not None
        return StateLostError(self._limits.pool, self._state.lost)
