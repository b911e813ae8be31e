"""How far a run has come: the trainer's own bookkeeping as data, part of the exact state.

Free of torch, so that whoever asks for a resume can look before a worker is started.
"""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from charlstm.errors import ModelError
from charlstm.json_fields import typed_fields


@dataclass(slots=True)
class Progress:
    """How far a run has come. All of it is JSON-ready and part of the exact state."""

    step: int = 0
    train_seconds: float = 0.0
    """Spent in training steps alone."""
    work_seconds: float = 0.0
    """Spent in all but pauses; what ``max_minutes`` counts."""
    nats: float = 0.0
    """Since the last ``step`` event: summed loss, targets, largest gradient norm and seconds."""
    count: int = 0
    grad_norm: float = 0.0
    seconds: float = 0.0
    best_val: float | None = None
    best_step: int = 0
    stale: int = 0
    """Validations since the best one."""
    whole_val: float | None = None
    """The best model's loss over all that is held out, once the run has ended."""
    ended: str | None = None
    """Why the run ended: a reason of ``events.Finished``."""

    @property
    def loss(self) -> float | None:
        """The best model's, over all that is held out if that is known, else as it was seen on the way."""
        return self.best_val if self.whole_val is None else self.whole_val

    def count_step(self, nats: float, count: int, grad_norm: float, seconds: float) -> None:
        """Count a training step with a summed loss of ``nats`` over ``count`` targets."""
        self.step += 1
        self.train_seconds += seconds
        self.nats += nats
        self.count += count
        self.grad_norm = max(self.grad_norm, grad_norm)
        self.seconds += seconds

    def start_interval(self) -> None:
        """Start summing anew after a ``step`` event."""
        self.nats, self.count, self.grad_norm, self.seconds = 0.0, 0, 0.0, 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`. Raises :class:`ModelError` when something is missing or of another kind."""
        try:
            return cls(**typed_fields(cls, {spec.name: values[spec.name] for spec in fields(cls)}))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError("The training state does not say how far the run had come: it is damaged") from error


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
