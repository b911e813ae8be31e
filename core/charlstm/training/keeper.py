"""Writing behind training's back: copies go to the store from one thread, in order, while the next steps run.

It knows neither files nor formats. A write that fails stays first in line, and is made again when asked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from charlstm.training.events import Event

MAX_WAITING = 4
"""Writes in line beyond which training should wait: each holds copies of all weights."""


class Keeper:
    """A line of writes. :meth:`poll` between two steps moves it on; :meth:`close` at the end."""

    def __init__(self) -> None:
        self._jobs: deque[tuple[Callable[[], None], Event | None]] = deque()
        self._done: list[Event] = []
        self._running: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, "keeper")

    @property
    def full(self) -> bool:
        """Whether so much waits that training should too."""
        return len(self._jobs) > MAX_WAITING

    def put(self, write: Callable[[], None], done: Event | None = None) -> None:
        """Line up ``write``; once it has succeeded, :meth:`poll` returns ``done``."""
        self._jobs.append((write, done))

    def poll(self, *, wait: bool = False) -> list[Event]:
        """Start the next write if none runs, and return the events of those that are done; with ``wait``, of all.

        Raises what a write raised; that write stays first in line for the next call.
        """
        while self._jobs:
            if self._running is None:
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
        """Wait for the write that runs, and give the thread back; what is still in line is dropped."""
        self._thread.shutdown(wait=True)
