"""Measure how much slower training is while other programs use the processor.

A slowdown is a factor: 1 when no other program is in the way, 2 when training takes twice as long. Before a run,
:func:`probe_slowdown` estimates it from how busy the machine is. During a run, the worker's heartbeat has a
:class:`ContentionMeter`.
"""

from __future__ import annotations

import os
import time
from collections import deque

from charlstm import system

FOREGROUND_NICENESS, BACKGROUND_NICENESS = 0, 10
"""The niceness of a run whose settings name none. Somebody waits for a run in the foreground; beside one in the
background, whatever a person does goes first."""

PROBE_SECONDS = 0.5
"""Seconds between the two looks at the machine before a run."""

FULL = 0.9
"""Where the cores are busy for a larger part of the time, the threads that wait for one are counted."""

NOTABLE_SLOWDOWN = 1.4
"""A smaller slowdown is not worth a word: an idle desktop and the app itself cause up to 1.2."""

MOST_SLOWDOWN = 100.0
"""Larger factors come from too short a time on the processor to be exact."""

MANY_TIMES = 8.0
"""A larger slowdown changes too much from second to second to be told as a number."""

METER_SECONDS = 10.0
"""Seconds over which the meter of a run averages."""

LEAST_RUNNING = 0.1
"""Fraction of a core that a process wants at least for its slowdown to mean something: less in a pause."""


def slowdown_words(slowdown: float | None, verb: str = "is") -> str:
    """A sentence on how much slower training is than with the processor for itself; empty where that is not known or
    not worth a word. The sentence names no program, as the app itself may be generating. ``verb``: ``is``, ``was`` or
    ``will be``."""
    if slowdown is None or not slowdown >= NOTABLE_SLOWDOWN:  # a damaged log may have one that is not a number
        return ""
    has = "had" if verb == "was" else "has"
    factor = round(2 * slowdown) / 2 if slowdown < 3 else round(slowdown)
    times = "many times" if slowdown >= MANY_TIMES else f"about {factor:g} times"
    return f"The processor {has} other work too: training {verb} {times} slower."


def probe_slowdown(niceness: int) -> float:
    """Estimate, within half a second, how many times as long a run with this ``niceness`` takes that starts now.

    A core gives each thread that wants it time by its weight, and a step of niceness is a factor of 1.25 (sched(7)).
    Nothing is computed for this, so it is rough: the share of busy cores, and where all are, the threads that wait.
    """
    before = system.machine_times()
    time.sleep(PROBE_SECONDS)
    after = system.machine_times()
    if before is None or after is None or after.total <= before.total:
        load, nice = system.load() or 0.0, 0.0
    else:
        busy = after.busy - before.busy
        load, nice = busy / (after.total - before.total), (after.nice - before.nice) / max(busy, 1)
        if load >= FULL:
            waiting = (before.runnable + after.runnable) / 2 - 1  # without this thread
            load = max(load, waiting / (os.cpu_count() or 1))
    own, others = 1.25**-niceness, max(1.0, load) * (1 - nice + nice * 1.25**-BACKGROUND_NICENESS)
    return min(MOST_SLOWDOWN, 1 / (1 - min(1.0, load) * others / (own + others)))


class ContentionMeter:
    """The slowdown of this process, averaged over the last ten seconds, and :meth:`overall`.

    On Linux it comes from the time in which its threads waited for a free core, elsewhere from the load average.
    """

    def __init__(self) -> None:
        self._earlier: deque[tuple[float, system.ProcessorTimes]] = deque()
        self._last_read = time.monotonic()
        self._seconds = self._seconds_alone = 0.0

    def overall(self) -> float | None:
        """The slowdown since the first reading; ``None`` if never known."""
        return self._seconds / self._seconds_alone if self._seconds else None

    def read(self) -> float | None:
        """The slowdown now; ``None`` while it is not known or this process hardly computes. To be called regularly."""
        now = time.monotonic()
        found = self._read(now)
        passed, self._last_read = now - self._last_read, now
        if found is not None:
            self._seconds += passed
            self._seconds_alone += passed / found
        return found

    def _read(self, now: float) -> float | None:
        times = system.processor_times()
        if times is None:
            load = system.load()
            return None if load is None else min(MOST_SLOWDOWN, max(1.0, load))
        while len(self._earlier) > 1 and now - self._earlier[0][0] > METER_SECONDS:
            self._earlier.popleft()
        self._earlier.append((now, times))
        start, before = self._earlier[0]
        running, waiting = times.running - before.running, times.waiting - before.waiting
        if running < 0 or waiting < 0:  # a thread has ended, and its times are gone
            self._earlier.clear()
            return None
        if now <= start or running + waiting < LEAST_RUNNING * (now - start):
            return None
        return min(MOST_SLOWDOWN, (running + waiting) / max(running, 1e-6))
