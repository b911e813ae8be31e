"""Iterate over the events of training by several iterators, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

import torch

from charlstm.errors import RunError
from charlstm.training.clock import Clock
from charlstm.training.events import AnyEvent


class EventStream:
    """The events of ``loop``, a generator that is suspended between two events.

    An iterator may be closed at any event, and the next one continues with the following event. torch's number of
    threads is that of ``loop`` while it runs, and the caller's at each event. ``clock`` measures the time in ``loop``
    only. ``step`` returns the current training step, ``close`` is called when an iterator ends.
    """

    def __init__(
        self, loop: Iterator[AnyEvent], clock: Clock, step: Callable[[], int], close: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._step = step
        self._close = close
        self._threads: int | None = None  # of the loop; None before its first event
        self._iterating = False
        self._interrupted = False

    def iterate(self) -> Generator[AnyEvent]:
        """Yield the events that are left. Raises :class:`RunError` while another iterator is in use, and after an
        exception has ended the loop."""
        if self._iterating:
            raise RunError("This trainer is already being iterated: continue with that iterator, or close it first")
        self._iterating = True
        self._clock.start()
        try:
            while (event := self._next()) is not None:
                yield event
        finally:
            self._iterating = False
            self._clock.close()
            self._close()

    def _next(self) -> AnyEvent | None:
        if self._interrupted:
            raise RunError(
                f"Training was interrupted at step {self._step():,}, perhaps within a step: use Trainer.resume to "
                "continue from the last saved state, or make a new trainer"
            )
        callers_threads = torch.get_num_threads()
        torch.set_num_threads(self._threads or callers_threads)
        self._clock.skip()  # the caller may have waited for a disk or a terminal since the last event
        try:
            return next(self._loop, None)
        except BaseException:
            self._interrupted = True
            raise
        finally:
            self._clock.count_work()
            self._threads = torch.get_num_threads()
            torch.set_num_threads(callers_threads)
