"""
The threads of a pool, the queue that they serve, and the Lua states that they run tasks on.

The loop appends tasks to `Threads.ready` and wakes a thread; a thread takes a task, runs it on a
state, appends the outcome to `Threads.done` and notifies the loop. Both queues are deques, whose
`append` and `popleft` are atomic under the GIL, so the hand-off takes no lock.

A new task runs in any state. One that has paused can only go on in its own; if another thread is
in that when its turn comes, it is set aside there, and that thread takes it next: it is older than
what is in the queue by then. So whoever is in a state looks at what was set aside before it looks
at the queue, and whoever leaves it looks once more (`_leave_state`).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from contextlib import suppress
from time import sleep
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ._exceptions import InitError, LuaError, StateLostError, ThreadPoolError
from ._state import Pause, State, StateOptions
from ._task import VISIT, VOID, Close, Completion, Task, presentable

if TYPE_CHECKING:
    from ._pool import ThreadPool

# What is in the queue: a future, a chunk, its arguments, and the pool; or, with VISIT in the place
# of the chunk, a visit in that of the arguments. A plain tuple, because making one costs a fifth
# of what an object of a class costs. It carries its pool, so that a pool whose tasks are awaited
# lives as long as they do, though its idle threads do not keep it alive. A visit that nobody waits
# for has no future.
Queued: TypeAlias = "tuple[asyncio.Future[Any] | None, Any, Any, ThreadPool]"

_logger = logging.getLogger("threadpool_lua")

_THRIFTY_BATCH: Final = 100  # completions; about as many as make the wake-up of the loop cheap
_WATCH_INTERVAL: Final = 0.001  # seconds; the longest that a wrong guess can delay a task, twice
_STACK_SIZE: Final = 64 * 2**20  # bytes of address space; memory is taken as it is used
_LEAST_GIVEN_UP: Final = 4  # threads that may be stuck; more if the pool has more threads
_QUIET_INTERVALS: Final = 100  # watch intervals without a task, after which nobody need watch

_NOTHING: Final[deque[Queued]] = deque()  # what is set aside for a thread that is in no state


class Worker:
    """One thread of a pool."""

    __slots__ = ("is_given_up", "task", "thread", "wake")

    def __init__(self, threads: Threads, number: int) -> None:
        self.task: Queued | None = None
        """What it runs now. Written by the thread alone."""

        self.is_given_up = False
        """Whether another thread has taken its place, so that it has to leave."""

        self.wake = threading.Lock()
        """Held except for the moment between a wake-up and the thread's notice of it."""

        self.wake.acquire()
        self.thread = threading.Thread(
            target=threads.serve,
            args=(self,),
            name=f"threadpool_lua {threads.name}-{number}",
            # A thread that is stuck in Lua must not keep the interpreter from exiting.
            daemon=True,
        )

    def start(self) -> None:
        """Start the thread, with a stack that LuaJIT cannot use up: see nesting.lua."""
        before = threading.stack_size(_STACK_SIZE)
        try:
            self.thread.start()
        finally:
            threading.stack_size(before)


class Leave:
    """Has a thread that was given up leave the state in which it was stuck, and the queue."""

    def __init__(self, state: State) -> None:
        self.state = state

    def run(self, state: State) -> None:
        """Do nothing: who runs this leaves."""


class Threads:
    """
    The threads of one pool.

    Who may touch what: `ready` is appended to by the loop, and by threads that put back what they
    cannot go on with, and is taken from by the threads; `done` is appended to by the threads and
    taken from by the loop; `idle` is pushed to by a thread about to sleep and popped from by who
    wakes it; every other attribute says so itself. Nothing here refers to the pool.

    Args:
        name: the pool's name.
        count: the number of threads.
        max_states: the number of Lua states at most.
        options: what a new Lua state is made with.
        loop: the loop that completions go to.
    """

    def __init__(
        self,
        name: str,
        count: int,
        max_states: int,
        options: StateOptions,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.name = name
        self.ready: deque[Queued] = deque()
        self.done: deque[Completion] = deque()
        self.idle: list[Worker] = []
        self.notified = False
        """Whether the loop has been told of completions and has not looked yet."""

        self.opened: asyncio.Future[None] = loop.create_future()
        """Done when all threads run, or with the error for which one could not be started."""

        self.exited: asyncio.Future[None] = loop.create_future()
        """Done when all threads have left and their states are closed."""

        self.workers = [Worker(self, number) for number in range(count)]
        self._unstarted = iter(self.workers)  # taken from by one starting thread after the other
        self._running: set[Worker] = set()  # each thread adds the next one and discards itself
        self.states: list[State] = []
        """All states. A thread adds the one that it makes, and removes the one that it closes."""

        self._max_states = max_states
        self._given_up = 0  # threads that are stuck; with the places, guarded by the lock below
        self._free_places: list[int] = []  # in `workers`, of such threads
        self._places_lock = threading.Lock()
        self.states_made = 0
        """How many states have been made. Guarded, as what follows, by the lock below."""

        self.states_replaced = 0
        """How many of these went before the pool did."""

        self._making = 0  # states that threads are about to make
        self._states_lock = threading.Lock()
        # States in which no coroutine waited when a thread left them: a hint, as another thread
        # may have entered one meanwhile.
        self._vacant: dict[State, None] = {}
        self._stopping = False
        self.thrifty = False
        """Whether one thread serves alone. Changed under the lock below."""

        self.was_stuck = False
        """Whether that one was found stuck in a task. Set by the watch, taken back by the loop."""

        self._batch = 1  # completions that make a thread notify the loop while tasks wait
        self._resting: list[Worker] = []  # threads that sleep while the pool is thrifty
        self._rest_lock = threading.Lock()  # guards the list and the change to and from thrift
        self._options = options
        self._loop = loop

    def start(self) -> None:
        """Start the threads, in the background: starting many takes milliseconds."""
        worker = next(self._unstarted, None)
        if worker is None:
            self._tell(_resolve, self.opened, None)
            return
        self._running.add(worker)
        try:
            worker.start()
        except RuntimeError as error:
            self._running.discard(worker)
            started = len(self._running)
            self._tell(
                _resolve,
                self.opened,
                ThreadPoolError(
                    f'thread pool "{self.name}": only {started} of {len(self.workers)} threads '
                    f"could be started: {error}"
                ),
            )
            if not started:
                self._tell(_resolve, self.exited, None)

    @property
    def is_stopping(self) -> bool:
        """Whether the threads leave once the queue is empty."""
        return self._stopping

    def wake(self) -> None:
        """Wake the thread that slept last, if one sleeps: its memory is the most likely cached."""
        try:
            worker = self.idle.pop()
        except IndexError:
            return
        worker.wake.release()

    def stop(self) -> None:
        """
        Let the threads leave once the queue is empty.

        Any thread may call this, at any time, even from the garbage collector in the middle of any
        other method; so it takes no lock. Those that rest are roused by the one that watches.
        """
        self._stopping = True
        while self.idle:
            self.wake()

    def serve(self, worker: Worker) -> None:
        """Be the thread of `worker`: start the next thread, run tasks, leave."""
        try:
            self.start()
            self._run_tasks(worker)
            while self._sleep(worker):
                self._run_tasks(worker)
        finally:
            self._leave(worker)

    def _run_tasks(self, worker: Worker) -> None:
        """Run tasks until there are none, or until this thread is one too many."""
        # All that refers to a task is local here, or the worker's `task`: a thread that sleeps
        # must keep neither a pool nor values alive.
        done = self.done
        take = self.ready.popleft
        state: State | None = None
        aside: deque[Queued] = _NOTHING
        pool: ThreadPool | None = None
        task: Any
        future: Any
        visit: Any
        paused: Any
        completion: Completion | None
        while True:
            try:
                worker.task = task = aside.popleft() if aside else take()
            except IndexError:
                break
            future, chunk, args, pool = task
            if chunk is not VISIT:
                result = failure = None
                if not future.cancelled():
                    try:
                        if state is None or state.coroutines:
                            entered, state, aside = state, None, _NOTHING
                            state = self._state_for_new_task(entered, pool)
                            state.entered_by = worker
                            aside = state.aside
                        result = state.run(chunk, args)
                        if state.coroutines and type(result) is Pause:
                            paused = Task(pool, future, chunk, (), None)
                            future, result, failure = paused.follow(state, result)
                    except BaseException as error:
                        failure = presentable(error)
                else:
                    failure = VOID
                done.append((future, result, failure))
            else:
                visit = args
                target = visit.state
                if target is not state and target is not None:
                    # Nothing is before the task, unless something has been set aside.
                    at_once = not target.aside and target.lock.acquire(False)
                    if at_once or self._enter_state(target, task):
                        if state is not None:
                            self._leave_state(state, pool)
                        state = target
                        state.entered_by = worker
                        aside = state.aside
                    if not at_once:
                        continue
                try:
                    if target is None and (state is None or state.coroutines):
                        entered, state, aside = state, None, _NOTHING
                        state = self._state_for_new_task(entered, pool)
                        state.entered_by = worker
                        aside = state.aside
                    completion = visit.run(state)
                except BaseException as error:
                    completion = None if future is None else (future, None, presentable(error))
                if completion is not None:
                    done.append(completion)
                elif future is not None:
                    done.append((future, None, VOID))
                elif worker.is_given_up:
                    break
                else:
                    continue
            if not self.notified and len(done) >= self._batch:
                self.notify(pool)
                if self.thrifty and len(self._resting) < len(self.workers) - 1:
                    if self.ready:
                        self.wake()  # A task may have been left to this thread alone.
                    break
        if pool is not None and done and not self.notified:
            self.notify(pool)
        if state is not None and pool is not None:
            self._leave_state(state, pool)
        worker.task = None
        # An exception of a host function that somebody keeps leads here, by its frames.
        state = pool = task = args = future = result = failure = None
        visit = target = paused = completion = None

    def notify(self, pool: ThreadPool) -> None:
        """Have the loop look at the completions, all of them at once."""
        self.notified = True
        try:
            self._loop.call_soon_threadsafe(pool._drain)
        except RuntimeError:
            self._give_up()

    def _give_up(self) -> None:
        """The loop is closed, and nobody waits for anything any more: let all threads leave."""
        self.ready.clear()
        self.stop()

    def _sleep(self, worker: Worker) -> bool:
        """
        Sleep until there may be a task; false means that it is time to leave.

        The race: the loop appends a task and finds nobody idle, while this thread has found the
        queue empty and is about to sleep. So the thread (1) declares itself idle, and only then
        (2) looks at the queue once more; the loop (3) appends, and only then (4) looks for an
        idle thread. Whichever of 1 and 3 comes first, its other side sees it, in 4 or in 2. If
        both do, the wake-up is on its way, and the thread must take it before it goes on.
        """
        if worker.is_given_up and not self._comes_back(worker):
            return False
        if self._loop.is_closed():
            # If it was notified before, and closed before it looked, `notify` will not find out.
            self._give_up()
        if self.thrifty and self._rest(worker):
            return True
        self.idle.append(worker)
        if self.ready or self._stopping:
            try:
                self.idle.remove(worker)
            except ValueError:
                worker.wake.acquire()
        else:
            worker.wake.acquire()
        return bool(self.ready) or not self._stopping

    def be_thrifty(self) -> None:
        """
        Let one thread do all the work, and the others rest.

        When tasks take a few microseconds, threads do little but fight for the GIL, and the loop
        fights with them. So one thread serves the queue alone and tells the loop of completions
        in batches, and the first of the others to rest keeps watch over it (`_watch`).
        """
        with self._rest_lock:
            self.thrifty = True
            self._batch = _THRIFTY_BATCH
        while self.idle:
            self.wake()  # They wake up to rest instead; the last of them stays idle.

    def rouse(self) -> None:
        """Let all threads serve the queue again, and the loop know of each completion at once."""
        with self._rest_lock:
            self.thrifty = False
            self._batch = 1
            roused, self._resting = self._resting, []
        for worker in roused:
            worker.wake.release()
        if self.done and not self.notified:
            # Whoever put off telling the loop is stuck in its next task.
            for task in [worker.task for worker in self.workers]:
                if task is not None:
                    self.notify(task[3])
                    break

    def _rest(self, worker: Worker) -> bool:
        """Sleep while the pool is thrifty; false means that this is the thread that serves."""
        with self._rest_lock:
            enough = len(self._resting) >= len(self.workers) - 1
            if not self.thrifty or enough or self._stopping:
                return False
            self._resting.append(worker)
            watch = len(self._resting) == 1
        if watch:
            self._watch(worker)
        else:
            worker.wake.acquire()
        return True

    def _watch(self, worker: Worker) -> None:
        """Rest, but look again and again whether the thread that serves is stuck in a task."""
        task = completion = None
        quiet = 0
        while not worker.wake.acquire(timeout=_WATCH_INTERVAL):
            last_task, task = task, _first(self.ready)
            last_completion, completion = completion, _first(self.done)
            if self._stopping:
                self.rouse()
            elif task is None and completion is None:
                quiet += 1
                if quiet >= _QUIET_INTERVALS:
                    self.rouse()
            else:
                quiet = 0
                untaken = task is not None and task is last_task
                untold = completion is not None and completion is last_completion
                if untaken or (untold and not self.notified):
                    self.was_stuck = True
                    self.rouse()

    def _enter_state(self, state: State, task: Queued) -> bool:
        """
        Enter the state that a task can go on in only, or leave the task there.

        The race: the thread that is in the state has found that nothing was set aside, and is about
        to leave. So this thread (1) sets the task aside, and only then (2) tries to enter; the
        other (3) leaves, and only then (4) looks whether something was set aside (`_leave_state`).
        Whichever of 1 and 3 comes first, the other side sees it, in 4 or in 2.

        Returns:
            Whether it was entered. The task is set aside in any case: others may be before it.
        """
        state.aside.append(task)
        if state.lock.acquire(blocking=False):
            return True
        if state.is_closed or state.lost is not None:
            self._end_aside(state)
        return False

    def _leave_state(self, state: State, pool: ThreadPool) -> None:
        """Let others enter a state, and put what was set aside for it to the head of the queue."""
        if state.is_retired and (state.lost is not None or state.coroutines == 1):
            self._close_state(state, pool)
            return
        state.lock.release()
        if not state.coroutines:
            self._vacant[state] = None
        while state.aside and state.lock.acquire(blocking=False):
            while state.aside:
                self.ready.appendleft(state.aside.pop())
            state.lock.release()
            self.wake()

    def _close_state(self, state: State, pool: ThreadPool) -> None:
        """Close a state that has been retired; this thread has entered it, and it stays locked."""
        self._replace_state(state)
        state.close()
        self._end_aside(state)
        if state.lost is None:
            _logger.debug('thread pool "%s": a Lua state has run all its tasks', self.name)
        else:
            _logger.warning('thread pool "%s": a Lua state is lost: %s', self.name, state.lost)
            self._tell(pool._end_lost, state)

    def _replace_state(self, state: State) -> None:
        """Let another state be made in the place of this one."""
        with suppress(ValueError), self._states_lock:
            self.states.remove(state)  # It is no longer there if it has been given up.
            self.states_replaced += 1

    def _state_for_new_task(self, entered: State | None, pool: ThreadPool) -> State:
        """
        Enter a state for a new task, if possible one where no coroutine waits that it might delay.

        Args:
            entered: the state that this thread is in; it is left if another is entered.
            pool: the pool.

        Raises:
            InitError: only a new state would do, and the `init` chunk failed in it.
        """
        failure: InitError | None = None
        while True:
            state = self._vacant_state(pool)
            if state is not None:
                if entered is not None:
                    self._leave_state(entered, pool)
                return state
            if entered is not None and entered.is_retired:
                self._leave_state(entered, pool)
                entered = None
            if failure is None and self._may_make_state():
                if entered is not None:  # Not to be kept from others while `init` runs.
                    self._leave_state(entered, pool)
                    entered = None
                try:
                    state = self._new_state()
                except LuaError as error:
                    failure = InitError(self.name)
                    failure.__cause__ = error.with_traceback(None)
                else:
                    if state is not None:
                        return state
            if entered is not None:
                return entered
            for state in sorted(self.states, key=lambda state: state.coroutines):
                if not state.is_retired and state.lock.acquire(blocking=False):
                    return state
            if failure is not None:
                raise failure
            # There are as many states as threads: one of these is on its way to another state.
            sleep(0)

    def _vacant_state(self, pool: ThreadPool) -> State | None:
        """Enter a state in which no coroutine waits, if there is one."""
        while self._vacant:
            try:
                state, _ = self._vacant.popitem()
            except KeyError:
                break
            if state.lock.acquire(blocking=False):
                if not state.coroutines:
                    return state
                self._leave_state(state, pool)
        return None

    def _may_make_state(self) -> bool:
        # One that is retired is not for new tasks, and goes when those have ended that wait there.
        in_use = sum(not state.is_retired for state in list(self.states))
        return in_use + self._making < self._max_states

    def _new_state(self) -> State | None:
        """
        Make and enter a state, if there may be another one.

        Raises:
            LuaError: the `init` chunk failed.
        """
        with self._states_lock:
            if not self._may_make_state():
                return None
            self._making += 1
        try:
            state = State(self._options)
            state.lock.acquire()
            with self._states_lock:
                self.states_made += 1
            self.states.append(state)
            state.lacks_functions = True  # There may be one since it was made.
            return state
        finally:
            with self._states_lock:
                self._making -= 1

    def _leave(self, worker: Worker) -> None:
        try:
            # It stays locked, so no two threads close it, and nobody closes one that is in use.
            for state in list(self.states) if self._stopping else ():
                if state.lock.acquire(blocking=False):
                    self.states.remove(state)
                    state.entered_by = worker
                    state.close()
                    self._end_aside(state)
        finally:
            self._running.discard(worker)
            # Two that leave at once may both find themselves the last: telling twice is harmless.
            if not self._running:
                self._tell(_resolve, self.exited, None)

    def replace(self, worker: Worker, state: State, pool: ThreadPool) -> bool:
        """
        Give up a thread that is stuck, with the state that it is in; called by the loop.

        Returns:
            Whether another thread takes its place at once.
        """
        with self._places_lock:
            worker.is_given_up = True
            self._given_up += 1
            self._free_places.append(self.workers.index(worker))
        self._running.discard(worker)
        self._replace_state(state)
        self._end_aside(state)
        # What the thread finds there when it comes back: it must not go on with the queue.
        state.aside.append((None, VISIT, Leave(state), pool))
        return self.fill_places()

    def fill_places(self) -> bool:
        """
        Start a thread in each place of one that has been given up; called by the loop.

        Returns:
            Whether no place is free. Those that are will be taken by threads that come back.
        """
        while self._given_up <= max(_LEAST_GIVEN_UP, len(self.workers)):
            with self._places_lock:
                if not self._free_places:
                    break
                place = self._free_places.pop()
            worker = Worker(self, place)
            self._running.add(worker)
            try:
                worker.start()
            except RuntimeError:
                self._running.discard(worker)
                with self._places_lock:
                    self._free_places.append(place)
                break
            self.workers[place] = worker
        return not self._free_places

    def _comes_back(self, worker: Worker) -> bool:
        """Let a thread that was given up take a free place, if there is one."""
        with self._places_lock:
            self._given_up -= 1
            if not self._free_places or self._stopping:
                return False
            self.workers[self._free_places.pop()] = worker
            worker.is_given_up = False
        self._running.add(worker)
        return True

    def _end_aside(self, state: State) -> None:
        """Complete what was set aside in a state that is closed, or lost, by now."""
        lost = state.lost
        error = None if lost is None else StateLostError(self.name, lost)
        leave = None
        while state.aside:
            with suppress(IndexError):  # Two threads may do this.
                task = state.aside.popleft()
                future, _, visit, _ = task
                if isinstance(visit, Leave):
                    leave = task
                elif future is not None:
                    ended_by = VOID if error is None or isinstance(visit, Close) else error
                    self.done.append((future, None, ended_by))
        if leave is not None:
            state.aside.append(leave)

    def _tell(self, callback: Any, *args: object) -> None:
        # A loop that is closed has nobody to be told.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *args)


def _first(queue: deque[Any]) -> Any:
    try:
        return queue[0]
    except IndexError:
        return None


def _resolve(future: asyncio.Future[None], error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
