"""Where the text of a player is saved, and what is to be said about that.

All methods are called on the message loop, unless they say something else.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

from charlstm.generation.document import State, only_moved
from charlstm.generation.reading import Reading
from charlstm.generation.session import Session
from charlstm.generation.session_file import ReadSession, SessionState, begin_reading, session_of
from charlstm.model.file import Model
from charlstm_tui.background import JobQueue
from charlstm_tui.player import saved_sessions
from charlstm_tui.player.opening import OpenText
from charlstm_tui.player.session_saver import SessionSaver

WAIT_FOR_FILE = 5.0
"""Seconds for which a session is waited for that is being written when it is to be loaded."""

SavedWork = tuple[State, *tuple[object, ...]]
"""What is saved of a text: as long as it is the same, nothing has changed."""


class TextSaving:
    """Gives a text to the ``saver``, and collects what is said of its file and of others that are written of it.
    ``post`` is called from other threads, when there is something new."""

    def __init__(self, saver: SessionSaver, post: Callable[[], object]) -> None:
        self.saver, self._post = saver, post
        self._kept: SavedWork | None = None  # what the saver has
        self._noted = 0, ""  # the key of a text, and what was said about where it is saved
        self._notes, self._failures = deque[str](), deque[str]()  # of files, until they are said
        self._writer = JobQueue()
        self._keys = itertools.count(1)

    def new_key(self) -> int:
        """A number for another text. In any thread."""
        return next(self._keys)

    def file(self, about: OpenText) -> Path | None:
        """The file of a text."""
        return self.saver.status(about.key).path

    def begin(self, about: OpenText, work: SavedWork, saved: ReadSession | None) -> None:
        """Another text is played, which was read from a file or has none."""
        if saved is not None and saved.is_session:
            self.saver.go_on(about.key, about.facts.sessions, saved, run=about.facts.run)
        self._kept = work

    def keep(self, about: OpenText, work: SavedWork, state: Callable[[], SessionState], *, even_if_same: bool) -> None:
        """Give the text to the saver, if it has changed. One to which nothing was done has no file, and where only the
        cursor was moved a file of the user's stays as it is."""
        kept, is_known = self._kept, self.saver.knows(about.key)
        if not even_if_same and kept is not None:
            is_same = kept[0] is work[0]
            if not is_known or not self.saver.status(about.key).automatic:
                is_same = is_same or only_moved(kept[0], work[0])
            if is_same and (not is_known or kept[1:] == work[1:]):
                return
        if not is_known:
            self.saver.begin(about.key, about.facts.sessions, run=about.facts.run)
        self.saver.keep(about.key, state())
        self._kept = work

    @property
    def failure(self) -> str:
        """A sentence about what cannot be saved, of whichever text; empty otherwise."""
        failure = next((status.failure for status, _ in self.saver.unsaved() if status.failure), "")
        return failure and f"{failure} It is tried again; save it elsewhere to keep it."

    def leave(self, about: OpenText) -> Path | None:
        """Let other programs go on in the file of the text. Returns the file. In any thread."""
        self.saver.leave(about.key)
        return self.file(about)

    def named_file(self, about: OpenText) -> Path | None:
        """The file of a text that was just left: some 20 ms later it has a name. In any thread but the loop's."""
        self.saver.wait_for(about.key, WAIT_FOR_FILE)
        return self.file(about)

    def flush(self, path: Path) -> bool:
        """Write what waits for a file. Returns whether it is written. Waits for the disk; in any thread."""
        return self.saver.flush(path, WAIT_FOR_FILE)

    # ---- other files

    def move(self, about: OpenText, path: Path) -> None:
        """Save the text in a file of the user's from now on."""
        self.saver.move(about.key, path, self._tell_note, self._tell_failure)

    def export(
        self,
        about: OpenText,
        state: SessionState,
        model: Model,
        reading: Reading | None,
        write: Callable[[SessionState, Callable[[], Session]], str],
    ) -> None:
        """Write a copy on another thread, after the text's own file; ``write`` returns what to say. The copy is read
        by ``model``, as far as ``reading`` has not. In the thread of the reading."""
        own: Reading | None = None
        if reading is not None and reading.fits(state.document.text, state.document.prime_length):
            own = reading.fork(reading.stepper.for_another_thread())
        written = partial(write, state, lambda: session_of(state, own or begin_reading(state, model)))
        self._writer.add(partial(self._export, about.key, written), "exporting the text", self._tell_failure)

    def _export(self, key: int, written: Callable[[], str]) -> None:
        self.saver.wait_for(key, WAIT_FOR_FILE)
        self._tell_note(written())

    def _tell_note(self, note: str) -> None:
        self._notes.append(note)
        self._post()

    def _tell_failure(self, failure: str) -> None:
        self._failures.append(failure)
        self._post()

    def take(self, about: OpenText | None) -> tuple[str, str, str]:
        """What is to be said, each once: of files that were written, of the text's own file, and what failed."""
        notes, failures = _taken(self._notes), _taken(self._failures)
        note = "" if about is None else self.saver.status(about.key).note
        if about is None or self._noted == (about.key, note):
            return notes, "", failures
        self._noted = about.key, note
        return notes, note, failures

    # ---- the end; in another thread

    def close(self, timeout: float, *, delete_unkept: bool) -> bool:
        """Save everything; with ``delete_unkept`` delete the texts that only grew by themselves. Waits ``timeout``
        seconds at most; returns whether all is saved, or cannot be. Otherwise it is to be called again."""
        end = time.monotonic() + timeout
        if not self._writer.wait(timeout):
            return False
        is_saved = self.saver.write_all(max(0.0, end - time.monotonic()))
        if is_saved:
            self.saver.close(max(0.0, end - time.monotonic()))
            if delete_unkept:
                self.saver.delete_unkept()
        return is_saved

    def rescue(self, about: OpenText | None) -> list[str]:
        """See :meth:`TextPlayer.rescue`."""
        unsaved = self.saver.unsaved()
        sentences = [f"{status.failure} {saved_sessions.rescue(state)}".lstrip() for status, state in unsaved]
        if self._failures and not sentences and about is not None and (kept := saved_sessions.kept(self.file(about))):
            sentences.append(kept)
        return [*self._failures, *sentences]


def _taken(sentences: deque[str]) -> str:
    """All sentences together, which are said then. Other threads may add one meanwhile."""
    return " ".join(sentences.popleft() for _ in range(len(sentences)))
