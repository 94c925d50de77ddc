"""What a pool tells of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """What a pool was doing when `ThreadPool.statistics` was called."""

    threads: int
    """The number of its threads."""

    states: int
    """The number of its Lua states."""

    in_flight: int
    """Tasks that wait in the queue or run, as far as the loop knows; `max_queue` bounds these."""

    running: int
    """Threads that run something now, of which the loop may have heard already."""

    paused: int
    """Tasks that wait for Python code on the loop."""

    coroutines: int
    """Lua coroutines that wait to be resumed: of paused tasks, `Coroutine` and `Stream`."""
