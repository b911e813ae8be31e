"""Write models and states on a background thread, in order, so that training does not wait for the disk."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from charlstm.training.events import AnyEvent, Checkpointed

if TYPE_CHECKING:
    from charlstm.model.file import Model
    from charlstm.training.hooks import CheckpointStore
    from charlstm.training.plan import Plan
    from charlstm.training.state import TrainingState


MAX_WAITING = 4
"""With more writes than this in the queue training should wait, since each holds copies of all weights."""


class CheckpointWriter:
    """A queue of writes to a :class:`~charlstm.training.hooks.CheckpointStore`. Without a store, nothing is written.

    :meth:`collect`, called between two steps, starts the next write and returns the events of finished ones. A write
    that fails stays first in the queue, and the next call tries it again.
    """

    def __init__(self, store: CheckpointStore | None) -> None:
        self._store = store
        self._jobs: deque[tuple[Callable[[], None], AnyEvent | None]] = deque()
        self._done: list[AnyEvent] = []
        self._running: Future[None] | None = None
        self._thread: ThreadPoolExecutor | None = None
        self.failing = False
        """Whether the last write that ended failed."""
        self.last_state = time.perf_counter()
        """When a state was queued last."""
        self._waits = False

    @property
    def has_store(self) -> bool:
        """Whether there is a store. Without one, no copies for it have to be made."""
        return self._store is not None

    @property
    def lets_train(self) -> bool:
        """Whether training may go on: not while the queue is long, nor after :meth:`hold_training`."""
        return not self._jobs or not (self._waits or len(self._jobs) > MAX_WAITING)

    def hold_training(self) -> None:
        """Let training wait until all that is queued now is written."""
        self._waits = True

    def queue_plan(self, plan: Plan) -> None:
        """Queue a write of the plan of a new run."""
        self._queue(lambda store: store.save_plan(plan))

    def queue_model(self, model: Model) -> None:
        """Queue a write of the best model so far."""
        self._queue(lambda store: store.save_model(model))

    def queue_snapshot(self, model: Model, step: int) -> None:
        """Queue a write of the snapshot of ``step``."""
        self._queue(lambda store: store.save_snapshot(model, step))

    def queue_state(self, state: TrainingState, seconds: float) -> None:
        """Queue a write of the exact state. Once it is written, :meth:`collect` returns a ``checkpoint`` event.

        ``seconds`` is the time for which training waited while the state was copied; the event reports it.
        """
        self.last_state = time.perf_counter()
        self._queue(lambda store: store.save_state(state), Checkpointed(step=state.step, seconds=seconds))

    def _queue(self, write: Callable[[CheckpointStore], None], done: AnyEvent | None = None) -> None:
        if (store := self._store) is not None:
            self._jobs.append((lambda: write(store), done))

    def collect(self, seconds: float = 0.0) -> list[AnyEvent]:
        """Start the next write if none runs, wait up to ``seconds`` until all are done, and return the events of those
        that are. Raises what a write raised; the next call tries that write again."""
        deadline = time.perf_counter() + seconds
        while self._jobs:
            if self._running is None:
                self._thread = self._thread or ThreadPoolExecutor(1, "checkpoint writer")
                self._running = self._thread.submit(self._jobs[0][0])
            left = deadline - time.perf_counter()
            if left > 0:
                wait((self._running,), left)
            if not self._running.done():
                break
            running, self._running = self._running, None
            self.failing = running.exception() is not None
            running.result()
            _, event = self._jobs.popleft()
            if event is not None:
                self._done.append(event)
        self._waits = self._waits and bool(self._jobs)
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        """Wait for the write that runs, and end the thread.

        Other writes stay in the queue; the next :meth:`collect` starts the thread again.
        """
        if self._thread is not None:
            self._thread.shutdown(wait=True)
            self._thread = None
