"""
How long steps wait and run, told from a few of them.

A look at the clock for each would cost several percent of a task. So the loop measures one step now
and then, which stands for those after it up to the next that is measured. Which one it is goes by
how many tasks are in flight when it is put into the queue: of tasks that are submitted in one go
the first wait the least and the last the longest, so a depth is drawn at random from those that
came up lately. In a burst that goes deeper, further ones follow at about twice the depth.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from random import random
from time import monotonic
from typing import TYPE_CHECKING

from ._statistics import Histogram
from ._task import VOID, Completion

if TYPE_CHECKING:
    from ._map import Batch
    from ._state import Code, State
    from ._task import Task


class Sample:
    """What is known of a step that is measured."""

    __slots__ = ("number", "ran", "waited", "weight")

    def __init__(self, number: int) -> None:
        self.number = number
        """How many steps are before those that it stands for."""

        self.weight = 1
        """How many these are."""

        self.waited = 0.0
        self.ran = 0.0


class MeasuredVisit:
    """A step of a task, or a batch, that is measured."""

    __slots__ = ("_ended", "_put_at", "_sample", "_visit")

    def __init__(self, visit: Task | Batch, sample: Sample, ended: deque[Sample]) -> None:
        self._visit = visit
        self._sample = sample
        self._ended = ended
        self._put_at = monotonic()

    @property
    def state(self) -> State | None:
        """The state in which it goes on."""
        return self._visit.state

    @property
    def chunk(self) -> Code:
        """What the task runs."""
        return self._visit.chunk

    def run(self, state: State) -> Completion:
        """Do it."""
        sample = self._sample
        begun = monotonic()
        completion = self._visit.run(state)
        if completion[2] is not VOID:
            sample.waited = begun - self._put_at
            sample.ran = monotonic() - begun
            self._ended.append(sample)
        return completion


class Sampler:
    """Measures steps for one pool; the loop's, but for what threads append to `_ended`."""

    __slots__ = ("_ended", "_last", "_run", "_stood_for", "_usual", "_wait", "due_at")

    def __init__(self) -> None:
        self._wait = _Times()
        self._run = _Times()
        self._last: Sample | None = None  # which stands for the steps that are put now
        self._stood_for = 0  # steps that another one stands for
        self._ended: deque[Sample] = deque()
        self._usual = 0  # tasks in flight
        self.due_at = 0
        """With how many tasks in flight the next step is measured."""

    def renew(self, in_flight: int) -> None:
        """Measure another step, now that as many tasks were in flight; this is not called often."""
        self._usual = in_flight
        self.due_at = int(random() * in_flight)

    def measured(self, visit: Task | Batch, ended: int, in_flight: int) -> MeasuredVisit:
        """Return what does a visit and measures it; so many steps have ended or are in flight."""
        self._record(ended + in_flight)
        deepest = max(in_flight, self._usual)
        self.due_at = deepest + 1 + int(random() * 2 * deepest)
        self._last = sample = Sample(self._stood_for)
        return MeasuredVisit(visit, sample, self._ended)

    def histograms(self, number: int) -> tuple[Histogram, Histogram]:
        """Return how long steps have waited and run; there were `number` of them."""
        self._record(number)
        self.due_at = 0
        return self._wait.histogram(), self._run.histogram()

    def _record(self, number: int) -> None:
        last, self._last = self._last, None
        if last is not None:
            last.weight = max(1, number - last.number)
            self._stood_for = number
        while self._ended:
            sample = self._ended.popleft()
            self._wait.add(sample.waited, sample.weight)
            self._run.add(sample.ran, sample.weight)


class _Times:
    """A histogram that grows."""

    __slots__ = ("_counts", "_maximum", "_total")

    def __init__(self) -> None:
        self._counts = [0] * (len(Histogram.bounds) + 1)
        self._total = 0.0
        self._maximum = 0.0

    def add(self, seconds: float, weight: int) -> None:
        self._counts[bisect_left(Histogram.bounds, seconds)] += weight
        self._total += seconds * weight
        self._maximum = max(self._maximum, seconds)

    def histogram(self) -> Histogram:
        return Histogram(tuple(self._counts), self._total, self._maximum)
