"""What a pool keeps for its statistics."""

from __future__ import annotations

from asyncio import CancelledError, Future
from typing import Any

from ._exceptions import LuaMemoryLimitError, LuaTimeLimitError
from ._sampling import Sampler


class Records:
    """
    What has happened so far; the loop's alone.

    Nothing is written for a task that just returns: the loop adds up what it has heard of at once.

    Args:
        stops_tasks: whether a task that is cancelled while it runs does not run to its end.
    """

    __slots__ = (
        "_batches",
        "_stops_tasks",
        "abandoned",
        "cancelled",
        "completed",
        "failed",
        "granted",
        "memory_limited",
        "rejected",
        "sampler",
        "steps",
        "time_limited",
    )

    def __init__(self, stops_tasks: bool) -> None:
        self._stops_tasks = stops_tasks
        self._batches: dict[Future[Any], int] = {}  # how many items those in flight have
        self.completed = 0
        self.failed = 0
        self.cancelled = 0
        self.abandoned = 0
        self.rejected = 0
        self.time_limited = 0
        self.memory_limited = 0
        self.steps = 0
        """Steps that are no longer in flight, closed coroutines among them."""

        self.granted = 0
        """Places in flight that those have who waited for room, and have not used yet."""

        self.sampler = Sampler()

    @property
    def ended(self) -> int:
        """Tasks that are no more."""
        return self.completed + self.failed + self.cancelled + self.abandoned

    def add_batch(self, future: Future[Any], items: int) -> None:
        """Note that so many tasks are in flight as one."""
        self._batches[future] = items

    def pop_batch(self, future: Future[Any]) -> int:
        """Return how many tasks are no longer in flight with this future: 1 if it is no batch."""
        return self._batches.pop(future, 1)

    def size(self, future: Future[Any] | None) -> int:
        """Return how many tasks are in flight with this future: 1 if it is no batch."""
        return 1 if future is None else self._batches.get(future, 1)

    @property
    def batched(self) -> int:
        """How many tasks are in flight in batches beyond one for each."""
        return sum(self._batches.values()) - len(self._batches)

    def add_ended(self, future: Future[Any], error: BaseException | None, tasks: int = 1) -> None:
        """Count tasks that have ended on a thread, and whose outcome is for `future`."""
        if not future.done():
            if error is None:
                self.completed += tasks
            else:
                self.add_error(error, tasks)
        elif error is not None and self._stops_tasks:
            self.cancelled += tasks
        else:
            self.abandoned += tasks

    def add_error(self, error: BaseException, tasks: int = 1) -> None:
        """Count tasks that have ended by an error."""
        if isinstance(error, CancelledError):
            self.cancelled += tasks
            return
        self.failed += tasks
        if isinstance(error, LuaTimeLimitError):
            self.time_limited += tasks
        elif isinstance(error, LuaMemoryLimitError):
            self.memory_limited += tasks
