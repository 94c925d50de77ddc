"""
``ngx.thread``: coroutines of a task that wait side by side.

What a light thread does before it first pauses, Lua does at once, in the step of the task. Then it
becomes a task of its own, in the same state, with the same globals and the same time limit. What it
returns or raises stays in Lua.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .._task import PAUSED, Completion, Task
from .context import context_of
from .requests import Request

if TYPE_CHECKING:
    import asyncio

    from .._state import State


class LightThread(Task):
    """
    A light thread that has paused.

    Args:
        parent: the task, or light thread, that has begun it.
        number: which Lua knows it by.
        place: where its coroutine waits.
    """

    __slots__ = ("_root", "number")

    def __init__(self, parent: Task, number: int, place: int) -> None:
        root = parent.root
        pool = root.pool
        # Not the same context: it may be entered on the loop and on a thread at once.
        context = root._context.copy() if root._context is not None else None
        super().__init__(pool, pool._loop.create_future(), root.chunk, (), context)
        self._root = root
        self.number = number
        self.state = parent.state
        self._place = place

    @property
    def root(self) -> Task:
        """The task that it belongs to."""
        return self._root

    def _completion(self, result: object, error: BaseException | None) -> Completion:
        return self.future, result, error


class Begun:
    """Tells the loop of a light thread, which it has not counted, before all else about it."""

    __slots__ = ("_thread",)

    def __init__(self, thread: LightThread) -> None:
        self._thread = thread

    @property
    def future(self) -> asyncio.Future[Any]:
        """That of the thread."""
        return self._thread.future

    def paused(self, _: None) -> None:
        """Count the thread."""
        thread = self._thread
        thread.pool._in_flight += 2  # The thread, and what this was taken for.
        thread.pool._records.steps -= 1
        context_of(thread).add_thread(thread)


def _spawn(task: Task, number: int, place: int) -> None:
    """Have a light thread go on that waits in a place; on the thread that is in its state."""
    state: State | None = task.state
    assert state is not None
    state.coroutines += 1
    context_of(task)
    thread = LightThread(task, number, place)
    if state.limiter is not None:
        state.limiter.share(place, task._place)
    pool = task.pool
    threads = pool._threads
    assert threads is not None
    threads.done.append((Begun(thread), None, PAUSED))
    if state.is_in_spawn:
        pool._put_by_thread(thread.future, thread)
        return
    # At once, so that what it waits for comes before what the task will.
    state.is_in_spawn = True
    try:
        threads.done.append(thread.run(state))
    finally:
        state.is_in_spawn = False
    threads.notify(pool)


def _wait(task: Task, *numbers: int) -> asyncio.Future[int] | int:
    return context_of(task).first_to_end(numbers)


def _kill(task: Task, number: int) -> None:
    thread = context_of(task).threads.get(number)
    if thread is not None:
        thread.cancel()


REQUESTS: Final = {
    b"thread.spawn": Request(_spawn),
    b"thread.wait": Request(_wait, on_loop=True),
    b"thread.kill": Request(_kill, on_loop=True),
}
