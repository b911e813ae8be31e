"""A player without a screen: what it tells, put together as a screen does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from charlstm_tui.player import saved_sessions
from charlstm_tui.player.state import PlaybackState
from charlstm_tui.player.thread import Player


class Listener:
    """Puts the states together as a screen does."""

    def __init__(self) -> None:
        self.news = threading.Event()
        self.player = Player(self.news.set)
        self.player.start()
        self.line = ""
        self.marks: list[int] = []
        self.notes: list[str] = []
        self.state: PlaybackState | None = None
        self.seen = 0

    def until(self, condition: Callable[[PlaybackState], bool], seconds: float = 60) -> PlaybackState:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.state is not None and condition(self.state):
                return self.state
            self.news.wait(0.1)
            self.news.clear()
            for state in self.player.collect():
                if self.state is None or state.session_id != self.state.session_id:
                    self.line, self.marks = "", []
                assert state.start <= len(self.line)
                self.line = self.line[: state.start] + state.text
                self.marks[state.start :] = state.marks
                assert len(self.line) == state.length == len(self.marks)
                self.state = state
                self.notes.append(state.note)
                self.seen += 1
        raise AssertionError(f"not within {seconds} s: {self.state}")

    def saved(self, length: int) -> PlaybackState:
        """The state once a text of so many characters is in the session's file."""
        state = self.until(lambda p: p.length == length)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            found = None if state.file is None else saved_sessions.session_at(state.file)
            if found is not None and found.length == length:
                return state
            time.sleep(0.01)
        raise AssertionError(f"{state.file} was not written")
