"""Writing behind training's back: copies go to the store from one thread, in order, while the next steps run.

It knows neither files nor formats, and without a store drops what it is given. A write that fails stays first in line,
and is made again when asked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from charlstm.training.events import AnyEvent, Checkpointed

if TYPE_CHECKING:
    from charlstm.model.file import Model
    from charlstm.training.hooks import CheckpointStore
    from charlstm.training.plan import Plan
    from charlstm.training.state import TrainingState


MAX_WAITING = 4
"""Writes in line beyond which training should wait: each holds copies of all weights."""


class CheckpointWriter:
    """A line of writes. :meth:`poll` between two steps moves it on; :meth:`close` at the end, or for a time."""

    def __init__(self, store: CheckpointStore | None) -> None:
        self._store = store
        self._jobs: deque[tuple[Callable[[], None], AnyEvent | None]] = deque()
        self._done: list[AnyEvent] = []
        self._running: Future[None] | None = None
        self._thread: ThreadPoolExecutor | None = None

    @property
    def keeps(self) -> bool:
        """Whether there is a store, so that copies are worth making."""
        return self._store is not None

    @property
    def full(self) -> bool:
        """Whether so much waits that training should too."""
        return len(self._jobs) > MAX_WAITING

    def plan(self, plan: Plan) -> None:
        """Line up the plan of a new run."""
        self._put(lambda store: store.save_plan(plan))

    def model(self, model: Model) -> None:
        """Line up the best model so far."""
        self._put(lambda store: store.save_model(model))

    def snapshot(self, model: Model, step: int) -> None:
        """Line up a picture of the model's childhood."""
        self._put(lambda store: store.save_snapshot(model, step))

    def state(self, state: TrainingState, seconds: float) -> None:
        """Line up the exact state, whose copying took ``seconds``; once it is kept, :meth:`poll` says so."""
        self._put(lambda store: store.save_state(state), Checkpointed(step=state.step, seconds=seconds))

    def _put(self, write: Callable[[CheckpointStore], None], done: AnyEvent | None = None) -> None:
        if (store := self._store) is not None:
            self._jobs.append((lambda: write(store), done))

    def poll(self, *, wait: bool = False) -> list[AnyEvent]:
        """Start the next write if none runs, and return the events of those that are done; with ``wait``, of all.

        Raises what a write raised; that write stays first in line for the next call.
        """
        while self._jobs:
            if self._running is None:
                self._thread = self._thread or ThreadPoolExecutor(1, "keeper")
                self._running = self._thread.submit(self._jobs[0][0])
            if not wait and not self._running.done():
                break
            running, self._running = self._running, None
            running.result()
            _, event = self._jobs.popleft()
            if event is not None:
                self._done.append(event)
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        """Wait for the write that runs, and give the thread back. What is still in line stays there for another
        :meth:`poll`, and is dropped when there is none."""
        if self._thread is not None:
            self._thread.shutdown(wait=True)
            self._thread = None
