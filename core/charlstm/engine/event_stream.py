"""Iterate over the events of training by several iterators, one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator

import torch

from charlstm.errors import RunError
from charlstm.system import DeferredInterrupt
from charlstm.training.clock import Clock
from charlstm.training.events import AnyEvent


class EventStream:
    """The events of ``loop``, a generator that is suspended between two events.

    An iterator may be closed at any event, and the next one continues with the following event. torch's number of
    threads is that of ``loop`` while it runs, and the caller's at each event. ``clock`` measures the time in ``loop``
    only. ``step`` returns the current training step, ``close`` is called when an iterator ends.

    An interrupt (Ctrl-C, the stop button of a notebook) waits until ``loop`` yields, and is raised then, so that
    training can continue. When :attr:`yield_requested`, ``loop`` yields None between two steps, without an event. A
    second interrupt is raised at once. This holds in the main thread, unless the caller has a handler of its own for
    SIGINT.
    """

    def __init__(
        self, loop: Iterator[AnyEvent | None], clock: Clock, step: Callable[[], int], close: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._step = step
        self._close = close
        self._threads: int | None = None  # of the loop; None before its first event
        self._waiting: deque[AnyEvent] = deque()  # events that no iterator has yielded yet
        self._ended = False
        self._iterating = False
        self._running = False
        self._broken = False
        self._advancing = False
        self._interrupt = DeferredInterrupt()

    @property
    def yield_requested(self) -> bool:
        """Whether something waits until the loop yields between two steps: an interrupt, or :meth:`advance_until`."""
        return self._interrupt.requested or self._advancing

    def iterate(self) -> Generator[AnyEvent]:
        """Yield the events that are left. Raises :class:`RunError` while another iterator is in use, and after an
        exception has ended the loop."""
        if self._iterating:
            raise RunError("This trainer is already being iterated: continue with that iterator, or close it first")
        self._iterating = True
        self._clock.start()
        try:
            while self._waiting or self._advance():
                try:
                    yield self._waiting[0]
                finally:  # not before, so that no event is lost when an interrupt comes in between
                    self._waiting.popleft()
        finally:
            self._iterating = False
            self._clock.close()
            self._close()

    def advance_until(self, reached: Callable[[], bool]) -> None:
        """Let the loop run until ``reached``, at an event or between two steps; the next iterator yields the events
        that come meanwhile.

        Raises :class:`RunError` while the loop runs, and after an exception has ended it.
        """
        self._check_usable()
        self._advancing = True
        try:
            while not reached() and self._advance():
                pass
        finally:
            self._advancing = False
            if not self._iterating:
                self._close()

    def _advance(self) -> bool:
        """Let the loop run to its next event, which is put with those that wait. False after the last one."""
        if self._ended:
            return False
        self._check_usable()
        callers_threads = torch.get_num_threads()
        with DeferredInterrupt() as self._interrupt:
            try:
                self._running = True
                torch.set_num_threads(self._threads or callers_threads)
                self._clock.skip()  # the caller may have waited for a disk or a terminal since the last event
                event = next(self._loop)
                if event is not None:
                    self._waiting.append(event)
            except StopIteration:
                self._ended = True
            except BaseException:
                self._broken = True
                raise
            finally:
                self._running = False
                self._clock.count_work()
                self._threads = torch.get_num_threads()
                torch.set_num_threads(callers_threads)
        if self._interrupt.requested:
            raise KeyboardInterrupt
        return not self._ended

    def _check_usable(self) -> None:
        if self._running:
            raise RunError("Training is within a step: do this between two events, such as in the loop over them")
        if self._broken:
            raise RunError(
                f"Training was interrupted at step {self._step():,}, perhaps within a step: use Trainer.resume to "
                "continue from the last saved state, or make a new trainer"
            )
