"""How many threads serve a pool: all of them, or, while tasks are tiny, one."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ._threads import Threads

_WINDOW: Final = 0.002  # seconds over which completions are counted
_BUSY: Final = 10_000  # completions per second from which on one thread might do better than all
_SLOW: Final = 20_000  # completions per second below which one thread is not enough
_FIRST_PAUSE: Final = 0.05  # seconds from a trial that failed to the next; then twice as long
_LONGEST_PAUSE: Final = 5.0


class Pace:
    """
    Watches the rate of completions, and tries whether one thread reaches more than all do.

    All threads serve at first: tasks that block, or compute for long, want that. When the rate is
    high, one thread alone is given a trial, which it passes if it reaches a higher rate. It then
    goes on alone until tasks wait for it at a low rate. A thread that gets stuck meanwhile is the
    threads' own business: see `Threads.be_thrifty`.
    """

    __slots__ = (
        "_count",
        "_pause",
        "_rate_of_all",
        "_since",
        "_threads",
        "_trial_from",
    )

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._since = monotonic()
        self._count = 0  # completions since then
        self._rate_of_all: float | None = None  # to be beaten by the trial that goes on
        self._pause = _FIRST_PAUSE
        # One thread needs no trial.
        self._trial_from = self._since if len(threads.workers) > 1 else float("inf")

    def note(self, count: int) -> bool:
        """
        Note that `count` tasks have completed; the loop calls this for each batch.

        Returns:
            Whether a window has ended: it is time to look at other things, too.
        """
        self._count += count
        now = monotonic()
        elapsed = now - self._since
        if elapsed < _WINDOW:
            return False
        rate = self._count / elapsed
        self._since = now
        self._count = 0
        threads = self._threads
        if threads.was_stuck:
            threads.was_stuck = False
            self._rate_of_all = None
            self._put_off(now)
        elif not threads.thrifty:
            if rate > _BUSY and now >= self._trial_from:
                self._rate_of_all = rate
                threads.be_thrifty()
        elif self._rate_of_all is not None:
            if rate < self._rate_of_all:
                threads.rouse()
                self._put_off(now)
            else:
                self._pause = _FIRST_PAUSE
            self._rate_of_all = None
        elif rate < _SLOW and threads.ready:
            threads.rouse()
            self._put_off(now)
        return True

    def _put_off(self, now: float) -> None:
        """Let the next trial wait, and the one after it twice as long."""
        self._trial_from = now + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
