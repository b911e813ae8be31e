"""Writing behind training's back: copies go to the store from one thread, in order, while the next steps run.

It knows neither files nor formats, and without a store drops what it is given. A write that fails stays first in line,
and is made again when asked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from charlstm.training.events import AnyEvent, Checkpointed
from charlstm.training.plan import Plan
from charlstm.training.state import TrainingState

if TYPE_CHECKING:
    from charlstm.model.file import Model
    from charlstm.training.state import TrainingState


class Store(Protocol):
    """Where a run keeps its files. The trainer calls it with copies, from a thread of its own, one call at a time and
    in order, and goes on training meanwhile: an implementation is plain, synchronous code.

    Every event that was yielded before a call has been handed over when the call starts: sync the log first, then
    write, so that the commit order is events, model, state. An :class:`OSError` (a full disk) makes training wait and
    the same call is made again, until it succeeds or the run is stopped.
    """

    def save_plan(self, plan: Plan) -> None:
        """Keep what was measured and is now frozen, before the first event of a new run. It is called once more where
        the run begins anew with a faster kernel, after its first seconds."""

    def save_model(self, model: Model) -> None:
        """Keep ``model`` as the best so far; its ``info`` has the step and the loss."""

    def save_snapshot(self, model: Model, step: int) -> None:
        """Keep ``model`` as one of the at most 12 pictures of its childhood."""

    def save_state(self, state: TrainingState) -> None:
        """Keep all that an exact resume needs; when it returns, the state is the one a resume would take."""


MAX_WAITING = 4
"""Writes in line beyond which training should wait: each holds copies of all weights."""


class CheckpointWriter:
    """A line of writes. :meth:`poll` between two steps moves it on; :meth:`close` at the end, or for a time."""

    def __init__(self, store: Store | None) -> None:
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

    def _put(self, write: Callable[[Store], None], done: AnyEvent | None = None) -> None:
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
