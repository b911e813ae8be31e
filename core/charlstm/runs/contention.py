"""Measure how much slower training is while other programs use the processor.

A slowdown is a factor: 1 when no other program is in the way, 2 when training takes twice as long. Before a run,
:func:`probe_slowdown` measures it with a short computation on all cores. During a run, the worker's heartbeat has a
:class:`ContentionMeter`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from charlstm import system

FOREGROUND_NICENESS, BACKGROUND_NICENESS = 0, 10
"""The niceness of a run whose settings name none. Somebody waits for a run in the foreground; beside one in the
background, whatever a person does goes first."""

PROBE_SECONDS = 0.6
"""Seconds for which the probe computes. Schedulers share the processor in slices of some milliseconds."""

PROBE_TIMEOUT = 10.0
"""Seconds after which a probe that has not answered is given up. To start Python on a busy machine takes a while."""

NOTABLE_SLOWDOWN = 1.4
"""A smaller slowdown is not worth a word: an idle desktop and the app itself cause up to 1.2."""

MOST_SLOWDOWN = 100.0
"""Larger factors come from too short a time on the processor to be exact."""

MANY_TIMES = 8.0
"""A larger slowdown changes too much from second to second to be told as a number."""

METER_SECONDS = 10.0
"""Seconds over which the meter of a run averages."""

GOES_FIRST = 0.3
"""Cores that programs with a normal priority have to use to be named as going first."""

LEAST_RUNNING = 0.1
"""Fraction of a core that a process wants at least for its slowdown to mean something: less in a pause."""


@dataclass(frozen=True, slots=True)
class Contention:
    """How much slower training is because of other programs, and whether these go first, since its niceness is above
    theirs."""

    slowdown: float
    others_first: bool = False

    def describe(self, verb: str = "is") -> str:
        """A sentence; empty where there is nothing worth a word. ``verb``: ``is``, ``was`` or ``will be``."""
        if not self.slowdown >= NOTABLE_SLOWDOWN:  # a damaged log may have one that is not a number
            return ""
        use = "used" if verb == "was" else "are using"
        first = f" and {'went' if verb == 'was' else 'go'} first" if self.others_first else ""
        return f"Other programs {use} the processor{first}: training {verb} {slower_words(self.slowdown)}."


def slower_words(slowdown: float) -> str:
    """A factor as people say it: ``about 1.5 times slower``."""
    if slowdown >= MANY_TIMES:
        return "many times slower"
    return f"about {round(2 * slowdown) / 2 if slowdown < 3 else round(slowdown):g} times slower"


def probe_slowdown(niceness: int = BACKGROUND_NICENESS) -> float | None:
    """Measure, for about a second, how much slower a run with this ``niceness`` would be that starts now; ``None`` if
    that fails.

    The measurement is a process of its own, because it has the priority of a worker.
    """
    import subprocess  # 3 ms, and every command that lists runs imports this module

    command = [sys.executable, "-P", "-m", __name__, str(niceness)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_TIMEOUT,
            check=True,
            start_new_session=True,  # as a worker has: Linux schedules sessions
        )
        return min(MOST_SLOWDOWN, max(1.0, float(done.stdout)))
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def compute_on_all_cores(seconds: float = PROBE_SECONDS) -> float:
    """Compute on every core for ``seconds`` and return the slowdown: the time that passed, divided by the processor
    time that the threads got."""
    import hashlib  # 4 ms, as above

    threads = system.cpu_count()
    barrier = threading.Barrier(threads)
    passed: list[float] = []
    computed: list[float] = []

    def compute() -> None:
        data = bytes(1 << 18)  # hashing that much takes about 0.2 ms, during which Python's lock is free
        barrier.wait()
        wall, processor = time.perf_counter(), time.thread_time()
        while time.perf_counter() - wall < seconds:
            hashlib.sha256(data)
        passed.append(time.perf_counter() - wall)
        computed.append(time.thread_time() - processor)

    workers = [threading.Thread(target=compute) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(passed) / max(sum(computed), 1e-6)


class ContentionMeter:
    """The contention of this process, averaged over the last ten seconds, and :meth:`overall`.

    On Linux it comes from the time in which its threads waited for a free core, elsewhere from the load average.
    ``read_times`` and ``clock`` are for tests.
    """

    def __init__(
        self,
        read_times: Callable[[], system.ProcessorTimes | None] = system.processor_times,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read_times, self._clock = read_times, clock
        self._earlier: deque[tuple[float, system.ProcessorTimes]] = deque()
        self._last_read = clock()
        self._seconds = self._seconds_alone = self._seconds_behind = 0.0

    def overall(self) -> Contention | None:
        """The contention since the first reading; ``None`` where it was never known."""
        if not self._seconds:
            return None
        return Contention(self._seconds / self._seconds_alone, 2 * self._seconds_behind > self._seconds)

    def read(self) -> Contention | None:
        """The contention now; ``None`` while it is not known or this process hardly computes. To be called
        regularly."""
        found, now = self._read(), self._clock()
        passed, self._last_read = now - self._last_read, now
        if found is not None:
            self._seconds += passed
            self._seconds_alone += passed / found.slowdown
            self._seconds_behind += passed * found.others_first
        return found

    def _read(self) -> Contention | None:
        now, times = self._clock(), self._read_times()
        if times is None:
            slowdown = _slowdown_by_load()
            return None if slowdown is None else Contention(slowdown)
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
        slowdown = min(MOST_SLOWDOWN, (running + waiting) / max(running, 1e-6))
        others = (times.not_nice - before.not_nice) / (now - start)
        first = slowdown >= NOTABLE_SLOWDOWN and system.niceness() > 0 and others >= GOES_FIRST
        return Contention(slowdown, first)


def _slowdown_by_load() -> float | None:
    """The number of threads that compute or wait, for each core, as an average over the last minute."""
    with contextlib.suppress(OSError, AttributeError):
        return min(MOST_SLOWDOWN, max(1.0, os.getloadavg()[0] / system.cpu_count()))
    return None


if __name__ == "__main__":
    system.lower_priority(int(sys.argv[1]))
    print(compute_on_all_cores())
