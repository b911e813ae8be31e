"""One text as the player's thread plays it: when its characters are due, what the screen knows, where it is saved."""

from __future__ import annotations

import contextlib
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from charlstm.display import visible
from charlstm.errors import CharLSTMError
from charlstm.generation.clamp import existing_clamps
from charlstm.generation.document import BranchInfo, Document
from charlstm.generation.prime import prepare_prime, read_prime
from charlstm.generation.reading import Continuation, Reading
from charlstm.generation.rows import (
    ALTERNATIVES,
    CHOSEN,
    GENERATED,
    NO_DISTRIBUTION,
    TYPED,
    NextCharDistribution,
    in_bits,
    read_as_themselves,
)
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.session_file import SessionState, SessionSummary, summary_of
from charlstm.generation.stepper import Stepper
from charlstm.generation.text_pieces import Text
from charlstm.model.file import Model, load_model
from charlstm.runs.folder import run_of_session
from charlstm.runs.models import DEMO
from charlstm.storage import FileStamp
from charlstm.text.sentences import LONGEST_END, ends_sentence, sentence_ends
from charlstm.text.vocabulary import Vocabulary
from charlstm_tui import formatting
from charlstm_tui.choices import path_after_rename
from charlstm_tui.player import saved_sessions
from charlstm_tui.player.marks import ORIGIN_SHIFT, Origin, pack
from charlstm_tui.player.reader import Reader
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
)

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
"""Characters after which a text that is to end with a sentence, or a continuation, ends without one."""
PAUSE_AFTER = 1000
ORIGINS = np.zeros(3, np.uint16)
ORIGINS[[GENERATED, TYPED, CHOSEN]] = Origin.MODEL, Origin.TYPED, Origin.CHOSEN
LEARNT_CONTEXT = 1024
"""Characters that a copy that learns reads before what it suggests: trained models forget those before them."""
MOST_NAMED = 6
"""Characters that a sentence names."""
CHOICES = 200
"""Characters to choose from at the cursor, while no text streams."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model with its packed weights, and the file that it was read from."""

    source: tuple[Path, FileStamp | None]
    model: Model
    stepper: Stepper


@dataclass(frozen=True, slots=True, eq=False)
class LearntModel:
    """A copy of a model that has learnt from a text at some strength, with its packed weights."""

    model: Model
    stepper: Stepper
    strength: float


class SeenPosition(NamedTuple):
    """A position in the text as a version of it was seen: so many characters are before it, the prime too."""

    position: int
    version: int


def nothing(playback: object, *arguments: Any) -> int:
    """The model need not have read anything."""
    return 0


def leave(playback: object, *arguments: Any) -> None:
    """Leave undone what is of no use any more when the text has changed."""


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that can be done.

    Attributes:
        run: does it: called with the playback and the arguments.
        reads: how far the model has to have read before: called with the same.
        edits: whether a change that it makes is the user's work, for which a session is kept.
        stops: whether text that streams stops.
        unread: does it, or leaves it, where the model has not read so far, for an edit in Write that would wait behind
            it; ``None``: the edit waits.
    """

    run: Callable[..., object]
    reads: Callable[..., int] = nothing
    edits: bool = True
    stops: bool = True
    unread: Callable[..., object] | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """An operation that was asked for, until it is carried out: the model may have to read more of the text before."""

    operation: Operation
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Replaced:
    """A text in whose place another one is loaded, and how it was played: it is played again if that fails."""

    document: Document
    reader: Reader
    loaded: LoadedModel
    facts: ModelFacts
    request: PlayRequest
    speed: float
    edited: bool
    continues: str
    title: str
    saved: SavedSession | None
    """Its own file, if it has one."""
    key: int
    """Its number for the saver."""

    def only_grew(self, folder: Path) -> bool:
        """Whether it is saved in this folder and only grew by itself."""
        return self.saved is not None and not self.saved.has_work and self.facts.sessions == folder


class _Interrupted(Exception):
    """Something else is to be done first."""


class Playback:
    """One text that is played. Only the player's thread uses it.

    Args:
        number: 0 for the one whose texts are saved.

    Attributes:
        document: the text; ``reader``: what the model makes of it. There are none while a text is opened.
        key: the number of the text for who saves it.
        cut: what was cut last, and ``cuts`` how often something was.
        done: the number of the last operation that was taken from the queue.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.request = PlayRequest("")
        self.session_id = 0
        self._document: Document | None = None
        self._reader: Reader | None = None
        self.key = 0
        self.loaded: LoadedModel | None = None
        self.facts: ModelFacts | None = None
        self.busy = self.error = self.note = self.failure = self.stop_reason = ""
        self.job_notes, self.job_failures = list[str](), list[str]()  # of files; shown whatever is done since
        self.running = False
        self.ended = False  # at the end of a sentence, where it was to end
        self.remaining = 0  # characters until streaming pauses; below 0 it goes on to the end of a sentence
        self.settings = SamplerSettings()
        self.speed = NORMAL_SPEED
        self.rate: float | None = None  # characters per second, measured
        self.waiting: deque[Waiting] = deque()
        self.done = self.cuts = 0
        self.cut = ""
        self._shown = Text()  # what the screen has
        self._shown_prime = self._shown_read_to = 0
        self._reading_from: int | None = None  # where the model began to read what follows an edit
        self._reading_since = 0.0
        self._bits = array("d", [0.0])  # of the first 0, 1, 2 … characters after the prime together
        self._counted = array("l", [0])  # how many of these the model reads as themselves
        self.changed = False  # since the last state
        self.branches: tuple[BranchInfo, ...] = ()
        self._branches_of = -1  # the version that they are of
        self.writing = False  # then there is a suggestion
        self.learnt: LearntModel | None = None
        """A copy that has learnt from the text, and suggests in Write."""
        self.suggestions: list[str] = [""]
        self.suggestion_place = 0
        self._suggestions_for: tuple[object, ...] = ()  # the text and the settings that they continue
        self._suggested_after = Text()
        self._is_rest = False  # whether the suggestion is what is left of one that was chosen among several
        self.continuations: Continuations | None = None
        self.edited = False  # the user wrote, picked, erased, branched or saved
        self.is_elsewhere = False  # its file does not lie beside the run whose model goes on with it
        self.continues = ""  # the path of the saved session that this one continues
        self.title = ""  # that the user gave the session
        self.opened: SavedSession | None = None  # what was loaded, if not a prime
        self.closed: SavedSession | None = None  # the text that was played before, if it had work in it
        self.last_session: SavedSession | None = None
        self._paced_since = 0.0
        self._paced_count = 0
        self._rated_since = 0.0
        self._rated_count = 0
        self._overdue = 0  # characters that became due while the screen was hidden

    @property
    def is_open(self) -> bool:
        """Whether there is a text."""
        return self._document is not None

    @property
    def document(self) -> Document:
        assert self._document is not None
        return self._document

    @property
    def reader(self) -> Reader:
        assert self._reader is not None
        return self._reader

    @property
    def model(self) -> Model:
        return self.reader.model

    @property
    def prime(self) -> str:
        return self.document.text.read(0, self.document.prime_length)

    @property
    def unseen(self) -> int:
        """Characters that the screen does not have yet, while text streams."""
        return len(self.document) - len(self._shown)

    def place(self, place: SeenPosition, *, stays: bool = False) -> int:
        """Where a place that the screen named is now: at an insertion after what came in, unless it ``stays``."""
        return self.document.carried(place.position, place.version, stays=stays)

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
        others: Iterable[LoadedModel | None] = (),
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
            self.last_session = saved_sessions.last(facts.sessions, request.session, closed)
            is_last = closed is not None and closed.has_work and self.last_session == closed
            self.closed = closed if is_last else None
        self.loaded, self.facts = loaded, facts
        return loaded

    def change_model(self, request: PlayRequest, others: Iterable[LoadedModel | None]) -> None:
        """Let another model read the text and go on with it. Raises :class:`CharLSTMError`; nothing has
        changed then."""
        before = self.request, self.loaded, self.facts, self.last_session
        document, recipe, key = self.document, self.reader.recipe, self.key
        try:
            loaded = self.open(request, others)
            clamps = existing_clamps(recipe.clamps, loaded.model.config)
            recipe = replace(recipe, seed=document.seed, clamps=clamps)
            reading = Reading(loaded.model, read_prime(loaded.model, self.prime), recipe, stepper=loaded.stepper)
        except CharLSTMError:
            self.request, self.loaded, self.facts, self.last_session = before
            raise
        self.request, self.last_session = replace(request, session=before[0].session), before[3]
        if before[2] is not None and self.facts is not None and before[2].run != self.facts.run:
            self.is_elsewhere = True
        self.play(document, Reader(document, reading), key)

    @property
    def model_name(self) -> str:
        """The model, to find it again from any folder."""
        if self.facts is None or self.request.model_name == DEMO:
            return self.request.model_name
        return str((self.facts.run or self.facts.path).absolute())

    @property
    def work(self) -> tuple[object, ...]:
        """What is saved: as long as this is the same, nothing has changed."""
        document, reader = self.document, self.reader
        return document.version, document.cursor, reader.settings, reader.clamps, self.edited

    @property
    def is_touched(self) -> bool:
        """Whether anything was done to a new text, or generated."""
        return self.document.version > 0 or self.document.cursor != self.document.prime_length

    def summary(self) -> SessionSummary:
        """What the text is about."""
        step = None if self.facts is None else self.facts.step
        return replace(
            summary_of(self.document), edited=self.edited, continues=self.continues, model=self.model_name,
            title=self.title, step=-1 if step is None else step,
        )  # fmt: skip

    def session_state(self) -> SessionState:
        """All of it, to be saved."""
        recipe = self.reader.recipe
        return SessionState(
            document=self.document.copy(),
            summary=self.summary(),
            settings=recipe.settings,
            clamps=tuple(recipe.clamps),
            sample=recipe.sample,
            weights=self.reader.reading.weights_digest,
            run=str(self.model.info.get("run") or ""),
        )

    def replaced(self, file: Path | None) -> Replaced | None:
        """What is played now, and saved in ``file``, to go back to it; ``None`` if nothing is."""
        if not self.is_open or self.loaded is None or self.facts is None:
            return None
        summary = replace(self.summary(), words=self.document.words)
        saved = None if file is None else SavedSession(file, time.time(), summary)
        return Replaced(
            self.document, self.reader, self.loaded, self.facts, self.request, self.speed, self.edited, self.continues,
            self.title, saved, self.key,
        )  # fmt: skip

    def put_back(self, replaced: Replaced) -> None:
        """Play a text again."""
        self.stop()
        self.loaded, self.facts = replaced.loaded, replaced.facts
        self.request, self.speed, self.edited = replaced.request, replaced.speed, replaced.edited
        self.continues, self.title, self.opened = replaced.continues, replaced.title, None
        self.settings = replaced.reader.settings
        self.play(replaced.document, replaced.reader, replaced.key)

    def begin_opening(self, request: PlayRequest) -> None:
        """Leave what is played, and say that ``request`` is being opened."""
        self.stop()
        self.edited, self.continues, self.title, self.opened, self.writing = False, "", "", None, False
        self.is_elsewhere = False
        self.request = request
        self.settings = self.settings if request.settings is None else request.settings
        self.speed = self.speed if request.speed is None else request.speed
        self.waiting.clear()
        self.error = self.note = self.failure = self.stop_reason = ""
        self.busy = f"Opening {Path(request.model_name).name} …"
        self.play(None, None, 0)

    def play(self, document: Document | None, reader: Reader | None, key: int) -> None:
        """Play another text, which is then shown from its beginning on; ``None`` while it is opened."""
        self._document, self._reader, self.key = document, reader, key
        self.session_id += 1
        self.learnt = None
        self._shown, self._shown_prime, self._shown_read_to = Text(), 0, 0
        self._bits, self._counted = array("d", [0.0]), array("l", [0])
        self.branches, self._branches_of = (), -1
        self.continuations = None
        self._reading_from = None
        self.changed = True

    def stream(self, count: int = PAUSE_AFTER) -> None:
        """Generate so many characters at the end of the text, as soon as the model has read it."""
        self.running, self.remaining, self.stop_reason, self.ended = True, count, "", False
        self.start_pacing()

    def find_run(self, file: Path | None) -> None:
        """The text is saved in ``file``: where that is in the folder of another run, the run has this name now."""
        facts = self.facts
        if file is None or facts is None or facts.run is None or file.is_relative_to(facts.run) or self.is_elsewhere:
            return
        run = run_of_session(file)
        if run is not None and facts.path.is_relative_to(facts.run):
            self.rename_run(facts.run, run.path)

    def rename_run(self, old: Path, new: Path) -> None:
        """The run in the folder ``old`` was renamed to ``new``: it is found there from now on."""
        self.request = self.request.after_rename(old, new)
        if self.facts is not None:
            self.facts = self.facts.after_rename(old, new)
        if self.last_session is not None:
            self.last_session = self.last_session.after_rename(old, new)
        if self.opened is not None:
            self.opened = self.opened.after_rename(old, new)
        if self.continues:
            self.continues = str(path_after_rename(Path(self.continues), old, new))
        if self.closed is not None:
            self.closed = self.closed.after_rename(old, new)
        self.changed = True

    def stop(self) -> None:
        """Stop streaming."""
        self.running, self.stop_reason, self.ended = False, "", False

    def at_sentence_end(self) -> bool:
        """Whether the text ends with a sentence; after :data:`LONGEST_SENTENCE` more characters any end will do."""
        text = self.document.text
        return ends_sentence(text.read(max(0, len(text) - LONGEST_END))) or self.remaining <= -LONGEST_SENTENCE

    # ---- reading what follows an edit

    @property
    def to_read(self) -> int:
        """Up to where the model has to have read now: as far as the first operation that waits needs. If none waits, in
        Write, where more edits come, up to the cursor, else all."""
        document = self.document
        if self.waiting:
            waiting = self.waiting[0]
            return waiting.operation.reads(self, *waiting.arguments)
        return document.cursor if self.writing and not self.running else len(document)

    @property
    def unread(self) -> int:
        """How many characters the model has to read now."""
        if not self.is_open or (self.running and not self.waiting and self.reader.has_read_all):
            return 0
        return max(0, self.to_read - self.reader.read_to)

    def read(self, proceed: Callable[[], bool]) -> None:
        """Let the model read what it has to, while it may ``proceed``."""
        if not self.is_open:
            self._reading_from = None
            return
        if self.unread:
            if self._reading_from is None:
                self._reading_from, self._reading_since = self.reader.read_to, time.monotonic()
            self._reading_from = min(self._reading_from, self.reader.read_to)
            self.reader.read(self.to_read, proceed)
            self.changed = True
        if not self.unread:
            self._reading_from = None

    @property
    def reading(self) -> str:
        """How far the model has read what follows an edit; empty while that is quick."""
        start, unread, seconds = self._reading_from, self.unread, time.monotonic() - self._reading_since
        if start is None or not unread or seconds < READING_SHOWN:
            return ""
        done = max(0, self.reader.read_to - start)
        left = formatting.clock(seconds * unread / done) if done else "–"
        return f"reading again {100 * done / (done + unread):.0f} %, left {left}"

    # ---- suggestions

    @property
    def _at_end(self) -> bool:
        return self.is_open and self.writing and self.document.cursor == len(self.document)

    def suggest_with(self, learnt: LearntModel | None, session_id: int) -> None:
        """Let suggestions and continuations in Write come from a copy of the model that has learnt from the text, or
        with ``None`` from the model itself. Where another text is played by now, nothing changes."""
        if self.is_open and session_id == self.session_id:
            self.learnt = learnt
            self._suggestions_for = ()
            self.changed = True

    def _reading_at(self, position: int, check: Callable[[int], None] = lambda done: None) -> tuple[Reading, int]:
        """What has read the text up to ``position``, to find what could come there, and where it has that. A copy that
        has learnt reads the last characters each time, and calls ``check`` meanwhile."""
        learnt = self.learnt
        if learnt is None or not self.writing:
            return self.reader.reading, position
        text = self.document.text.read(max(0, position - LEARNT_CONTEXT), position)
        recipe = replace(self.reader.recipe, seed=self.document.seed)

        def progress(done: int, total: int) -> None:
            check(done)

        prime = prepare_prime(learnt.model, text)
        reading = Reading(learnt.model, prime, recipe, stepper=learnt.stepper, progress=progress)
        return reading, reading.prime_length

    def _drawn_position(self, position: int) -> int:
        """The position after the prime, which the random numbers belong to, also where a copy that has learnt draws."""
        return max(0, position - self.document.prime_length)

    @property
    def wants_suggestion(self) -> bool:
        """Whether a suggestion is to be found: the model has read all of the text, and there is none for it."""
        if not self._at_end or self.reader.read_to < len(self.document):
            return False
        return self._suggestions_for != self._suggestions_key()

    def find_suggestion(self, proceed: Callable[[], bool]) -> None:
        """Find how the text could continue, while it may ``proceed``."""

        def check(done: int) -> None:
            if not proceed():
                raise _Interrupted

        with contextlib.suppress(_Interrupted):
            reading, place = self._reading_at(len(self.document), check)
            position = self._drawn_position(len(self.document))
            self._suggest([whole_words(reading.suggest(place, SUGGESTION_LENGTH, check, drawn_at=position))])
            self.changed = True

    def suggestion(self) -> str:
        """How the text could continue, while it is being written and the cursor is at its end. Until it is found: what
        is left of the one before, if the text went on as that said."""
        if not self._at_end:
            return ""
        shown = self.suggestions[self.suggestion_place]
        if self._suggestions_for == self._suggestions_key():
            return shown
        text, before = self.document.text, len(self._suggested_after)
        if not text.starts_with(self._suggested_after):
            return ""
        went_on = text.read(before, before + len(shown) + 1)
        return shown[len(went_on) :] if shown.startswith(went_on) else ""

    def suggest_another(self, place: int) -> None:
        """Suggest the one at ``place`` of several, each with another first word."""
        if not self._at_end:
            return
        if self.wants_suggestion:
            self.find_suggestion(lambda: True)
        if len(self.suggestions) == 1:
            reading, place = self._reading_at(len(self.document))
            position = self._drawn_position(len(self.document))
            found = reading.ways_on(place, SUGGESTIONS_TRIED, SUGGESTION_LENGTH, drawn_at=position)
            texts = [*self.suggestions, *(whole_words(each.text) for each in found)]
            by_word = {" ".join(text.split()[:1]): text for text in reversed(texts) if text.strip()}
            different = [text for text in texts if text in by_word.values()]
            self.suggestions = list(dict.fromkeys([*self.suggestions, *different]))[:SUGGESTIONS]
        self.suggestion_place = place % len(self.suggestions)
        if len(self.suggestions) == 1:
            self.note = "The model suggests nothing else with these settings."

    def accept(self, text: str) -> None:
        """Put the beginning ``text`` of the suggestion into the text; the rest of it is suggested from then on. A text
        that is no longer suggested is ignored: the key was quicker than the screen."""
        shown, chosen = self.suggestion(), self.suggestion_place > 0 or self._is_rest
        if not text or not shown.startswith(text):
            return
        self.document.insert(text, GENERATED, kind="accepting")
        if chosen and (rest := shown[len(text) :]).strip():
            self._suggest([rest], is_rest=True)

    def _suggest(self, suggestions: list[str], *, is_rest: bool = False) -> None:
        self._is_rest = is_rest
        self._suggestions_for, self._suggested_after = self._suggestions_key(), self.document.text
        self.suggestions, self.suggestion_place = suggestions, 0

    def _suggestions_key(self) -> tuple[object, ...]:
        document, reader = self.document, self.reader
        return self.session_id, document.version, document.seed, reader.settings, reader.clamps

    def find_continuations(
        self, count: int, length: int, lines: int, first: int, show: Callable[[Continuations], None]
    ) -> None:
        """Find what could come at the cursor; ``show`` is called while the texts grow, and may raise to end it."""
        reading, place = self._reading_at(self.document.cursor)

        def grown(found: Sequence[Continuation]) -> None:
            show(Continuations(first, tuple(found), complete=False))

        position = self._drawn_position(self.document.cursor)
        found = reading.ways_on(place, count, length, lines=lines, first=first, grown=grown, drawn_at=position)
        show(Continuations(first, tuple(found), complete=True))

    def to_sentence_end(self, text: str, count: int, first: int) -> str:
        """``text``, which is one of ``count`` continuations at the cursor from number ``first`` on, with what follows
        it, at least to the end of its first sentence if one ends within :data:`LONGEST_SENTENCE` characters."""
        longer = text

        def grown(found: Sequence[Continuation]) -> None:
            nonlocal longer
            longer = next((each.text for each in found if each.text.startswith(text)), longer)
            if next(sentence_ends(longer), None) is not None:
                raise _Interrupted

        with contextlib.suppress(_Interrupted):
            reading, place = self._reading_at(self.document.cursor)
            position = self._drawn_position(self.document.cursor)
            grown(reading.ways_on(place, count, LONGEST_SENTENCE, first=first, grown=grown, drawn_at=position))
        return longer

    def fail(self, sentence: str) -> None:
        """Give up the text and say why."""
        self.play(None, None, 0)
        self.running, self.writing = False, False
        self.waiting.clear()
        self.busy, self.stop_reason, self.error = "", "", sentence
        self.changed = True

    # ---- for the screen

    def state(self, file: Path | None = None, not_saved: str = "") -> PlaybackState:
        """The state now; it is saved in ``file``, or ``not_saved`` says why it is not. The screen is expected to have
        applied all states before."""
        self.changed = False
        if not self.is_open:
            return PlaybackState(
                self.number,
                self.session_id,
                self.request,
                self.facts,
                busy=self.busy,
                error=self.error,
                settings=self.settings,
                speed=self.speed,
                done=self.done,
                cut=self.cut,
                cuts=self.cuts,
            )
        document, reader = self.document, self.reader
        text, version, cursor = document.text, document.version, document.cursor
        start, removed, added = self._difference(text, document.prime_length)
        first, figures = self._figures(text, start)
        current = reader.at(cursor)
        if not self.running and self._branches_of != version:
            self.branches, self._branches_of = tuple(document.list_branches()), version
        suggestion = self.suggestion()
        state = PlaybackState(
            number=self.number,
            session_id=self.session_id,
            request=self.request,
            facts=self.facts,
            busy=self.busy,
            error=self.error,
            note=" ".join(filter(None, (*self.job_notes, self.note))),
            failure=" ".join(filter(None, (*self.job_failures, self.failure))),
            version=version,
            done=self.done,
            prime_length=document.prime_length,
            start=start,
            removed=removed,
            text=added.read(),
            marks=self._origins(added, start),
            size=len(text),
            figures_start=first,
            figures=figures,
            read_to=self._shown_read_to,
            position=cursor,
            running=self.running,
            stop_reason=self.stop_reason,
            ended=self.ended,
            settings=self.settings,
            speed=self.speed,
            rate=self.rate if self.running else None,
            distribution=self._distribution(),
            reading=self.reading,
            current_char=text.read(cursor, cursor + 1) or None,
            current_probability=None if current is None else current.probability,
            current_rank=0 if current is None else current.rank,
            read_as=self._read_as(text, cursor),
            bits_per_char=self._mean_bits(cursor - document.prime_length),
            branches=self.branches,
            file=file,
            not_saved=not_saved,
            last_session=self.last_session,
            clamps=reader.clamps,
            learnt_strength=None if self.learnt is None else self.learnt.strength,
            suggestion=suggestion,
            suggestions=tuple(self.suggestions) if suggestion and len(self.suggestions) > 1 else (),
            suggestion_place=self.suggestion_place,
            continuations=self.continuations,
            cut=self.cut,
            cuts=self.cuts,
            undoable=document.undoable,
            redoable=document.redoable,
            replaced=self.closed,
            title=self.title,
            continues=self.continues,
            opened=self.opened,
            edited=self.edited,
        )
        self.note = self.failure = ""
        self.job_notes.clear()
        self.job_failures.clear()
        return state

    def _difference(self, text: Text, prime_length: int) -> tuple[int, int, Text]:
        """Where ``text`` differs from what the screen has: the place, how many characters go there, and what comes. The
        prime looks different from the text: where it was edited, all of it is another."""
        before, prime = self._shown, self._shown_prime
        same_prime = prime == prime_length
        start = before.same_start(text) if same_prime else 0
        end = before.same_end(text, min(len(before), len(text)) - start)
        if not same_prime:
            end = max(0, min(end, len(before) - prime, len(text) - prime_length))
        self._shown, self._shown_prime = text, prime_length
        return start, len(before) - end - start, text.part(start, len(text) - end)

    def _figures(self, text: Text, start: int) -> tuple[int, array[int]]:
        """The marks of characters that the screen does not have, and where they begin: what is read and different, from
        ``start`` on, or read since."""
        prime, read_to = self.document.prime_length, self.reader.read_to
        first = max(prime, min(self._shown_read_to, start))
        self._shown_read_to = read_to
        del self._bits[max(0, first - prime) + 1 :], self._counted[max(0, first - prime) + 1 :]
        if read_to <= first:
            return first, array("H")
        rows = self.reader.rows(first, read_to)
        known = read_as_themselves(rows, self.model.vocabulary.codes)
        bits = np.where(known, in_bits(rows["probability"]), 0)
        self._bits.extend((self._bits[-1] + np.cumsum(bits)).tolist())
        self._counted.extend((self._counted[-1] + np.cumsum(known)).tolist())
        origins = ORIGINS[text.sources(first, read_to)]
        return first, pack(origins, rows["probability"], np.where(known, rows["rank"], 0), rows["entropy"])

    def _origins(self, added: Text, start: int) -> array[int]:
        """The marks of characters without figures, which begin at ``start``."""
        origins = ORIGINS[added.sources()]
        origins[: max(0, self.document.prime_length - start)] = Origin.PRIME
        return array("H", (origins << ORIGIN_SHIFT).tobytes())

    def _distribution(self) -> NextCharDistribution:
        """What could come at the cursor; without characters where the model has not read so far."""
        found = self.reader.distribution(self.document.cursor, ALTERNATIVES if self.running else CHOICES)
        return found if found.total else replace(NO_DISTRIBUTION, total=len(self.model.vocabulary))

    def _mean_bits(self, position: int) -> float | None:
        """The mean over all characters from the prime to ``position`` that the model reads as themselves; ``None``
        where they are not read."""
        counted = self._counted[position] if 0 < position < len(self._bits) else 0
        return self._bits[position] / counted if counted else None

    def _read_as(self, text: Text, cursor: int) -> str:
        """As what the model reads the character at the cursor or, at the end of the text, the one before; empty if it
        knows it."""
        at = min(cursor, len(text) - 1)
        char, vocabulary = text.read(max(0, at), at + 1), self.model.vocabulary
        is_known = not char or char in vocabulary
        return "" if is_known else f"{visible(char, keep='')}, read as {_as_read(char, vocabulary)}"


def read_as_words(text: str, vocabulary: Vocabulary) -> str:
    """A sentence about characters of a text that the model reads as others; empty if there are none."""
    unknown = [char for char in dict.fromkeys(text) if char not in vocabulary]
    pairs = [f"{visible(char, keep='')} as {_as_read(char, vocabulary)}" for char in unknown[:MOST_NAMED]]
    more = " …" * (len(unknown) > MOST_NAMED)
    return f"The model reads {', '.join(pairs)}{more}." if pairs else ""


def _as_read(char: str, vocabulary: Vocabulary) -> str:
    read = vocabulary.read_as(char)
    return "a space" if read == " " else visible(read, keep="")


def whole_words(text: str) -> str:
    """``text`` without the word that it ends in the middle of, unless it is all one word."""
    end = max(text.rfind(" "), text.rfind("\n"))
    return text[:end] if end > 0 else text
