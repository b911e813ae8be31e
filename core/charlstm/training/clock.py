"""The time that a run works, pauses and stops left out, and the pace at which this process takes its steps."""

from __future__ import annotations

import threading
import time

from charlstm.training.progress import Progress

SIGN_EVERY = 0.1
"""Seconds between two signs of life."""

LONGEST_GAP = 1.5
"""Seconds between two signs of life from which a process was stopped: on a busy machine it is late by less."""

MOST_CPU = 0.5
"""Part of such a gap in which a process may have computed and still counts as stopped. What computes without a sign of
life (it may hold Python's lock) is not stopped; before a stop, several threads may compute until the next sign."""


class StopWatch:
    """Measures for how long this process as a whole was stopped: by SIGSTOP or Ctrl-Z, or with the whole machine.

    No clock tells that: a thread has to give a sign of life now and then, and where none came, and hardly any CPU time
    was used, the process was stopped. The thread runs from :meth:`start` to :meth:`close`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds = 0.0
        self._seen, self._used = time.perf_counter(), time.process_time()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Give signs of life from now on; the time before counts as none in which it was stopped."""
        with self._lock:
            self._seen, self._used = time.perf_counter(), time.process_time()
        self._closed.clear()
        self._thread = threading.Thread(target=self._run, name="signs of life", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._closed.set()
            self._thread.join()
            self._thread = None

    def look(self) -> tuple[float, float]:
        """The time now, and for how long this process was stopped until now; itself a sign of life."""
        with self._lock:
            now, used = time.perf_counter(), time.process_time()
            gap = now - self._seen
            if gap > LONGEST_GAP and used - self._used < MOST_CPU * gap:
                self._seconds += gap
            self._seen, self._used = now, used
            return now, self._seconds

    def _run(self) -> None:
        while not self._closed.wait(SIGN_EVERY):
            self.look()


class Clock:
    """Counts seconds of work into ``progress``, from now on."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stops = StopWatch()
        self._mark = self._stops.look()
        self._since = (progress.work_seconds, progress.step)

    def count_into(self, progress: Progress) -> None:
        """Count into ``progress`` from now on, in place of the one before."""
        self._progress = progress
        self._since = (progress.work_seconds, progress.step)

    def start(self) -> None:
        """Notice from now on when the process is stopped; nothing before is work."""
        self._stops.start()
        self.skip()

    def close(self) -> None:
        """Notice it no more."""
        self._stops.close()

    def worked(self) -> float:
        """Seconds of work so far, those of earlier processes included."""
        (before, stopped), self._mark = self._mark, self._stops.look()
        now, stopped_now = self._mark
        self._progress.work_seconds += max(0.0, now - before - (stopped_now - stopped))
        return self._progress.work_seconds

    def skip(self) -> None:
        """What has passed since it was last asked was no work: a pause, or a wait for somebody."""
        self._mark = self._stops.look()

    def start_pace(self) -> None:
        """The pace is that of the steps from here on: to load a state is work, but no part of a step."""
        self._since = (self.worked(), self._progress.step)

    @property
    def steps(self) -> int:
        """Steps that tell the pace."""
        return self._progress.step - self._since[1]

    def pace(self) -> float | None:
        """Seconds of work a step, validations and samples included; ``None`` before the first."""
        return (self.worked() - self._since[0]) / self.steps if self.steps else None
