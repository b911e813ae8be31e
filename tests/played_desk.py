"""A desk without an app: what it wants of its model is computed when a test says so, in the test's own thread."""

from __future__ import annotations

import asyncio
import math
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterable

from charlstm_tui.player.desk import Desk
from charlstm_tui.player.model_thread import Batch, ModelThread
from charlstm_tui.player.played import FULL, Played
from charlstm_tui.player.session_saver import SessionSaver


class Shown:
    """What a desk shows, put together as a view does."""

    def __init__(self) -> None:
        self.text, self.marks, self.read_to = "", array("H"), 0

    def clear(self) -> None:
        self.text, self.marks = "", array("H")

    def replace(self, start: int, stop: int, text: str, marks: Iterable[int]) -> None:
        assert 0 <= start <= stop <= len(self.text)
        self.text = self.text[:start] + text + self.text[stop:]
        self.marks[start:stop] = array("H", marks)
        assert len(self.marks) == len(self.text)

    def set_marks(self, start: int, marks: array[int], read_to: int | None) -> None:
        assert start + len(marks) <= len(self.text)
        self.marks[start : start + len(marks)] = marks
        self.read_to = read_to or 0


class SteppedThread(ModelThread):
    """The thread, which is not started: :meth:`finish` does what it would do."""

    def finish(self) -> None:
        while True:
            self.drawn()
            if self._seconds_to_wait(time.monotonic()) == math.inf and not self._acts:
                return
            self._turn()


class PlayedDesk(Desk):
    """A desk whose text streams at full speed, with what it has shown and said."""

    def __init__(self, saver: SessionSaver | None = None) -> None:
        self.shown, self.notes, self.failures = Shown(), list[str](), list[str]()
        self.batches: list[Batch] = []
        self._calls: deque[Callable[[], object]] = deque()
        self.thread = SteppedThread(lambda number, batch: self.take(batch))
        super().__init__(
            self.thread, 0, self.shown, self._say_played, saver=saver, spawn=asyncio.run, post=self._calls.append,
        )  # fmt: skip
        self.speed = FULL

    def _say_played(self, played: Played) -> None:
        self.notes += [played.note] if played.note else []
        self.failures += [played.failure] if played.failure else []
        assert self.about is None or self.shown.text == self.document.text.read()

    def take(self, batch: Batch) -> None:
        self.batches.append(batch)
        super().take(batch)

    def finish(self) -> Played:
        """Let the thread do all that is wanted, and how all is then."""
        while True:
            self.thread.finish()
            if not self._calls:
                return self.played
            self._calls.popleft()()

    def until(self, condition: Callable[[Played], bool]) -> Played:
        """Wait for other threads until ``condition`` is true."""
        deadline = time.monotonic() + 60
        while not condition(self.finish()):
            assert time.monotonic() < deadline, self.played
            time.sleep(0.005)
        return self.played

    @property
    def line(self) -> str:
        """The text after the prime."""
        return self.document.text.read(self.document.prime_length)
