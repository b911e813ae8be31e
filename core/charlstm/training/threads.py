"""Find the number of threads with which training steps are fastest, from the time that steps take.

On a quiet machine more threads are faster. Where other programs use the processor, every thread of a step waits for the
one that gets the least of it, and fewer threads are faster. Measured on two Zen 4 cores with the preset ``quick``, in
characters per second:

========================  ==========  =========
                          2 threads   1 thread
========================  ==========  =========
alone                     31,000      20,800
beside one busy process   11,000      19,500
beside four               4,200       5,000
========================  ==========  =========
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

GAIN = 1.08
"""Another number of threads has to be faster by this factor: on a busy machine the same steps differ by as much."""

CHANGED_PACE = 1.25
"""Steps that have become slower by this factor are a reason to try fewer threads, and faster ones to try more."""

FREE_SHARE = 0.85
"""Part of the time of its threads that a process on a quiet machine gets as processor time (0.95 measured). With less
than that, other programs may be in the way, and fewer threads are tried."""

HOPELESS = 1.5
"""A number of threads that is slower by this factor after :data:`LEAST_STEPS` is not tried further."""

LEAST_STEPS, TRIAL_STEPS, WINDOW_STEPS = 2, 4, 6
"""Steps before a trial may be given up, steps of a whole trial, and steps that are compared with it."""

TRIAL_SECONDS, WINDOW_SECONDS = 0.8, 2.0
"""A trial takes at least so long, as schedulers share the processor in slices of some milliseconds; and the pace of the
last steps is taken over so long, at least."""

FIRST_INTERVAL, LAST_INTERVAL = 5.0, 60.0
"""Seconds of training between two trials that have no other reason: doubled each time when nothing better was found.
After a change of the pace a quarter of that is enough, but no less than the first."""


WORTH_ITS_PRICE = 50
"""See :attr:`ThreadSearch.price`."""


def thread_counts(most: int) -> tuple[int, ...]:
    """The numbers of threads to choose from, ascending: 1 to ``most`` in steps of a half or a quarter. One less than
    ``most`` is among them, which leaves a core to another program."""
    counts = {most, most - 1, 3 * most // 4}
    while most > 1:
        most //= 2
        counts.add(most)
    return tuple(sorted(count for count in counts if count > 0))


def free_threads(counts: Sequence[int], share: float) -> int:
    """The number of threads, of ``counts`` (ascending), to begin with where the threads of this process got the
    processor for ``share`` of the time in which they could compute: at least as many as there were cores for."""
    if share >= FREE_SHARE:
        return counts[-1]
    return max((count for count in counts if count <= share * counts[-1]), default=counts[0])


class _Steps:
    """The times of the last steps with one number of threads: of :data:`WINDOW_STEPS`, or of more where these take less
    than :data:`WINDOW_SECONDS`."""

    def __init__(self) -> None:
        self._times: deque[tuple[float, float]] = deque()
        self.seconds = self.processor_seconds = 0.0

    def add(self, seconds: float, processor_seconds: float) -> None:
        self._times.append((seconds, processor_seconds))
        self.seconds += seconds
        self.processor_seconds += processor_seconds
        if len(self) > WINDOW_STEPS and self.seconds - self._times[0][0] >= WINDOW_SECONDS:
            oldest = self._times.popleft()
            self.seconds -= oldest[0]
            self.processor_seconds -= oldest[1]

    def __len__(self) -> int:
        return len(self._times)

    @property
    def mean(self) -> float:
        return self.seconds / len(self)

    def are_enough(self, steps: int) -> bool:
        return len(self) >= steps and self.seconds >= TRIAL_SECONDS


class ThreadSearch:
    """Search for the fastest number of threads among ``counts`` (ascending), from ``now`` on.

    Each training step is taken with :attr:`count` threads, and its time passed to :meth:`add`, which may change
    ``count`` for the next step. From time to time it tries the next number for some steps: when steps have become
    slower or faster, when the process gets less processor time than its threads could use, and, with fewer threads
    than the most, at growing intervals. If that is faster it goes on in the same direction. Steps are assumed to be
    equally large.

    It measures no time itself, so the same times give the same numbers.
    """

    def __init__(self, counts: Sequence[int], now: int) -> None:
        self._counts = tuple(sorted({*counts, now}))
        self._index = self._counts.index(now)
        self._warm = True
        """Whether the next step is the first with this number, which allocates memory and starts threads."""
        self._steps = _Steps()
        self._since_trial = 0.0
        self._interval = 0.0
        self._usual: float | None = None
        """Seconds of a step when this number was last chosen."""
        self._trial_from: int | None = None
        """The index of the number to go back to if the current trial fails."""
        self._confirms = False
        """Whether a reason for a trial was found, and is looked for again in the next steps."""
        self._went_up = False
        self.price = 0.0
        """Seconds that a change of the number costs, which the caller knows. A trial that has no changed pace as its
        reason waits for :data:`WORTH_ITS_PRICE` times as long, so that trials cost 4 % of the time at most: one that
        fails is two changes."""

    @property
    def count(self) -> int:
        """The number of threads for the next step."""
        return self._counts[self._index]

    @property
    def chosen(self) -> int:
        """The fastest number so far; ``count`` differs from it during a trial."""
        return self._counts[self._index if self._trial_from is None else self._trial_from]

    def add(self, seconds: float, processor_seconds: float) -> None:
        """Take note of a step with ``count`` threads, which took ``seconds`` by the clock and ``processor_seconds`` of
        processor time in all threads of the process."""
        if len(self._counts) == 1:
            return
        self._since_trial += seconds
        if self._warm:
            self._warm = False
            return
        self._steps.add(seconds, processor_seconds)
        if self._trial_from is not None:
            self._judge_trial()
        elif self._steps.are_enough(TRIAL_STEPS if self._confirms else WINDOW_STEPS):
            direction, is_fresh = self._direction(), self._confirms or self._usual is None
            self._confirms = False
            if is_fresh:
                self._usual = self._steps.mean
                if direction:
                    self._try(direction)
            elif direction:  # some of these steps may be from before a change: look at new ones
                self._confirms, self._steps = True, _Steps()

    @property
    def _share(self) -> float:
        """The part of the time of its threads that the process got as processor time."""
        return self._steps.processor_seconds / (self._steps.seconds * self.count)

    def _direction(self) -> int:
        """Which number to try now: -1 for fewer threads, 1 for more, 0 for none."""
        fewer = self._index > 0 and self._share < FREE_SHARE
        more = self._index < len(self._counts) - 1
        if self._usual is not None and self._since_trial >= max(FIRST_INTERVAL, self._interval / 4):
            if fewer and self._steps.mean > CHANGED_PACE * self._usual:
                return -1
            if more and self._steps.mean * CHANGED_PACE < self._usual:
                return 1
        least = max(self._interval, WORTH_ITS_PRICE * self.price)
        if self._since_trial < (least if fewer else max(least, FIRST_INTERVAL)):
            return 0
        if fewer and more:
            return -1 if self._went_up else 1
        return -1 if fewer else int(more)

    def _try(self, direction: int) -> None:
        self._trial_from = self._index
        self._went_up = direction > 0
        self._go_to(self._index + direction)

    def _judge_trial(self) -> None:
        assert self._trial_from is not None
        assert self._usual is not None
        mean = self._steps.mean
        hopeless = len(self._steps) >= LEAST_STEPS and mean > HOPELESS * self._usual
        if not hopeless and not self._steps.are_enough(TRIAL_STEPS):
            return
        direction = self._index - self._trial_from
        self._since_trial = 0.0
        if mean * GAIN <= self._usual:
            self._usual, self._trial_from, self._interval = mean, None, FIRST_INTERVAL
            if 0 <= self._index + direction < len(self._counts):
                self._try(direction)
        else:
            self._interval = min(LAST_INTERVAL, max(FIRST_INTERVAL, 2 * self._interval))
            index, self._trial_from = self._trial_from, None
            self._go_to(index)

    def _go_to(self, index: int) -> None:
        self._index = index
        self._steps = _Steps()
        self._warm = True
