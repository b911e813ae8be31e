"""Play sessions on a background thread and publish immutable states of them.

One thread plays all sessions (Duel has two), so keys are answered while text streams at full speed. Only this thread
touches a session. Commands come in through a queue; states go out through :meth:`Player.collect`, at most 20 per
second besides the answers to commands, and never faster than the screen collects them. Characters are generated when
they can be shown: generating them one by one, each after a wait, would find the weights out of the processor's cache.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from charlstm.errors import CharLSTMError
from charlstm.generation import reading_cache, session_file
from charlstm.generation.clamp import existing_clamps
from charlstm.generation.document import Document, own_text
from charlstm.generation.export import target
from charlstm.generation.prime import prime_suggestion, read_prime
from charlstm.generation.reading import Reading
from charlstm.generation.recipe import Recipe
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.session import Session
from charlstm.generation.session_file import begin_reading, session_of
from charlstm.generation.threads import blas_threads
from charlstm.model.file import Model
from charlstm.runs.folder import run_of_session
from charlstm_tui import formatting
from charlstm_tui.background import Cancelled, JobQueue
from charlstm_tui.error_log import LOG, sentence
from charlstm_tui.player import saved_sessions
from charlstm_tui.player.operations import CONTINUATIONS, MOVE_TO, REDO, UNDO, to_end
from charlstm_tui.player.playback import PAUSE_AFTER, LoadedModel, Operation, Playback, Waiting, nothing, read_as_words
from charlstm_tui.player.reader import Reader
from charlstm_tui.player.saved_sessions import copy_as
from charlstm_tui.player.session_saver import SavingStatus, SessionSaver
from charlstm_tui.player.state import (
    FULL,
    Continuations,
    PlaybackState,
    PlayRequest,
    checkpoints,
    other_model_words,
)

SLICE = 0.008
"""Seconds of generating before the thread looks for commands and releases the interpreter."""
MIN_WAIT = 0.002
LONGEST_DRAW = 0.03
"""Seconds without generating after a command or a state, unless the screen has drawn it earlier. Both at once would
compete for the interpreter, and drawing would take twice as long."""
STATE_INTERVAL = 1 / 20
"""Seconds between two states. Drawing one takes the screen some 10 ms, for which keys wait."""
HIDDEN_STATE_INTERVAL = 1.0
"""The same while another mode is shown."""
MAX_UNSEEN = 20_000
"""Characters that are generated before the screen collects a state."""
WAIT_FOR_FILE = 5.0
"""Seconds for which a session is waited for that is being written when it is to be loaded."""
SAVE_AFTER = 0.1
"""Seconds from a change until it is given to who writes it. The screen draws it first: both at once would compete for
the interpreter."""
READING_STATES = 0.25
"""Seconds between two states while a model reads what follows an edit. For each one it reads again up to 64 characters
before the cursor and the place where it reads."""
PROGRESS_AFTER = 0.3
"""Seconds of reading a prime before its progress is shown."""
ERROR_PAUSE = 0.5
"""Seconds without doing anything after an error outside all sessions, so that one that repeats does not take all of a
processor."""


class PlayerCommand(NamedTuple):
    """What the thread is to do. Of consecutive commands with the same ``replaces`` only the last is carried out."""

    run: Callable[[], None]
    replaces: tuple[str, int] | None = None


class PlayerCommandQueue:
    """Commands in their order. One that has the same ``replaces`` as the last one takes its place; no other is lost."""

    def __init__(self) -> None:
        self._commands: deque[PlayerCommand] = deque()
        self._woken = False
        self._changed = threading.Condition()

    def put(self, command: PlayerCommand) -> None:
        with self._changed:
            last = self._commands[-1] if self._commands else None
            if last is not None and command.replaces is not None and last.replaces == command.replaces:
                self._commands.pop()
            self._commands.append(command)
            self._changed.notify()

    def wake(self) -> None:
        """Let :meth:`get` return, without a command if there is none."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def get(self, timeout: float | None) -> PlayerCommand | None:
        """The next command, or ``None`` if none comes in ``timeout`` seconds or before :meth:`wake`."""
        with self._changed:
            self._changed.wait_for(lambda: self._commands or self._woken, timeout)
            self._woken = False
            return self._commands.popleft() if self._commands else None

    def __len__(self) -> int:
        return len(self._commands)


class Player:
    """The thread and its commands. ``deliver`` is called from the thread when :meth:`collect` has states, and not again
    before they are collected. Who draws them calls :meth:`drawn` then."""

    def __init__(self, deliver: Callable[[], object]) -> None:
        self._deliver = deliver
        self._commands = PlayerCommandQueue()
        self._playbacks: dict[int, Playback] = {}
        self._latest_job: dict[int, int] = {}  # by playback: a load or a long text with another number is cancelled
        self._lock = threading.Lock()
        self._states: list[PlaybackState] = []
        self._delivered = False  # and not collected yet
        self._answering = False  # a command was carried out, and no state published since
        self._published_at = 0.0
        self._visible = True
        self._quiet_until = 0.0
        self._closing, self._ended = threading.Event(), threading.Event()
        self._saver = SessionSaver(lambda: self._put(self._look_at_saving))
        self._keys = itertools.count(1)
        self._kept: dict[int, tuple[object, ...]] = {}  # by key of a text: what the saver was given last
        self._noted: dict[int, str] = {}  # by key: what was said about where a text is saved
        self._writer = JobQueue()
        self._unsaved_since: float | None = None
        self.asked: dict[int, int] = {}
        """By playback: how often something was asked for with :meth:`do`."""
        self._thread = threading.Thread(target=self._run, name="charlstm-player", daemon=True)

    # ---- for the screen; only close() and give_title() wait

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self, timeout: float = 1.0, *, delete_unkept: bool = False) -> bool:
        """Do what was asked for, as far as no model has to read for it, save everything and end the thread; with
        ``delete_unkept`` delete the texts that only grew by themselves. Waits ``timeout`` seconds at most; returns
        whether all is saved, or cannot be: :meth:`rescue` then puts it elsewhere. Otherwise it is to be called again.
        """
        end = time.monotonic() + timeout
        self._closing.set()
        self._put(self._ended.set)
        if self._thread.is_alive():
            self._thread.join(timeout)
        if self._thread.is_alive() or not self._saver.write_all(max(0.0, end - time.monotonic())):
            return False
        self._saver.close(max(0.0, end - time.monotonic()))
        if delete_unkept:
            self._saver.delete_unkept()
        return True

    def rescue(self) -> list[str]:
        """Put what could not be saved elsewhere, after :meth:`close`. Returns a sentence about each of these sessions,
        and about each file that was asked for and could not be written, where the screen has not said it."""
        sentences = [
            f"{status.failure} {saved_sessions.rescue(state)}".lstrip() for status, state in self._saver.unsaved()
        ]
        failures = [failure for playback in self._playbacks.values() for failure in playback.job_failures]
        if failures and not sentences and (kept := saved_sessions.kept(self.file)):
            sentences.append(kept)
        return [*failures, *sentences]

    @property
    def file(self) -> Path | None:
        """The file of the text that is played."""
        playback = self._playbacks.get(0)
        return None if playback is None else self._file(playback)

    def model(self, number: int = 0) -> Model | None:
        """The model of a playback, which is never modified."""
        playback = self._playbacks.get(number)
        return None if playback is None or playback.loaded is None else playback.loaded.model

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def collect(self) -> list[PlaybackState]:
        """The states since the last call, in their order."""
        with self._lock:
            self._delivered = False
            states, self._states = self._states, []
        return states

    def drawn(self) -> None:
        """Say that what was collected is on the screen: the thread goes on generating, unless there is more to draw."""
        if not (self._delivered or self._answering or self._commands):
            self._quiet_until = 0.0
            self._commands.wake()

    def set_visible(self, visible: bool) -> None:
        """Say whether Generate is on the screen. While it is not, states are rare and no character is generated, which
        leaves the processor to training; what has become due meanwhile is generated when it is visible again."""
        self._put(lambda: self._set_visible(visible))

    def load(self, request: PlayRequest, number: int = 0) -> None:
        """Play this. A loaded model is not read again. A load that is under way is cancelled."""
        job, asked = self.cancel(number), self.asked.get(number, 0)
        self._put(lambda: self._load(number, request, job, asked))

    def load_checkpoint(self, by: int) -> None:
        """Go on with the run's checkpoint that is so many later than the model that is played, or earlier where ``by``
        is negative (:meth:`load_model_of_run`)."""
        job = self._latest_job.get(0, 0)
        load = Operation(lambda playback: self._load_checkpoint(playback, by, job), edits=False)
        self.do(load)

    def load_model_of_run(self, step: int | None) -> None:
        """Go on with the model of the run after ``step`` steps, or with its best one. A text in which the user had a
        part stays, and the other model reads it; other text begins again from its prime, with the same seed."""
        job = self._latest_job.get(0, 0)
        load = Operation(lambda playback: self._load_model_of_run(playback, step, job), edits=False)
        self.do(load)

    def go_on_with(self, model_name: str, step: int | None, runs_dir: Path | None) -> None:
        """Go on with the same text in another model: its branches, its history and who wrote it stay."""

        def use(playback: Playback) -> None:
            request = replace(playback.request, model_name=model_name, step=step, runs_dir=runs_dir, settings=None)
            self._use_model(playback, replace(request, prime=playback.prime, speed=None))
            if playback.facts is not None:
                playback.note = f"The text goes on with {playback.facts.name}."

        self.do(Operation(use, edits=False))

    def cancel(self, number: int = 0) -> int:
        """Stop reading a long prime or text as soon as possible."""
        self._latest_job[number] = self._latest_job.get(number, 0) + 1
        return self._latest_job[number]

    def remove(self, number: int) -> None:
        """End a playback."""
        self.cancel(number)
        self._put(lambda: self._remove(number))

    def do(self, operation: Operation, *arguments: Any, number: int = 0) -> None:
        """Do something with the text, when what was asked for before is done and the model has read enough of it."""
        asked = self.asked[number] = self.asked.get(number, 0) + 1
        replaces = ("move", number) if operation is MOVE_TO else None
        self._commands.put(PlayerCommand(lambda: self._take(number, Waiting(operation, arguments), asked), replaces))

    def change_settings(self, change: Callable[[SamplerSettings], SamplerSettings], number: int = 0) -> None:
        """Choose characters with changed settings, from the next one on."""
        self._put(lambda: self._change_settings(number, change))

    def change_speed(self, change: Callable[[float], float], number: int = 0) -> None:
        """Stream at another speed."""
        self._put(lambda: self._change_speed(number, change))

    def find_continuations(self, count: int, length: int, lines: int, first: int) -> None:
        """Generate ``count`` continuations of the text at the cursor, from number ``first`` on, each with as many
        characters and lines at most. They are in the states while they grow; :meth:`cancel` ends it."""
        job = self._latest_job.get(0, 0)
        self.do(CONTINUATIONS, count, length, lines, first, lambda found: self._show(job, found))

    def rename_run(self, old: Path, new: Path) -> None:
        """The run in the folder ``old`` was renamed to ``new``: what is played of it goes on."""

        def rename() -> None:
            self._saver.rename_run(old, new)
            for playback in self._playbacks.values():
                playback.rename_run(old, new)

        self._put(rename)

    def give_title(self, title: str, path: Path | None = None) -> bool:
        """Give the session a title, by which it is listed; or the one at ``path``, if that was played before. Returns
        whether it was. Only for such a one this waits for the disk."""
        if path is None:
            self.do(Operation(lambda playback: self._give_title(playback, title), edits=False, stops=False))
            return True
        if self._saver.give_title(path, title) is None:
            return False
        self._saver.flush(path, WAIT_FOR_FILE)
        return True

    def save_as(self, path: Path, colour: str | None, *, prose: bool = False) -> None:
        """Save the session, or export its text, as the ending of ``path`` says, with ``prose`` as paragraphs. It is
        copied on the thread and written by another one; the note or the failure says what came of it."""
        reads = nothing if path.suffix.lower() in ("", ".json", ".txt") else to_end
        save = Operation(
            lambda playback: self._save_as(playback, path, colour, prose), reads, edits=False, stops=False,
            unread=lambda playback: self._save_as(playback, path, colour, prose, reads_copy=True),
        )  # fmt: skip
        self.do(save)

    # ---- the thread

    def _put(self, run: Callable[[], None]) -> None:
        self._commands.put(PlayerCommand(run))

    def _take(self, number: int, waiting: Waiting, asked: int) -> None:
        """Carry out what was asked for as number ``asked``, or let it wait until the model has read enough."""
        playback = self._playbacks.get(number)
        if playback is None:
            return
        playback.done = asked
        playback.changed = True
        if not playback.is_open:
            return
        playback.waiting.append(waiting)
        self._carry_out_waiting(playback)
        while playback.writing and waiting.operation.edits and len(playback.waiting) > 1:
            if not self._do_unread(playback):
                return
            self._carry_out_waiting(playback)

    def _do_unread(self, playback: Playback) -> bool:
        """Do the first operation that waits without the model, for an edit in Write does not wait for it. Returns
        whether that can be done."""
        operation, arguments = playback.waiting[0].operation, playback.waiting[0].arguments
        if operation.unread is None:
            return False
        playback.waiting[0] = Waiting(replace(operation, run=operation.unread, reads=nothing), arguments)
        return True

    def _finish_waiting(self, playback: Playback) -> None:
        """Do what waits, as this text is left: what the user wrote is in it then. What cannot be done before the model
        has read is left, and so is an undo behind it, which may be meant for that."""
        is_left = False
        try:
            self._carry_out_waiting(playback)
            while playback.waiting and playback.is_open:
                if not self._do_unread(playback):
                    playback.waiting.popleft()
                    is_left = True
                while is_left and playback.waiting and playback.waiting[0].operation in (UNDO, REDO):
                    playback.waiting.popleft()
                self._carry_out_waiting(playback)
        except Exception as error:
            self._fail(playback, error)

    def _carry_out_waiting(self, playback: Playback) -> None:
        """Carry out what waits, until something needs that the model has read more of the text."""
        while playback.waiting and playback.is_open and not playback.unread:
            operation, arguments = (waiting := playback.waiting.popleft()).operation, waiting.arguments
            playback.note = playback.failure = ""
            playback.changed = True
            if operation.stops:
                playback.stop()
                playback.continuations = None
            document = playback.document
            had_prime, version = document.prime_length, document.version
            try:
                operation.run(playback, *arguments)
                playback.edited |= operation.edits and document.version != version
                if had_prime and playback.is_open and not playback.document.prime_length and not playback.note:
                    playback.note = "The prime is part of the text now."
            except CharLSTMError as error:
                playback.failure = str(error)
            except Exception as error:
                self._fail(playback, error)

    @blas_threads(1)  # entered once, as entering it for each character would take time
    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._carry_out_commands(self._seconds_to_wait(time.monotonic()))
                if self._ended.is_set():
                    break
                self._note_unsaved(time.monotonic())
                self._read(time.monotonic() + READING_STATES)
                self._generate(time.monotonic() + SLICE)
                self._publish(time.monotonic())
                self._save(time.monotonic())
                self._suggest()
            except Exception:
                LOG.exception("Unexpected error in the player's thread")
                self._ended.wait(ERROR_PAUSE)
        try:
            for playback in self._playbacks.values():
                self._finish_waiting(playback)
            self._save()
            self._writer.wait(threading.TIMEOUT_MAX)  # reading a long text may take minutes; Ctrl+C ends the process
            self._carry_out_commands(0)  # what came of that
            for playback in self._playbacks.values():
                self._end_saving(playback)
        except Exception:
            LOG.exception("Unexpected error at the end of the player's thread")

    def _seconds_to_wait(self, now: float) -> float | None:
        """How long to wait for a command; ``None``: until one comes."""
        with self._lock:
            delivered = self._delivered
        interval = self._state_interval()
        if self._answering:
            next_state = MIN_WAIT if delivered else 0.0
        else:
            next_state = interval if delivered else max(MIN_WAIT, self._published_at + interval - now)
        playbacks = list(self._playbacks.values())
        waits = [next_state] if any(playback.changed for playback in playbacks) else []
        if any(playback.wants_suggestion for playback in playbacks):
            waits.append(next_state if waits else 0.0)
        quiet = max(MIN_WAIT, self._quiet_until - now)
        for playback in playbacks:
            if playback.running and self._visible:
                due = playback.due(now, interval)
                # A character that is late since before the last state does not wait for the next state.
                late = playback.speed == FULL or due <= self._published_at
                waits.append(max(quiet, due - now, 0.0 if late else next_state))
            if playback.unread:
                waits.append(quiet)
            if self._is_unsaved(playback):
                waits.append(max(MIN_WAIT, (self._unsaved_since or now) + SAVE_AFTER - now))
        return min(waits, default=None)

    def _state_interval(self) -> float:
        return STATE_INTERVAL if self._visible else HIDDEN_STATE_INTERVAL

    def _carry_out_commands(self, timeout: float | None) -> None:
        command = self._commands.get(timeout)
        while command is not None:
            self._answering = True
            try:
                command.run()
            finally:
                self._quiet_until = time.monotonic() + LONGEST_DRAW
            command = self._commands.get(0)

    def _read(self, until: float) -> None:
        """Let the models read what follows edits, until it is time to show how far they are or a command comes."""
        for playback in self._playbacks.values():
            try:
                playback.read(lambda: not self._commands and time.monotonic() < until)
            except Exception as error:
                self._fail(playback, error)
            self._carry_out_waiting(playback)

    def _suggest(self) -> None:
        """Find suggestions, until a command comes. They follow the state of the text that they continue."""
        for playback in self._playbacks.values():
            if playback.changed or self._commands or not playback.wants_suggestion:
                continue
            try:
                playback.find_suggestion(lambda: not self._commands)
            except Exception as error:
                self._fail(playback, error)
            self._answering |= playback.changed

    def _is_generating(self, playback: Playback) -> bool:
        return (
            playback.is_open
            and playback.running
            and self._visible
            and time.monotonic() >= self._quiet_until
            and not playback.unread
            and playback.unseen < MAX_UNSEEN
        )

    def _generate(self, until: float) -> None:
        """Generate characters that are due, of all playbacks in turn, for a slice of time or until a command comes."""
        playing = [playback for playback in self._playbacks.values() if self._is_generating(playback)]
        while playing and (now := time.monotonic()) < until and not self._commands:
            due = [playback for playback in playing if playback.due(now, self._state_interval()) <= now]
            if not due:
                return
            for playback in due:
                self._generate_due(playback, now)
            playing = [playback for playback in playing if self._is_generating(playback)]

    def _generate_due(self, playback: Playback, now: float) -> None:
        playback.changed = True
        try:
            playback.reader.generate()
        except Exception as error:
            self._fail(playback, error)
            return
        playback.count(now)
        playback.remaining -= 1
        if playback.remaining > 0:
            return
        if playback.request.to_sentence is None:
            playback.stop()
            playback.stop_reason = f"paused after {PAUSE_AFTER:,}"
        elif playback.at_sentence_end():
            playback.stop()
            playback.ended = True

    def _publish(self, now: float, *, in_command: bool = False) -> None:
        """Deliver states, if there is something new, it is time for it and the last ones were collected.

        Not while a command waits: the screen would draw a state without the command's effect first, and then another.
        ``in_command``: how far a command is that takes long, which is seen although others wait for its end.
        """
        if self._commands and not in_command:
            return
        changed = [playback for playback in self._playbacks.values() if playback.changed]
        if not changed:
            self._answering = False
            return
        if now - self._published_at < self._state_interval() and not (self._answering and self._visible):
            return
        with self._lock:
            if self._delivered:
                return
        self._publish_now(changed)

    def _publish_now(self, playbacks: Iterable[Playback]) -> None:
        states = [self._state(playback) for playback in playbacks]
        self._published_at, self._answering = time.monotonic(), False
        with self._lock:
            uncollected, self._delivered = self._delivered, True
            self._states = [*self._states, *states]
        if not uncollected:
            self._deliver()
        self._quiet_until = time.monotonic() + LONGEST_DRAW

    # ---- saving

    def _is_unsaved(self, playback: Playback) -> bool:
        if playback.number != 0 or not playback.is_open:  # that of number 0 is the only one that is saved
            return False
        if playback.document.has_new:
            return True
        kept = self._kept.get(playback.key)
        return playback.is_touched if kept is None else kept != playback.work

    def _note_unsaved(self, now: float) -> None:
        """Note since when something is to be saved."""
        if not any(map(self._is_unsaved, self._playbacks.values())):
            self._unsaved_since = None
        elif self._unsaved_since is None:
            self._unsaved_since = now

    def _save(self, now: float = math.inf) -> None:
        """Give what was done to who writes it."""
        self._note_unsaved(time.monotonic())
        if self._unsaved_since is None or now - self._unsaved_since < SAVE_AFTER:
            return
        self._unsaved_since = None
        for playback in self._playbacks.values():
            try:
                if self._is_unsaved(playback):
                    self._save_changes(playback)
            except Exception as error:
                self._fail(playback, error)

    def _save_changes(self, playback: Playback) -> None:
        facts, key = playback.facts, playback.key
        assert facts is not None
        if not self._saver.knows(key):
            self._saver.begin(key, facts.sessions, run=facts.run)
        self._saver.keep(key, playback.session_state())
        playback.changed |= key not in self._kept  # its file may be known
        self._kept[key] = playback.work

    def _give_title(self, playback: Playback, title: str) -> None:
        playback.title = title
        playback.note = f"Title: {title}" if title else "The session has no title now."
        self._save_changes(playback)

    def _leave(self, playback: Playback) -> Path | None:
        """Give a text that is not played any more to who saves it, all of it. Returns its file."""
        self._save()
        self._end_saving(playback)
        if playback.is_open and self._file(playback) is None:
            self._saver.wait_for(playback.key, WAIT_FOR_FILE)  # some 20 ms: then its file has a name
        return self._file(playback)

    def _end_saving(self, playback: Playback) -> None:
        """Let other programs go on in the file of a text, and keep what the model has read of it."""
        if not playback.is_open or playback.key not in self._kept or not self._saver.knows(playback.key):
            return
        self._saver.leave(playback.key)
        if (file := self._file(playback)) is not None:
            try:
                reading_cache.keep(playback.reader.reading, file)
            except (OSError, CharLSTMError) as error:
                LOG.warning("What the model has read is not kept: %s", error)

    def _look_at_saving(self) -> None:
        """Show where texts are saved, or why they are not, if that is another now."""
        for playback in self._playbacks.values():
            playback.changed |= bool(self._kept)  # why one played before is not saved, too

    def _status(self, playback: Playback) -> SavingStatus | None:
        return self._saver.status(playback.key) if playback.key in self._kept else None

    def _file(self, playback: Playback) -> Path | None:
        status = self._status(playback)
        return None if status is None else status.path

    def _state(self, playback: Playback) -> PlaybackState:
        """The playback's state; if it cannot be made, one that says so."""
        try:
            status = self._status(playback)
            if status is not None:
                playback.find_run(status.path)
            if status is not None and status.note != self._noted.get(playback.key, ""):
                playback.note = self._noted[playback.key] = status.note
            return playback.state(None if status is None else status.path, self._why_not_saved(playback))
        except Exception as error:
            self._fail(playback, error)
            return playback.state()

    def _why_not_saved(self, playback: Playback) -> str:
        """Why the text is not saved, or one that was played before."""
        if playback.number:
            return ""
        statuses = (self._saver.status(key) for key in (playback.key, *self._kept))
        failure = next((status.failure for status in statuses if status.failure), "")
        return failure and f"{failure} It is tried again; save it elsewhere to keep it."

    def _save_as(
        self, playback: Playback, path: Path, colour: str | None, prose: bool, *, reads_copy: bool = False
    ) -> None:
        """Save the session or export its text as it is now. With ``reads_copy`` the model reads the text for that
        beside this thread, as here it has not read all of it."""

        def tell(sentences: list[str], sentence: str) -> None:
            def show() -> None:
                sentences.append(sentence)
                playback.changed = True

            self._put(show)

        key, playback.edited = playback.key, True
        state, model = playback.session_state(), playback.model

        def read_and_save() -> str:
            return copy_as(path, colour, state, lambda: session_of(state, begin_reading(state, model)), prose=prose)()

        def session() -> Session:
            return session_of(state, playback.reader.reading)

        try:
            save = read_and_save if reads_copy else copy_as(path, colour, state, session, prose=prose)
        except CharLSTMError as error:
            playback.job_failures.append(str(error))
            return
        is_session = path.suffix.lower() in ("", ".json")
        if is_session:
            self._save_changes(playback)

        def save_after_own_file() -> None:  # which is the older one then
            self._saver.wait_for(key, WAIT_FOR_FILE)
            note = save()
            if is_session:
                self._put(lambda: self._set_continued(playback, key, target(path)))
            tell(playback.job_notes, note)

        self._writer.add(
            save_after_own_file, "saving the session", lambda failure: tell(playback.job_failures, failure)
        )

    def _set_continued(self, playback: Playback, key: int, path: Path) -> None:
        """The text continues the session that was saved at ``path``, unless another text is played by now."""
        if playback.is_open and playback.key == key:
            playback.continues, playback.changed = str(path.absolute()), True
            self._save_changes(playback)

    # ---- commands, on the thread

    def _set_visible(self, visible: bool) -> None:
        """Only here, on the thread: were it visible before it has caught up, what is late would count as skipped."""
        if visible and not self._visible:
            for playback in self._playbacks.values():
                playback.catch_up(time.monotonic())
        self._visible = visible

    def _remove(self, number: int) -> None:
        self._playbacks.pop(number, None)

    def _load(self, number: int, request: PlayRequest, job: int, asked: int) -> None:
        playback = self._playbacks.setdefault(number, Playback(number))
        playback.done = max(playback.done, asked)
        self._finish_waiting(playback)
        self._load_now(playback, request, job)

    def _load_now(self, playback: Playback, request: PlayRequest, job: int) -> None:
        try:
            self._load_session(playback, request, job)
        except Exception as error:
            self._fail(playback, error)
        playback.busy = ""
        playback.changed = self._answering = True

    def _load_checkpoint(self, playback: Playback, by: int, job: int) -> None:
        facts = playback.facts
        if facts is None or facts.run is None or not by:
            return
        found, here = checkpoints(facts.run), facts.step or 0
        if not found:
            playback.note = "The run has no checkpoints any more."
            return
        others = [one for one in found if (one[0] < here if by < 0 else one[0] > here)]
        if others:
            place = max(0, len(others) + by) if by < 0 else min(by, len(others)) - 1
            self._load_model_of_run(playback, others[place][1], job)
        else:
            playback.note = f"This is the {'earliest checkpoint' if by < 0 else 'latest checkpoint so far'}."

    def _load_model_of_run(self, playback: Playback, step: int | None, job: int) -> None:
        facts = playback.facts
        if facts is None or facts.run is None:
            return
        request = replace(
            playback.request, model_name=str(facts.run), step=step, prime=playback.prime, settings=None, speed=None,
            stream=True, session=None,
        )  # fmt: skip
        if not playback.document.is_edited:
            later = tuple(playback.waiting)  # which was meant for the text that now begins
            self._load_now(playback, replace(request, clamps=playback.reader.clamps), job)
            playback.request = replace(playback.request, clamps=request.clamps)  # for another prime later
            playback.waiting.extend(later if playback.is_open else ())
            return
        self._use_model(playback, request)

    def _use_model(self, playback: Playback, request: PlayRequest) -> None:
        """Let another model read the text and go on with it."""
        playback.stop()
        playback.change_model(replace(request, stream=False), [each.loaded for each in self._playbacks.values()])
        if playback.key in self._kept:
            self._save_changes(playback)  # the session goes on with this model when it is opened again
        self._answering = True

    def _load_session(self, playback: Playback, request: PlayRequest, job: int) -> None:
        playback.stop()
        before = playback.replaced(self._leave(playback))
        begun_here = playback.opened is None
        is_saved = True
        if request.session is not None:  # it may be the one that was played until now
            is_saved = self._saver.flush(request.session, WAIT_FOR_FILE)
        playback.begin_opening(request)
        self._answering = False  # the answer is the new text; most loads are over before a state would be due
        try:
            if self._stopped(playback, job):
                raise Cancelled("Stopped reading the prime.")
            others = [other.loaded for other in self._playbacks.values() if other.loaded is not None]
            loaded = playback.open(
                request,
                others,
                before_reading=lambda: self._publish_now([playback]),
                closed=None if before is None else before.saved,
            )
            if request.session is not None:
                self._open_saved(playback, request.session, loaded)
                if not is_saved:
                    older = "Its last changes are not saved yet: this is how it was before them."
                    playback.note = f"{playback.note} {older}".lstrip()
            else:
                key, facts = next(self._keys), playback.facts
                if before is not None and facts is not None and begun_here and before.only_grew(facts.sessions):
                    key = before.key  # the new text goes into its file
                    self._kept.pop(key)
                self._open_new(playback, request, loaded, job, key)
        except CharLSTMError as error:
            if before is not None and before.loaded is playback.loaded:
                # No other model was loaded: what was played before is played again.
                playback.put_back(before)
                playback.failure = str(error)
            else:
                playback.fail(str(error))
                if not isinstance(error, Cancelled):
                    playback.loaded = playback.facts = None
            return
        if request.stream and playback.speed > 0:
            playback.stream(request.to_sentence or PAUSE_AFTER)

    def _open_saved(self, playback: Playback, path: Path, loaded: LoadedModel) -> None:
        found = session_file.read(path)
        state, document = found.state, found.state.document
        clamps = existing_clamps(state.clamps, loaded.model.config)
        recipe = Recipe(document.seed, state.sample, state.settings, clamps)
        reading = reading_cache.recall(path, document, loaded.model, loaded.stepper, recipe)
        reading = reading or begin_reading(state, loaded.model, loaded.stepper)
        playback.opened = saved_sessions.session_at(path)
        if (opened := playback.opened) is not None:
            playback.edited, playback.continues, playback.title = opened.edited, opened.continued, opened.title
        other = "" if playback.facts is None else other_model_words(playback.opened, playback.facts)
        playback.settings, playback.note = state.settings, " ".join(filter(None, (found.note, other)))
        playback.play(document, Reader(document, reading), next(self._keys))
        if playback.number == 0 and playback.facts is not None:
            run = playback.facts.run
            beside = run_of_session(path.absolute())
            playback.is_elsewhere = beside is not None and beside.path != run
            self._saver.go_on(playback.key, playback.facts.sessions, found, run=run)
            self._kept[playback.key] = playback.work

    def _open_new(self, playback: Playback, request: PlayRequest, loaded: LoadedModel, job: int, key: int) -> None:
        """Read the prime; a long one shows how far it is, and can be stopped."""
        begin = time.monotonic()

        def show_progress(done: int, total: int) -> None:
            if self._stopped(playback, job):
                raise Cancelled("Stopped reading the prime.")
            now = time.monotonic()
            if done and now - begin > PROGRESS_AFTER:
                left = formatting.clock((now - begin) * (total - done) / done)
                playback.busy = f"Reading the prime, {total:,} characters … {100 * done / total:.0f} %, left {left}"
                playback.changed = True
                self._publish(now, in_command=True)

        model = loaded.model
        prime = own_text(prime_suggestion(model) if request.prime is None else request.prime)
        recipe = Recipe(request.seed, settings=playback.settings)
        reading = Reading(model, read_prime(model, prime), recipe, stepper=loaded.stepper, progress=show_progress)
        reading.use(replace(recipe, clamps=request.clamps))
        document = Document(prime, request.seed)
        playback.note = read_as_words(prime, model.vocabulary)
        playback.play(document, Reader(document, reading), key)

    def _change_settings(self, number: int, change: Callable[[SamplerSettings], SamplerSettings]) -> None:
        playback = self._playbacks.get(number)
        if playback is None:
            return
        playback.settings = change(playback.settings)
        playback.changed = True
        if playback.is_open:
            playback.reader.settings = playback.settings

    def _change_speed(self, number: int, change: Callable[[float], float]) -> None:
        playback = self._playbacks.get(number)
        if playback is None:
            return
        playback.speed = change(playback.speed)
        playback.changed = True
        playback.start_pacing()
        if playback.speed == 0:
            playback.stop()

    def _stopped(self, playback: Playback, job: int) -> bool:
        """Whether a load or a long text was cancelled. At the end of the app it is, unless something was asked for
        afterwards, such as words for the text that is being opened."""
        is_last = len(self._commands) <= 1  # besides the command that ends the thread
        return (self._closing.is_set() and is_last) or self._latest_job.get(playback.number, 0) != job

    def _show(self, job: int, found: Continuations) -> None:
        """Show continuations in the middle of a command, if it is time. Raises :class:`Cancelled` to end it."""
        playback = self._playbacks[0]
        if self._stopped(playback, job):
            raise Cancelled("")
        playback.continuations, playback.changed = found, True
        self._publish(time.monotonic(), in_command=True)

    def _fail(self, playback: Playback, error: Exception) -> None:
        """End a playback for an error that charlstm does not expect, and log it. What was written is saved first."""
        LOG.exception("Unexpected error in playback %d", playback.number)
        try:
            if self._is_unsaved(playback):
                self._save_changes(playback)
            if playback.is_open and self._saver.knows(playback.key):
                self._saver.leave(playback.key)
        except Exception:
            LOG.exception("The text of playback %d cannot be saved", playback.number)
        playback.fail(sentence(error, "generating"))
