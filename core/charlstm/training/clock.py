"""Measure for how long a run has worked: without pauses, and without the time in which its process was suspended."""

from __future__ import annotations

import threading
import time

from charlstm import system
from charlstm.training.progress import Progress

HEARTBEAT_SECONDS = 0.1
"""Seconds between two heartbeats of the thread that notices a suspension."""

SUSPENDED_AFTER = 1.5
"""Seconds without a heartbeat that may be a suspension: on a busy machine it is late by less."""

MAX_ACTIVE_SHARE = 0.5
"""Part of such a gap in which the process may have computed or waited for a free core, in a suspension: several threads
may do so between the last heartbeat and the suspension. With more, the process was working in code that holds Python's
lock, or other programs took the processor."""


class SuspensionTimer:
    """Measures for how long this process was suspended: by SIGSTOP, by Ctrl-Z, or with the whole machine.

    No clock of the system shows that. A thread gives a heartbeat at short intervals; a long gap in which the process
    hardly computed, and did not wait for a free core either, was a suspension. The thread runs from :meth:`start` to
    :meth:`close`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._suspended = 0.0
        self._last_wall, self._last_active = time.perf_counter(), active_seconds()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread. The time before does not count as suspended."""
        with self._lock:
            self._last_wall, self._last_active = time.perf_counter(), active_seconds()
        self._closed.clear()
        self._thread = threading.Thread(target=self._run, name="suspension timer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._closed.set()
            self._thread.join()
            self._thread = None

    def read(self) -> tuple[float, float]:
        """The time now, and the seconds suspended so far. Also a heartbeat."""
        with self._lock:
            wall = time.perf_counter()
            gap = wall - self._last_wall
            if gap > SUSPENDED_AFTER:
                active = active_seconds()
                if active - self._last_active < MAX_ACTIVE_SHARE * gap:
                    self._suspended += gap
                self._last_active = active
            self._last_wall = wall
            return wall, self._suspended

    def _run(self) -> None:
        while not self._closed.wait(HEARTBEAT_SECONDS):
            self.read()
            active = active_seconds()  # takes a tenth of a millisecond, which is too long for every step
            with self._lock:
                self._last_active = active


def active_seconds() -> float:
    """Seconds in which the threads of this process computed or, where the system tells, waited for a free core."""
    times = system.processor_times()
    return time.process_time() if times is None else times.running + times.waiting


class Clock:
    """Counts the seconds of work of a run into ``progress.work_seconds``."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._timer = SuspensionTimer()
        self._last = self._timer.read()
        self._pace_start = (progress.work_seconds, progress.step)

    def start(self) -> None:
        """Start to count. The time before is not work."""
        self._timer.start()
        self.skip()

    def close(self) -> None:
        """End the thread that notices suspensions."""
        self._timer.close()

    def count_work(self) -> float:
        """Count the time since the last call as work. Returns all seconds of work so far, of earlier processes too."""
        (before, suspended_before), self._last = self._last, self._timer.read()
        now, suspended = self._last
        self._progress.work_seconds += max(0.0, now - before - (suspended - suspended_before))
        return self._progress.work_seconds

    def skip(self) -> None:
        """Do not count the time since the last call as work: it was a pause, or the caller's."""
        self._last = self._timer.read()

    def start_pace(self) -> None:
        """Measure the pace from here on: to load a state is work, but not part of a step."""
        self._pace_start = (self.count_work(), self._progress.step)

    @property
    def pace_steps(self) -> int:
        """The number of steps over which the pace is measured."""
        return self._progress.step - self._pace_start[1]

    def pace(self) -> float | None:
        """Seconds of work per step, including validations and samples; ``None`` before the first step."""
        return (self.count_work() - self._pace_start[0]) / self.pace_steps if self.pace_steps else None
