"""A player without an app: what it wants of its model is computed when a test says so, in the test's own thread."""

import asyncio
import math
import time
from array import array
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from charlstm_tui.player.model_thread import ModelThread
from charlstm_tui.player.opening import PlayRequest
from charlstm_tui.player.played import FULL, Played
from charlstm_tui.player.session_saver import SessionSaver
from charlstm_tui.player.text_player import TextPlayer


class Shown:
    """What a player shows, put together as a view does."""

    def __init__(self) -> None:
        self.text, self.marks, self.cursor = "", array("H"), 0

    def clear(self) -> None:
        self.text, self.marks, self.cursor = "", array("H"), 0

    def replace(self, start: int, stop: int, text: str, marks: Iterable[int]) -> None:
        assert 0 <= start <= stop <= len(self.text)
        self.text = self.text[:start] + text + self.text[stop:]
        self.marks[start:stop] = array("H", marks)
        assert len(self.marks) == len(self.text)

    def set_marks(self, start: int, marks: "array[int]", read_to: int | None) -> None:
        assert start + len(marks) <= len(self.text)
        self.marks[start : start + len(marks)] = marks


class SteppedThread(ModelThread):
    """The thread, which is not started: :meth:`finish` does what it would do."""

    def finish(self) -> None:
        while not self._closing:
            self.drawn()
            if self._seconds_to_wait(time.monotonic()) == math.inf and not self._acts:
                return
            self._turn()


class SteppedPlayer(TextPlayer):
    """A player whose text streams at full speed, with what it has shown and said."""

    def __init__(self, *, saves: bool = False) -> None:
        self.shown, self.notes = Shown(), list[str]()
        self._last_said = "", ""
        self._posted: deque[Callable[[], object]] = deque()
        self.thread = SteppedThread(lambda number, batch: self.take(batch))
        super().__init__(
            self.thread, 0, self.shown, self._say_played, spawn=self._run, post=self._posted.append,
            saver=SessionSaver(lambda: self._posted.append(self.publish)) if saves else None,
        )  # fmt: skip
        self.speed = FULL

    def _run(self, job: Coroutine[Any, Any, None]) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(job)
        else:  # it is asked for by another one
            self._posted.append(lambda: asyncio.run(job))

    def _say_played(self, played: Played) -> None:
        self.notes += [played.note] if played.note else []
        self._last_said = played.note or self._last_said[0], played.failure or self._last_said[1]
        assert self.open_text is None or self.shown.text == self.document.text.read()

    def begin(self, *, touches: bool = True) -> None:
        super().begin(touches=touches)
        self._last_said = "", ""

    def finish(self) -> Played:
        """Let the thread do all that is wanted. Returns how all is then, with what was said of the last thing done."""
        self.thread.finish()
        while self._posted:
            self._posted.popleft()()
            self.thread.finish()
        note, failure = self._last_said
        return replace(self.played, note=note, failure=failure)

    def after(self, act: Callable[..., object], *arguments: object) -> Played:
        """Do something, and let the thread do all that is wanted then."""
        act(*arguments)
        return self.finish()

    def play(self, model: Path | str, **request: Any) -> Played:
        """Open what a request for this model names."""
        return self.after(self.open, PlayRequest(str(model), **request))

    def until(self, condition: Callable[[Played], bool]) -> Played:
        """Wait for other threads until ``condition`` is true."""
        deadline = time.monotonic() + 60
        while not condition(played := self.finish()):
            assert time.monotonic() < deadline, played
            time.sleep(0.005)
        return played

    def generate(self, count: int) -> Played:
        """Let so many characters be generated."""
        return self.after(self.stream, count)

    def saved(self, length: int) -> Path:
        """Wait until a text of so many characters is saved. Gives the file."""
        played = self.until(lambda p: p.length == length and p.file is not None)
        assert self._saving.saver.write_all(60)
        return played.file

    def close(self, timeout: float = 60, *, delete_unkept: bool = False) -> bool:
        self.thread.finish()
        return super().close(timeout, delete_unkept=delete_unkept)

    def close_whole(self) -> None:
        """Close as the app does: again and again until all is saved or cannot be. What cannot be is tried for the whole
        time of each call, so that is short."""
        deadline = time.monotonic() + 60
        while not self.close(0.1):
            assert time.monotonic() < deadline, "it does not end"
        self._saving.saver._thread.join(60)  # else another call of close would let it try for longer

    @property
    def prime(self) -> str:
        return self.document.text.read(0, self.document.prime_length)

    @property
    def line(self) -> str:
        """The text after the prime."""
        return self.document.text.read(self.document.prime_length)
