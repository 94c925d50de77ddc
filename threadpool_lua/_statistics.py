"""What a pool tells of itself."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate
from math import nan
from typing import ClassVar, Final

_PER_DECADE: Final = 10
_DECADES: Final = 9  # from a microsecond to a thousand seconds


@dataclass(frozen=True, slots=True)
class Histogram:
    """
    How long steps took: how many of them, in buckets that grow by 26 % each.

    A step is what a thread does of a task in one go, from where it starts or goes on to where it
    ends or pauses; the items of a batch of `ThreadPool.map` are one step. Of many quick steps in a
    row one is measured, every 2 ms at most but for bursts, and stands for all up to the next that
    is measured.
    """

    bounds: ClassVar[tuple[float, ...]] = tuple(
        10 ** (i / _PER_DECADE) / 1_000_000 for i in range(_DECADES * _PER_DECADE + 1)
    )
    """The longest time of each bucket but the last, in seconds: from 1 µs to 1000 s."""

    counts: tuple[int, ...]
    """How many steps are in each bucket; the last has those of more than 1000 s."""

    total: float
    """How long all of them took together, in seconds."""

    maximum: float
    """How long the longest one took that was measured, in seconds."""

    @property
    def count(self) -> int:
        """How many steps there are."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """How long they took on average, in seconds; ``nan`` if there are none."""
        count = self.count
        return self.total / count if count else nan

    def percentile(self, percent: float) -> float:
        """
        Return the time within which so many percent of the steps were done, in seconds.

        It is too long by at most 26 %, and by none for 100. Less than 1 µs may be told as 1 µs, and
        more than 1000 s as `maximum`. It is ``nan`` if there are no steps.

        Raises:
            ValueError: `percent` is not from 0 to 100.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"percent must be from 0 to 100, not {percent!r}")
        count = self.count
        if not count:
            return nan
        bucket = bisect_left(list(accumulate(self.counts)), max(1, percent / 100 * count))
        return min((*self.bounds, self.maximum)[bucket], self.maximum)


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """
    What a pool did, and was doing, when `ThreadPool.statistics` was called.

    A task is what a future was returned for: by `ThreadPool.submit`, `ThreadPool.call` or
    `Coroutine.resume`. Each item of `ThreadPool.map` is one, too, and what a `Stream` does up to
    each of its rows and to its end. Always is ``submitted == waiting + running + paused + completed
    + failed + cancelled + abandoned``.
    """

    threads: int
    """The number of its threads."""

    busy: int
    """Threads that run something now."""

    idle: int
    """Threads that do not."""

    states: int
    """Lua states that there are now."""

    states_made: int
    """Lua states that have been made so far."""

    states_replaced: int
    """
    Lua states of these that were given up before the pool was closed: they had run as many tasks
    as they may, had no memory left, or had a function of C not return.
    """

    in_flight: int
    """Tasks that wait in the queue or run, as `max_queue` bounds them: a batch of items is one."""

    waiting: int
    """Tasks that wait for a thread."""

    running: int
    """Tasks that a thread runs, or has run, and the loop has not heard of it yet."""

    paused: int
    """Tasks that wait for Python code on the loop."""

    coroutines: int
    """Lua coroutines that wait to be resumed: of paused tasks, `Coroutine` and `Stream`."""

    submitted: int
    """Tasks that the pool has taken so far."""

    completed: int
    """Tasks whose results the loop has got; to yield is a result for `Coroutine` and `Stream`."""

    failed: int
    """Tasks that ended by an exception."""

    cancelled: int
    """
    Tasks that were cancelled, or that the pool was closed before, and that did not run to their
    end: they were queued or paused, or the pool is interruptible, or they came to a pause.
    """

    abandoned: int
    """Tasks that were cancelled, or the pool closed, while they ran, and that ran to their end."""

    rejected: int
    """How often `QueueFullError` was raised. Such a task is not one that was submitted."""

    time_limited: int
    """Tasks of those failed that ended by `LuaTimeLimitError`."""

    memory_limited: int
    """Tasks of those failed that ended by `LuaMemoryLimitError`."""

    wait: Histogram
    """How long steps waited in the queue."""

    run: Histogram
    """How long steps ran on a thread."""
