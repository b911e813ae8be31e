"""The time that a run works, pauses left out, and the pace at which this process takes its steps."""

from __future__ import annotations

import time

from charlstm.training.progress import Progress


class Clock:
    """Counts seconds of work into ``progress``, from now on."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._mark = time.perf_counter()
        self._since = (progress.work_seconds, progress.step)

    def worked(self) -> float:
        """Seconds of work so far, those of earlier processes included."""
        now = time.perf_counter()
        self._progress.work_seconds += now - self._mark
        self._mark = now
        return self._progress.work_seconds

    def skip(self) -> None:
        """What has passed since it was last asked was no work: a pause, or a wait for somebody."""
        self._mark = time.perf_counter()

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
