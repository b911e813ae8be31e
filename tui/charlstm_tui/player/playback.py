"""One session as the player's thread plays it: when its characters are due, what the screen knows, its own file."""

from __future__ import annotations

import contextlib
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from charlstm.generation.editor import Editor
from charlstm.generation.sampling import SamplerSettings
from charlstm.generation.saving import summary
from charlstm.generation.session import BranchInfo, Session
from charlstm.generation.stepper import Stepper
from charlstm.generation.tree import ALTERNATIVES, NextCharDistribution, Rows
from charlstm.model.file import Model, load_model
from charlstm.runs.models import DEMO
from charlstm.storage import FileStamp
from charlstm.text.sentences import LONGEST_END, ends_sentence
from charlstm_tui import formatting
from charlstm_tui.player import saved_sessions
from charlstm_tui.player.marks import marks
from charlstm_tui.player.saved_sessions import SavedSession
from charlstm_tui.player.state import (
    FULL,
    NORMAL_SPEED,
    Continuations,
    ModelFacts,
    PlaybackState,
    PlayRequest,
    describe,
    model_path,
    run_name,
)
from charlstm_tui.player.unread_text import UnreadText

MAX_DELAY = 0.25
"""Seconds that characters may be late, besides the time between two states, before they are skipped."""
READING_SHOWN = 0.3
"""Seconds of reading again what follows an edit, before its progress is shown."""
SUGGESTION_LENGTH = 60
SUGGESTIONS = 6
"""Suggestions to choose from, at most."""
SUGGESTIONS_TRIED = 16
"""Continuations that are generated for them: those with the same first word are one suggestion."""
LONGEST_SENTENCE = 400
"""Characters after which a text that is to end with a sentence ends without one."""
OTHER_TEXT = "playing another text"
"""What is undone when undo goes back to the session before."""
MOST_BEFORE = 4
"""Earlier sessions with work in them to which undo goes back, besides the last one."""
CHOICES = 200
"""Characters to choose from at the cursor, while no text streams."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model with its packed weights, and the file that it was read from."""

    source: tuple[Path, FileStamp | None]
    model: Model
    stepper: Stepper


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something to do with the text once the model has read it up to a position."""

    run: Callable[[Playback, Editor], None]
    until: Callable[[Playback, Editor], float]
    moves_to: int | None = None
    """The position that the cursor goes to."""
    unread: Callable[[UnreadText], None] | None = None
    """The same on a text that the model does not read, if that is possible."""
    only_generates: bool = False
    """Whether it makes nothing but text of the model."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """A session in whose place another one is played, and how it was played. Undo goes back to it."""

    editor: Editor
    loaded: LoadedModel
    facts: ModelFacts
    request: PlayRequest
    speed: float
    edited: bool
    continues: str
    saved: SavedSession | None
    """Its own file, if it has one."""

    @property
    def has_work(self) -> bool:
        return self.saved is not None and self.saved.has_work

    def moved(self, editor: Editor, before: Path, now: Path) -> Replaced:
        """The same when the file ``before`` of the session of ``editor`` is another one now."""
        if self.editor is not editor or self.saved is None or self.saved.path != before:
            return self
        return replace(self, saved=replace(self.saved, path=now))


class Playback:
    """One session. Only the player's thread uses it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.request = PlayRequest("")
        self.session_id = 0
        self.editor: Editor | None = None
        self.loaded: LoadedModel | None = None
        self.facts: ModelFacts | None = None
        self.busy = self.error = self.note = self.failure = self.stop_reason = ""
        self.running = False
        self.ended = False  # at the end of a sentence, where it was to end
        self.remaining = 0  # characters until streaming pauses; below 0 it goes on to the end of a sentence
        self.settings = SamplerSettings()
        self.speed = NORMAL_SPEED
        self.rate: float | None = None  # characters per second, measured
        self.known_length = 0  # characters from the start that the screen has as they are
        self.waiting: deque[Waiting] = deque()
        self._read_from: int | None = None  # where the model began to read again what follows an edit
        self._reading_since = 0.0
        self._bits = array("d", [0.0])  # of the first 0, 1, 2 … characters together
        self.changed = False  # since the last state
        self.branches: tuple[BranchInfo, ...] = ()
        self.writing = False  # then there is a suggestion
        self.suggestions: list[str] = []
        self.suggestion_place = 0
        self._suggestions_for: tuple[object, ...] = ()  # the text and the settings that they continue
        self._is_rest = False  # whether the suggestion is what is left of one that was chosen among several
        self.continuations: Continuations | None = None
        self.unsaved = False  # changed since it was last saved
        self.cursor: int | None = None  # of a text that is left, if it is where the model has not read
        self.not_saved = ""  # why a save failed that is tried again
        self.file_note = ""  # that it is saved elsewhere now, which no command clears before it is shown
        self.edited = False  # the user wrote, picked or branched
        self.continues = ""  # the path of the saved session that this one continues
        self.opened: SavedSession | None = None  # what was loaded, if not a prime
        self.file: Path | None = None
        self.before: list[Replaced] = []
        self.after: list[Replaced] = []  # those from which undo went back
        self._took_in_prime = False  # from the session before
        self._changes_then = 0  # of the editor, when undo went back to it
        self.last_session: SavedSession | None = None
        self.next_save = 0.0  # a time of time.monotonic()
        self._paced_since = 0.0
        self._paced_count = 0
        self._rated_since = 0.0
        self._rated_count = 0
        self._overdue = 0  # characters that became due while the screen was hidden

    @property
    def session(self) -> Session | None:
        return None if self.editor is None else self.editor.session

    # ---- time

    def start_pacing(self) -> None:
        """Count time from now on: the next character is due one interval from now."""
        self._paced_since = self._rated_since = time.monotonic()
        self._paced_count = self._rated_count = self._overdue = 0
        self.rate = None

    def catch_up(self, now: float) -> None:
        """Make all characters that have become due while the screen was hidden due at once."""
        if self.running and self.speed not in (0, FULL):
            self._overdue = max(0, int((now - self._paced_since) * self.speed) - self._paced_count)
        self._rated_since, self._rated_count = now, 0

    def due(self, now: float, interval: float) -> float:
        """When the next character is due, in the past if it is late; ``interval`` are the seconds between states."""
        if self.speed == FULL or self._overdue:
            return now
        due = self._paced_since + (self._paced_count + 1) / self.speed
        if now - due > MAX_DELAY + interval:  # the model is slower than the speed: do not try to make up for it
            self._paced_since, self._paced_count = now - 1 / self.speed, 0
            due = now
        return due

    def count(self, now: float) -> None:
        """Count one generated character."""
        self._paced_count += 1
        self._rated_count += 1
        self._overdue = max(0, self._overdue - 1)
        if now - self._rated_since >= 0.5:
            self.rate = self._rated_count / (now - self._rated_since)
            self._rated_since, self._rated_count = now, 0

    # ---- model and session

    def open(
        self,
        request: PlayRequest,
        others: Iterable[LoadedModel] = (),
        before_reading: Callable[[], None] = lambda: None,
        closed: SavedSession | None = None,
    ) -> LoadedModel:
        """Load the requested model, unless it is loaded here or among ``others``; ``before_reading`` is called before a
        file is read, which can take long. ``closed`` was played until now. Raises :class:`CharLSTMError`."""
        path = model_path(request)
        stamp = None
        with contextlib.suppress(OSError):  # then load_model raises an error that says more
            stamp = FileStamp.of(path.stat())
        source = (path, stamp)
        known = [self.loaded, *others] if stamp is not None else []
        loaded = next((one for one in known if one is not None and one.source == source), None)
        if loaded is None:
            before_reading()
            model = load_model(path)
            loaded = LoadedModel(source, model, Stepper(model))
        facts = describe(loaded.model, path, request)
        if self.number == 0:  # the only one whose sessions are saved
            folder = saved_sessions.folder(facts.run, path)
            if self.file is None or self.facts is None or (facts.run, facts.name) != (self.facts.run, self.facts.name):
                self.file = saved_sessions.new_name(folder, taken=self._files(closed))
            self.last_session = saved_sessions.last(folder, self.file, request.session, closed)
        self.loaded, self.facts = loaded, facts
        return loaded

    def continue_in(self, session: Path) -> bool:
        """Save what was loaded from ``session`` in its file again, if that is the app's own; returns whether it is."""
        assert self.facts is not None
        folder = saved_sessions.folder(self.facts.run, self.facts.path)
        if not saved_sessions.is_own(session, folder):
            return False
        self.file = session
        self.last_session = saved_sessions.last(folder, None, session, None)
        return True

    @property
    def model_name(self) -> str:
        """The model, to find it again from any folder."""
        if self.facts is None or self.request.model_name == DEMO:
            return self.request.model_name
        return str((self.facts.run or self.facts.path).absolute())

    def replaced(self) -> Replaced | None:
        """What is played now, to go back to it; ``None`` if nothing is."""
        if self.editor is None or self.loaded is None or self.facts is None:
            return None
        saved = None
        if self.file is not None:
            about = summary(self.editor.session, self.editor.rest, edited=self.edited, continues=self.continues)
            saved = SavedSession(self.file, time.time(), about)
        return Replaced(
            self.editor, self.loaded, self.facts, self.request, self.speed, self.edited, self.continues, saved
        )

    def keep(self, replaced: Replaced) -> None:
        """Let undo go back to a session, if it is of the same run or file. Of earlier ones, the latest that the user
        edited are kept. A session that was not edited is kept only where there is no edited one, and not when a saved
        session was opened."""
        assert self.facts is not None
        same = (replaced.facts.run, replaced.facts.name) == (self.facts.run, self.facts.name)
        with_work = [one for one in self.before if one.has_work][-MOST_BEFORE:]
        worth_it = replaced.has_work or not (with_work or self.request.session is not None)
        self.before = [*with_work, *([replaced] if worth_it else [])] if same else []
        self.after, self._took_in_prime = [], False

    def play_without_prime(self, before: Replaced, editor: Editor) -> None:
        """Play the text of the session ``before`` in another one, where the prime is a part of it."""
        self.keep(before)
        self._took_in_prime = True
        if before.has_work:
            self.file = saved_sessions.new_name(
                saved_sessions.folder(before.facts.run, before.facts.path), taken=self._files(before.saved)
            )
        self.edited, self.continues, self.opened = True, "", None
        self.request = replace(self.request, prime="", session=None)
        self._play(editor)
        self.unsaved = True

    def put_back(self, replaced: Replaced) -> None:
        """Play a session again."""
        self.stop()
        self.loaded, self.facts = replaced.loaded, replaced.facts
        self.request, self.speed, self.edited = replaced.request, replaced.speed, replaced.edited
        self.continues, self.file = replaced.continues, None if replaced.saved is None else replaced.saved.path
        self.settings = replaced.editor.session.settings
        self.waiting.clear()
        self.opened, self._took_in_prime = None, False
        self._play(replaced.editor)
        self.unsaved = True

    def begin_opening(self, request: PlayRequest) -> None:
        """Leave what is played, and say that ``request`` is being opened."""
        self.stop()
        self.edited, self.continues, self.opened, self.writing = False, "", None, False
        self.request = request
        self.settings = self.settings if request.settings is None else request.settings
        self.speed = self.speed if request.speed is None else request.speed
        self.waiting.clear()
        self.error = self.note = self.failure = self.stop_reason = ""
        self.busy = f"Opening {request.model_name} …"
        self._play(None)

    def _play(self, editor: Editor | None) -> None:
        """Play another text, which is then shown from its beginning on; ``None`` while it is opened."""
        self.editor = editor
        self.session_id += 1
        self.cursor = None
        self.known_length = 0
        self.branches = () if editor is None else tuple(editor.session.branches())
        self.continuations = None
        self.changed = True

    def move_file(self, editor: Editor, before: Path, now: Path) -> None:
        """The session of ``editor`` that was to be saved to the file ``before`` is in another one now."""
        if self.editor is editor and self.file == before:
            self.file = now
        for others in (self.before, self.after):
            others[:] = [one.moved(editor, before, now) for one in others]

    def run_was_renamed(self, before: Path, now: Path) -> None:
        """The folder of the run is another one now."""
        facts = self.facts
        if facts is not None and facts.run == before and facts.path.is_relative_to(before):
            self.facts = replace(facts, run=now, path=now / facts.path.relative_to(before), name=run_name(now))

    def _files(self, other: SavedSession | None) -> set[Path]:
        """The files of the sessions with work in them to which undo and redo go, and of another one."""
        kept = [one.saved for one in (*self.before, *self.after) if one.has_work]
        return {saved.path for saved in (*kept, other) if saved is not None}

    @property
    def can_return(self) -> bool:
        """Whether undo goes back to the session before. In Write, where many changes are undone quickly, only to the
        same text with its prime."""
        return bool(self.before) and (self._took_in_prime or not self.writing)

    @property
    def can_advance(self) -> bool:
        """Whether redo goes on to the session from which undo went back."""
        return bool(self.after) and self.editor is not None and self.editor.changes == self._changes_then

    def go_to_other(self, direction: int) -> None:
        """Play the session before this one (-1), or the one from which that was done (1)."""
        here = self.replaced()
        assert here is not None
        self.put_back((self.before if direction < 0 else self.after).pop())
        (self.after if direction < 0 else self.before).append(here)
        assert self.editor is not None
        assert self.facts is not None
        self._changes_then = self.editor.changes
        folder = saved_sessions.folder(self.facts.run, self.facts.path)
        taken = self._files(None)
        if self.file in taken:  # which the other one uses since there is work in it
            self.file = saved_sessions.new_name(folder, taken=taken)
        self.last_session = saved_sessions.last(folder, self.file, self.request.session, here.saved)

    def stop(self) -> None:
        """Stop streaming."""
        if self.running and self.session is not None and self.branches:
            self.branches = tuple(self.session.branches())  # the last one has grown
        self.running, self.stop_reason, self.ended = False, "", False

    def at_sentence_end(self) -> bool:
        """Whether the text ends with a sentence; after :data:`LONGEST_SENTENCE` more characters any end will do."""
        assert self.session is not None
        length = len(self.session)
        end = self.session.read(max(0, length - LONGEST_END), length)
        return ends_sentence(end) or self.remaining <= -LONGEST_SENTENCE

    # ---- reading again what follows an edit

    @property
    def unread(self) -> float:
        """How many characters the model has to read now: all that follow an edit; in Write, where more edits come, only
        those for which something waits."""
        editor = self.editor
        if editor is None or not len(editor.rest):
            return 0
        until: float = 0 if self.writing else len(editor)
        if self.waiting:
            until = min(len(editor), self.waiting[0].until(self, editor))
        return max(0, until - len(editor.session))

    def read(self, proceed: Callable[[], bool]) -> None:
        """Let the model read again what follows an edit, as far as it has to, while it may ``proceed``. What the screen
        shows of the text changes at the end."""
        editor, count = self.editor, self.unread
        if editor is None:
            self._read_from = None
            return
        if count:
            if self._read_from is None:
                self._read_from, self._reading_since = len(editor.session), time.monotonic()
            self._read_from = min(self._read_from, len(editor.session))
            editor.read(len(editor.session) + int(count), proceed)
            self.changed |= bool(self.reading)
        if self._read_from is not None and not self.unread:
            self.known_length = min(self.known_length, self._read_from)
            self._read_from = None
            self.branches = tuple(editor.session.branches())
            self.unsaved = self.changed = True

    @property
    def reading(self) -> str:
        """How far the model has read again what follows an edit; empty while that is quick."""
        start, unread, seconds = self._read_from, self.unread, time.monotonic() - self._reading_since
        if start is None or self.session is None or not unread or seconds < READING_SHOWN:
            return ""
        done = max(0, len(self.session) - start)
        left = formatting.clock(seconds * unread / done) if done else "–"
        return f"reading again {100 * done / (done + unread):.0f} %, left {left}"

    # ---- suggestions

    def suggestion(self) -> str:
        """How the text could continue, while it is being written and the cursor is at its end."""
        editor = self.editor
        if editor is None or not self.writing or editor.session.position < len(editor):
            return ""
        if self._suggestions_for != self._suggestions_key(editor):
            self._suggest([whole_words(editor.session.suggest(SUGGESTION_LENGTH))])
        return self.suggestions[self.suggestion_place]

    def find_suggestions(self) -> None:
        """Find other suggestions than the one that is shown, each with another first word."""
        if self.editor is None or not self.suggestion() or len(self.suggestions) > 1:
            return
        found = self.editor.session.continuations(SUGGESTIONS_TRIED, SUGGESTION_LENGTH)
        texts = [*self.suggestions, *(whole_words(each.text) for each in found)]
        by_word = {" ".join(text.split()[:1]): text for text in reversed(texts) if text.strip()}
        different = [text for text in texts if text in by_word.values()]
        self.suggestions = list(dict.fromkeys([*self.suggestions, *different]))[:SUGGESTIONS]

    def accept(self, text: str) -> None:
        """Put the beginning ``text`` of the suggestion into the text; the rest of it is suggested from then on. A text
        that is no longer suggested is ignored: the key was quicker than the screen."""
        shown, chosen = self.suggestion(), self.suggestion_place > 0 or self._is_rest
        if self.editor is None or not text or not shown.startswith(text):
            return
        self.editor.put_generated(text, "accepting")
        if chosen and (rest := shown[len(text) :]).strip():
            self._suggest([rest], is_rest=True)

    def _suggest(self, suggestions: list[str], *, is_rest: bool = False) -> None:
        assert self.editor is not None
        self._is_rest = is_rest
        self._suggestions_for = self._suggestions_key(self.editor)
        self.suggestions, self.suggestion_place = suggestions, 0

    @staticmethod
    def _suggestions_key(editor: Editor) -> tuple[object, ...]:
        session = editor.session
        return session, session.tip, len(session), session.settings, session.seed, session.clamps

    def fail(self, sentence: str) -> None:
        """Give up the session and say why."""
        self.editor, self.branches = None, ()
        self.running, self.unsaved, self.writing = False, False, False
        self.waiting.clear()
        self.busy, self.stop_reason, self.error = "", "", sentence
        self.changed = True

    # ---- for the screen

    def state(self) -> PlaybackState:
        """The state now. The screen is expected to have applied all states before."""
        self.changed = False
        editor, start = self.editor, self.known_length
        if editor is None:
            return PlaybackState(
                self.number,
                self.session_id,
                self.request,
                self.facts,
                busy=self.busy,
                error=self.error,
                not_saved=self.not_saved,
                settings=self.settings,
                speed=self.speed,
            )
        session, length = editor.session, len(editor)
        position = session.position
        rows = editor.rows(start)
        mean_bits = self._mean_bits(editor, start, rows, position)
        current = session.at(position) if position < len(session) else None
        distribution = session.next_char_distribution(ALTERNATIVES if self.running else CHOICES)
        if (
            moves_to := next((each.moves_to for each in reversed(self.waiting) if each.moves_to is not None), None)
        ) is not None:
            position, current = min(moves_to, length), None
            distribution = NextCharDistribution((), 0.0, 0, distribution.total, 0.0)
        suggestion = self.suggestion()
        state = PlaybackState(
            number=self.number,
            session_id=self.session_id,
            request=self.request,
            facts=self.facts,
            busy=self.busy,
            error=self.error,
            note=" ".join(filter(None, (self.note, self.file_note))),
            failure=self.failure,
            not_saved=self.not_saved,
            prime=session.prime,
            unknown=tuple(session.unknown),
            start=start,
            text=session.model.vocabulary.decode(rows["id"]),
            marks=marks(rows),
            length=length,
            position=position,
            running=self.running,
            stop_reason=self.stop_reason,
            ended=self.ended,
            settings=self.settings,
            speed=self.speed,
            rate=self.rate if self.running else None,
            distribution=distribution,
            reading=self.reading,
            current_char=None if current is None else current.char,
            current_probability=None if current is None else current.probability,
            current_rank=0 if current is None else current.rank,
            bits_per_char=mean_bits,
            branches=self.branches,
            file=self.file,
            last_session=self.last_session,
            clamps=session.clamps,
            suggestion=suggestion,
            suggestions=tuple(self.suggestions) if suggestion and len(self.suggestions) > 1 else (),
            suggestion_place=self.suggestion_place,
            continuations=self.continuations,
            undoable=editor.undoable or (OTHER_TEXT if self.can_return else ""),
            redoable=editor.redoable or (OTHER_TEXT if self.can_advance else ""),
            replaced=self.before[-1].saved if self.before and self.before[-1].has_work else None,
            continues=self.continues,
            opened=self.opened,
        )
        self.known_length = length
        self.note = self.failure = self.file_note = ""
        return state

    def _mean_bits(self, editor: Editor, start: int, rows: Rows, position: int) -> float | None:
        """The mean over all characters before ``position``. ``rows`` are those from ``start`` on, before which nothing
        has changed: only they are summed."""
        sums = self._bits
        del sums[start + 1 :]
        if (known := len(sums) - 1) < start:
            rows = editor.rows(known)
        probabilities = np.maximum(rows["probability"].astype(np.float64), 2.0**-149)
        sums.extend((sums[-1] - np.cumsum(np.log2(probabilities))).tolist())
        return sums[position] / position if position else None


def whole_words(text: str) -> str:
    """``text`` without the word that it ends in the middle of, unless it is all one word."""
    end = max(text.rfind(" "), text.rfind("\n"))
    return text[:end] if end > 0 else text
