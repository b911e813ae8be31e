"""Measure for how long a run has worked: without pauses, and without the time in which its process stood still."""

from __future__ import annotations

import time

from charlstm.training.progress import Progress

LONGEST_GAP = 10.0
"""Seconds between two counts that are work whatever a step takes: loading a state, measuring, a piece of a
validation."""

LONGEST_GAP_STEPS = 20
"""And so many usual steps beside them. What is longer was a suspension (SIGSTOP, Ctrl-Z, a frozen container), which no
clock of the system shows; while a machine sleeps, the clock that is used here stands still itself."""


class Clock:
    """Counts the seconds of work of a run into ``progress.work_seconds``."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._last = time.perf_counter()
        self._pace_start = (progress.work_seconds, progress.step)

    def count_work(self) -> float:
        """Count the time since the last call as work. Returns all seconds of work so far, of earlier processes too."""
        progress, now = self._progress, time.perf_counter()
        usual = progress.train_seconds / progress.step if progress.step else 0.0
        progress.work_seconds += min(max(0.0, now - self._last), LONGEST_GAP + LONGEST_GAP_STEPS * usual)
        self._last = now
        return progress.work_seconds

    def skip(self) -> None:
        """Do not count the time since the last call as work: it was a pause, or the caller's."""
        self._last = time.perf_counter()

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
