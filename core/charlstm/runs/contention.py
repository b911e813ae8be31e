"""Measure how much slower training is while other programs use the processor.

A slowdown is a factor: 1 when no other program is in the way, 2 when training takes twice as long. Before a run,
:func:`probe_slowdown` measures it with a short computation on all cores. During a run, the worker's heartbeat has a
:class:`SlowdownMeter`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

from charlstm import system

PROBE_SECONDS = 0.6
"""Seconds for which the probe computes. Schedulers share the processor in slices of some milliseconds."""

PROBE_TIMEOUT = 10.0
"""Seconds after which a probe that has not answered is given up. To start Python on a busy machine takes a while."""

NOTABLE_SLOWDOWN = 1.4
"""A smaller slowdown is not worth a word: an idle desktop and the app itself cause up to 1.2."""

MOST_SLOWDOWN = 20.0
"""Larger factors say nothing more, and come from too short a time on the processor to be exact."""

METER_SECONDS = 10.0
"""Seconds over which the meter of a run averages."""

LEAST_RUNNING = 0.1
"""Fraction of a core that a process wants at least for its slowdown to mean something: less in a pause."""


def probe_slowdown() -> float | None:
    """Measure, for about a second, how much slower a run would be that starts now; ``None`` if that fails.

    The measurement is a process of its own, because it has the low priority of a worker.
    """
    import subprocess  # 3 ms, and every command that lists runs imports this module

    command = [sys.executable, "-P", "-m", __name__]
    options = system.detached_popen_options()  # a session of its own, as a worker has: Linux schedules sessions
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_TIMEOUT, check=True, **options
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


class SlowdownMeter:
    """The slowdown of this process, averaged over the last ten seconds.

    On Linux it comes from the time in which its threads waited for a free core, elsewhere from the load average, and on
    Windows, which has none, it is not known. ``read_times`` and ``clock`` are for tests.
    """

    def __init__(
        self,
        read_times: Callable[[], system.ProcessorTimes | None] = system.processor_times,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read_times, self._clock = read_times, clock
        self._earlier: deque[tuple[float, system.ProcessorTimes]] = deque()

    def read(self) -> float | None:
        """The slowdown now; ``None`` while it is not known or this process hardly computes. To be called regularly."""
        now, times = self._clock(), self._read_times()
        if times is None:
            return _slowdown_by_load()
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


def _slowdown_by_load() -> float | None:
    """The number of threads that compute or wait, for each core, as an average over the last minute."""
    with contextlib.suppress(OSError, AttributeError):
        return min(MOST_SLOWDOWN, max(1.0, os.getloadavg()[0] / system.cpu_count()))
    return None


if __name__ == "__main__":
    system.lower_priority()
    print(compute_on_all_cores())
