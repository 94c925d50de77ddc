"""A chunk run for each item of an iterable, many items in one visit to a state: ``pool.map``."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from ._exceptions import MarshalError
from ._state import Pause, State
from ._task import PAUSED, VOID, Completion, Task, add_note, presentable

if TYPE_CHECKING:
    from ._chunk import Chunk
    from ._pool import ThreadPool

_AIM: Final = 0.001  # seconds that a batch should take; longer, and other tasks would notice
_BATCHES: Final = 4  # at least, in which the items in flight are, so that no thread idles


@dataclass(slots=True)
class BatchOutcome:
    """What came of a batch."""

    results: list[Any]
    """Of the items up to the first that failed or paused."""

    failure: BaseException | None
    """The error of that one, if it failed."""

    seconds: float
    """How long a thread was busy with it."""

    futures: tuple[asyncio.Future[Any], ...] = ()
    """Of the item that paused, and of the batch of those after it, if there are any."""


class Batch:
    """Items for each of which a task is run, one after the other, until one pauses or fails."""

    __slots__ = ("_context", "_items", "_pool", "_task", "chunk", "future", "state")

    def __init__(
        self,
        pool: ThreadPool,
        chunk: Chunk | str,
        items: Sequence[object],
        context: Context | None,
    ) -> None:
        self._pool = pool
        self.chunk = chunk
        self._items = items
        self._context = context
        self._task: Task | None = None  # the task that has paused
        self.state: State | None = None
        self.future: asyncio.Future[Any] = pool._create_future()
        """Is done with the `BatchOutcome`."""

    def put(self) -> None:
        """Have the threads run it; on the loop."""
        self._pool._records.add_batch(self.future, len(self._items))
        self._pool._put(self.future, self)

    def run(self, state: State) -> Completion:
        """Run the tasks."""
        if self.future.done():
            return self.future, None, VOID
        start = perf_counter()
        results: list[Any] = []
        failure: BaseException | None = None
        pause: Pause | None = None
        try:
            try:
                part, failure, stopped = state.run_batch(self.chunk, self._items)
            except MarshalError:
                # An item cannot cross, and no task has been run. Run alone, each says so itself.
                for item in self._items:
                    outcome = state.run(self.chunk, (item,))
                    failure, pause = self._end_of_task(state, outcome, results)
                    if failure or pause:
                        break
            else:
                results += part
                while stopped and failure is None:
                    outcome = state.batch_stopped()
                    failure, pause = self._end_of_task(state, outcome, results)
                    if failure or pause:
                        break
                    part, failure, stopped = state.go_on_with_batch()
                    results += part
        except BaseException as error:
            failure = presentable(error)
        state.forget_batch()
        seconds = perf_counter() - start
        return self, (BatchOutcome(results, failure, seconds), pause), PAUSED

    def paused(self, what: tuple[BatchOutcome, Pause | None]) -> None:
        """Tell what has come of the tasks; on the loop."""
        outcome, pause = what
        pool = self._pool
        if pool._was_given_up(self.future):
            return
        records = pool._records
        records.pop_batch(self.future)
        records.add_ended(self.future, None, len(outcome.results))
        rest = self._items[len(outcome.results) + 1 :]
        if pause is not None:
            self._let_go_on(outcome, pause, rest)
            return
        if outcome.failure is not None:
            records.add_ended(self.future, outcome.failure)
            records.cancelled += len(rest)
        if not self.future.done():
            self.future.set_result(outcome)

    def _let_go_on(self, outcome: BatchOutcome, pause: Pause, rest: Sequence[object]) -> None:
        """Let the task that has paused go its own way, and those after it begin."""
        pool = self._pool
        task = self._task
        assert task is not None
        outcome.futures = (task.future,)
        if pool._end is not None and not self.future.done():
            pool._end(self.future)
        if self.future.done():
            task.future.cancel()
            pool._records.cancelled += len(rest)
        else:
            if rest:
                batch = Batch(pool, self.chunk, rest, self._context)
                outcome.futures += (batch.future,)
                batch.put()
            self.future.set_result(outcome)
        task.paused(pause)

    def _end_of_task(
        self, state: State, outcome: object, results: list[Any]
    ) -> tuple[BaseException | None, Pause | None]:
        """Return why a task failed, or its pause; or add its result to the others."""
        context = self._context.copy() if self._context is not None else None
        future = self._pool._loop.create_future()
        self._task = Task(self._pool, future, self.chunk, (), context)
        _, result, error = self._task.follow(state, outcome)
        if error is PAUSED:
            return None, result
        if error is None:
            results.append(result)
        return error, None


class Map:
    """
    The items on their way from an iterable to who consumes the results.

    Args:
        pool: the pool that runs the tasks.
        chunk: what is run for each item.
        ordered: whether results come in the order of the items.
        in_flight: how many items may be on their way.
    """

    def __init__(self, pool: ThreadPool, chunk: Chunk | str, ordered: bool, in_flight: int) -> None:
        self._pool = pool
        self._chunk = chunk
        self._ordered = ordered
        self._in_flight = in_flight
        self._context = copy_context() if pool._functions else None
        limits = pool._options.limits
        self._largest = max(1, in_flight // _BATCHES)
        if limits is not None and limits.tasks is not None:
            self._largest = min(self._largest, limits.tasks)
        self._most_batches = 2 * pool._thread_count  # one to run and one to wait for each thread
        self._size = 1  # items in the next batch; grows while tasks turn out to be quick
        self._items: list[object] = []  # the next batch
        self._on_their_way = 0  # items taken whose results have not been consumed
        self._batches = 0  # whose outcome is not there yet
        self._open: set[asyncio.Future[Any]] = set()  # all that results are expected from
        self._order: deque[asyncio.Future[Any]] = deque()  # these in the order of the items
        self._done: deque[asyncio.Future[Any]] = deque()  # and in the order of completion
        self._change: asyncio.Future[None] | None = None  # what the consumer awaits
        self._space: asyncio.Future[None] | None = None  # what the feeder awaits
        self._flusher: asyncio.Future[None] | None = None  # puts a batch beside the feeder
        self._flushes = False  # whether items do not wait until there are enough for a batch

    async def results(self, items: Iterable[object] | AsyncIterable[object]) -> AsyncIterator[Any]:
        """Yield the results."""
        feeder = asyncio.ensure_future(self._feed(items))
        feeder.add_done_callback(self._feeder_is_done)
        count = 0
        try:
            while (future := await self._next(feeder)) is not None:
                failure = future.exception()
                if failure is None:
                    outcome = future.result()
                    if isinstance(outcome, BatchOutcome):
                        self._adapt(outcome)
                        self._expect(outcome.futures, first=True)
                        results, failure = outcome.results, outcome.failure
                    else:
                        results = [outcome]
                    for result in results:
                        count += 1
                        self._consumed()
                        yield result
                if failure is not None:
                    if self._ordered:
                        add_note(failure, f"in pool.map, for item {count + 1}")
                    raise failure
            feeder.result()
        finally:
            feeder.cancel()
            if self._flusher is not None:
                self._flusher.cancel()
            self._items.clear()  # What ends below must not have them put.
            for future in {*self._open, *self._done, *self._order}:
                _abandon(future)

    # ----------------------------------------------------------------------- from the iterable on

    async def _feed(self, items: Iterable[object] | AsyncIterable[object]) -> None:
        """Make batches of the items, and put these into the queue."""
        try:
            if isinstance(items, AsyncIterable):
                self._flushes = True
                async for item in items:
                    if not self._items:
                        # By then all that the source has at hand is together.
                        self._pool._loop.call_soon(self._flush)
                    await self._take(item)
            else:
                for item in items:
                    await self._take(item)
        except Exception:
            # The items before the error have their results before it.
            if self._items:
                await self._put_when_possible()
            raise
        if self._items:
            await self._put_when_possible()

    async def _take(self, item: object) -> None:
        self._items.append(item)
        self._on_their_way += 1
        if len(self._items) >= self._size:
            await self._put_when_possible()
        while self._on_their_way >= self._in_flight:
            if self._items:
                await self._put_when_possible()
            else:
                await self._wait_for_space()

    async def _put_when_possible(self) -> None:
        while self._batches >= self._most_batches:
            await self._wait_for_space()
        if self._items:
            await self._pool.room()
        if self._items:
            self._put_batch()

    def _put_batch(self) -> None:
        batch = Batch(self._pool, self._chunk, self._items, self._context)
        self._items = []
        self._batches += 1
        self._expect((batch.future,))
        batch.future.add_done_callback(self._batch_is_done)
        batch.put()

    def _batch_is_done(self, _: asyncio.Future[Any]) -> None:
        self._batches -= 1
        _wake(self._space)
        if self._flushes:
            self._flush()

    def _flush(self) -> None:
        """Have the items go that there are: the next one may take its time."""
        if self._items and self._flusher is None:
            self._flusher = asyncio.ensure_future(self._put_when_possible())
            self._flusher.add_done_callback(self._flusher_is_done)

    def _flusher_is_done(self, flusher: asyncio.Future[None]) -> None:
        self._flusher = None
        if not flusher.cancelled():
            flusher.exception()  # If the pool is closed, the feeder hears of it, too.

    async def _wait_for_space(self) -> None:
        # The feeder and the flusher may wait for the same.
        if self._space is None or self._space.done():
            self._space = self._pool._create_future()
        await asyncio.shield(self._space)

    # ----------------------------------------------------------------------------- to the consumer

    def _expect(self, futures: Sequence[asyncio.Future[Any]], first: bool = False) -> None:
        """Expect results from these; if `first`, before those from others."""
        for future in futures:
            self._open.add(future)
            future.add_done_callback(self._future_is_done)
        if self._ordered:
            if first:
                self._order.extendleft(reversed(futures))
            else:
                self._order.extend(futures)

    def _future_is_done(self, future: asyncio.Future[Any]) -> None:
        self._open.discard(future)
        if not self._ordered:
            self._done.append(future)
        _wake(self._change)

    async def _next(self, feeder: asyncio.Future[None]) -> asyncio.Future[Any] | None:
        """Return the next future that has results, or None after the last."""
        while True:
            if self._ordered:
                if self._order and self._order[0].done():
                    return self._order.popleft()
            elif self._done:
                return self._done.popleft()
            if feeder.done() and not self._open and not self._order:
                return None
            self._change = self._pool._create_future()
            await self._change

    def _feeder_is_done(self, feeder: asyncio.Future[None]) -> None:
        if not feeder.cancelled():
            feeder.exception()  # The consumer hears of it, if there still is one.
        _wake(self._change)

    def _consumed(self) -> None:
        self._on_their_way -= 1
        _wake(self._space)

    def _adapt(self, outcome: BatchOutcome) -> None:
        """Make the next batch larger or smaller."""
        if outcome.futures:
            self._size = max(1, self._size // 2)  # Tasks that pause gain nothing by company.
        elif outcome.results:
            fitting = int(_AIM / (outcome.seconds / len(outcome.results)))
            self._size = max(1, min(2 * self._size, fitting, self._largest))


def _abandon(future: asyncio.Future[Any]) -> None:
    """Cancel what is on its way to a future, and take what is there as heard of."""
    if not future.cancel() and not future.cancelled() and future.exception() is None:
        outcome = future.result()
        if isinstance(outcome, BatchOutcome):
            for other in outcome.futures:
                _abandon(other)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
