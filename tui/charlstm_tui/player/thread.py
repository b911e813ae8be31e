"""Play sessions on a background thread and publish immutable states of them.

One thread plays all sessions (Duel has two), so keys are answered while text streams at full speed. Only this thread
touches a session. Commands come in through a queue; states go out through :meth:`Player.collect`, at most 20 per
second besides the answers to commands, and never faster than the screen collects them. Characters are generated when
they can be shown: generating them one by one, each after a wait, would find the weights out of the processor's cache.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from charlstm.errors import CharLSTMError
from charlstm.generation.clamp import Clamp
from charlstm.generation.editor import GENERATE, Editor
from charlstm.generation.prime import prime_suggestion
from charlstm.generation.sampling import SamplerSettings
from charlstm.generation.saving import copy, load_session, target
from charlstm.generation.session import Continuation, Session
from charlstm.generation.threads import blas_threads
from charlstm.model.file import Model
from charlstm_tui import formatting
from charlstm_tui.error_log import LOG, sentence
from charlstm_tui.player import editing, saved_sessions
from charlstm_tui.player.editing import Cancelled
from charlstm_tui.player.playback import LoadedModel, Playback, Waiting
from charlstm_tui.player.saved_sessions import copy_as
from charlstm_tui.player.session_writer import SaveResult, SessionWriter
from charlstm_tui.player.state import FULL, Continuations, PlaybackState, PlayRequest, checkpoints
from charlstm_tui.player.unread_text import UnreadText

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
PAUSE_AFTER = 1000
WAIT_FOR_FILE = 5.0
"""Seconds for which a session is waited for that is being written when it is to be loaded."""
SAVE_INTERVAL = 2.0
"""Seconds between two saves of a session to its own file; one that takes long to copy is saved more rarely."""
READING_STATES = 0.25
"""Seconds between two states while a model reads again what follows an edit. For each one it reads again up to 64
characters before the cursor and the place where it reads."""
PROGRESS_AFTER = 0.3
"""Seconds of reading a prime before its progress is shown."""
ERROR_PAUSE = 0.5
"""Seconds without doing anything after an error outside all sessions, so that one that repeats does not take all of a
processor."""


def generate_one(playback: Playback, editor: Editor) -> None:
    """Stop streaming and generate one character."""
    editing.change(playback, editor, editor.step, edited=False)


def needs_none(playback: Playback, editor: Editor) -> float:
    """For a change that does not need that the model has read the text again."""
    return 0


def needs_all(playback: Playback, editor: Editor) -> float:
    """For a change that needs that the model has read all of the text."""
    return math.inf


class PlayerCommand(NamedTuple):
    """What the thread is to do. Of consecutive commands with the same ``replaces`` only the last is carried out."""

    run: Callable[[], None]
    replaces: tuple[str, int] | None = None


class PlayerCommandQueue:
    """Commands in their order, as many as come: none is lost. Moves of the cursor do not pile up."""

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
        self._ended = threading.Event()
        self._writer = SessionWriter()
        self._thread = threading.Thread(target=self._run, name="charlstm-player", daemon=True)

    # ---- for the screen; only close() waits

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self, timeout: float | None = 1.0) -> bool:
        """Save what is unsaved and end the thread. Waits for both, ``timeout`` seconds at most (``None``: until they
        are done), and returns whether they are. What could not be saved is kept by :meth:`rescue`."""
        end = None if timeout is None else time.monotonic() + timeout
        self._ended.set()
        self._commands.wake()
        if self._thread.is_alive():
            self._thread.join(timeout)
        if self._thread.is_alive():
            return False
        return self._writer.close(None if end is None else max(0.0, end - time.monotonic()))

    def rescue(self) -> list[str]:
        """Put what could not be saved elsewhere, after :meth:`close`. Returns a sentence about each of these
        sessions."""
        return self._writer.rescue()

    @property
    def file(self) -> Path | None:
        """The file of the session that is played."""
        playback = self._playbacks.get(0)
        return None if playback is None or playback.file is None else self._writer.file(playback.file)

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
        job = self.cancel(number)
        self._put(lambda: self._load(self._playbacks.setdefault(number, Playback(number)), request, job))

    def load_checkpoint(self, direction: int, number: int = 0) -> None:
        """Play the run's next earlier (-1) or later (1) checkpoint, with the same prime, seed and settings."""
        job = self._latest_job.get(number, 0)
        self._with(number, lambda playback, editor: self._load_checkpoint(playback, editor, direction, job))

    def cancel(self, number: int = 0) -> int:
        """Stop reading a long prime or text as soon as possible."""
        self._latest_job[number] = self._latest_job.get(number, 0) + 1
        return self._latest_job[number]

    def remove(self, number: int) -> None:
        """End a playback."""
        self.cancel(number)
        self._put(lambda: self._remove(number))

    def stream(self, count: int = PAUSE_AFTER, number: int = 0) -> None:
        """Stream ``count`` characters at the end of the text; at speed 0 generate one."""
        self._with(
            number, lambda playback, editor: self._stream(playback, editor, count), needs=needs_all, only_generates=True
        )

    def pause(self, number: int = 0) -> None:
        """Stop streaming."""
        self._with(number, lambda playback, editor: playback.stop())

    def generate_one(self, number: int = 0) -> None:
        """Stop streaming and generate one character at the end of the text."""
        self._with(number, generate_one, needs=needs_all, only_generates=True)

    def change_settings(self, change: Callable[[SamplerSettings], SamplerSettings], number: int = 0) -> None:
        """Choose characters with changed settings, from the next one on."""
        self._put(lambda: self._change_settings(number, change))

    def change_clamps(self, change: Callable[[tuple[Clamp, ...]], Sequence[Clamp]], number: int = 0) -> None:
        """Hold other cells, from the next character on."""
        self._with(number, lambda playback, editor: self._change_clamps(playback, editor, change))

    def change_speed(self, change: Callable[[float], float], number: int = 0) -> None:
        """Stream at another speed."""
        self._put(lambda: self._change_speed(number, change))

    def move_to(self, position: int, number: int = 0) -> None:
        """Stop, and put the cursor before the character at ``position``."""
        self._with(
            number,
            lambda playback, editor: editing.move_to(playback, editor, position),
            needs=lambda playback, editor: position,
            moves_to=position,
            unread=lambda text: text.move(position),
        )

    def move_by(self, characters: int, number: int = 0) -> None:
        """Stop, and move the cursor by so many characters."""
        self._with(
            number,
            lambda playback, editor: editing.move_to(playback, editor, editor.session.position + characters),
            needs=lambda playback, editor: editor.session.position + characters,
            unread=lambda text: text.move(text.cursor + characters),
        )

    def move_by_word(self, direction: int, number: int = 0) -> None:
        """Stop, and move the cursor to the beginning of the word before it (-1) or the end of the next one (1)."""

        def move(playback: Playback, editor: Editor) -> None:
            word = editor.word_after() if direction > 0 else -editor.word_before()
            editing.move_to(playback, editor, editor.session.position + word)

        self._with(number, move, unread=lambda text: text.move_by_word(direction))

    def choose(self, chars: str, position: int, number: int = 0) -> None:
        """Put ``chars`` at ``position``; the text from there on stays as a branch."""
        self._with(
            number,
            lambda playback, editor: editing.edit_at(
                playback, editor, "choosing", position, lambda session: list(map(session.choose, chars))
            ),
            needs=needs_all,
        )

    def regenerate(self, position: int, number: int = 0) -> None:
        """Stream other text from ``position`` on; the old one stays as a branch."""
        self._with(
            number,
            lambda playback, editor: self._regenerate(playback, editor, position),
            needs=needs_all,
            only_generates=True,
        )

    def insert(self, text: str, position: int, number: int = 0) -> None:
        """Put the user's own text at ``position``; the text from there on stays as a branch."""
        job = self._latest_job.get(number, 0)
        self._with(
            number,
            lambda playback, editor: self._put_in(playback, editor, text, job, min(max(0, position), len(editor))),
            needs=needs_all,
        )

    def insert_at_cursor(self, text: str, number: int = 0) -> None:
        """Put the user's own text in at the cursor; what follows stays."""
        job = self._latest_job.get(number, 0)
        self._with(
            number,
            lambda playback, editor: self._put_in(playback, editor, text, job),
            unread=lambda unread: unread.insert(text),
        )

    def replace(self, start: int, stop: int, text: str = "", number: int = 0) -> None:
        """Put the user's own text in the place of the characters from ``start`` to ``stop``; what follows stays."""
        job = self._latest_job.get(number, 0)
        self._with(
            number,
            lambda playback, editor: self._put_in(playback, editor, text, job, start, stop),
            needs=lambda playback, editor: start,
            unread=lambda unread: unread.replace(start, stop, text),
        )

    def find_continuations(self, count: int, length: int, lines: int, first: int, number: int = 0) -> None:
        """Generate ``count`` continuations of the text at the cursor, from number ``first`` on, each with as many
        characters and lines at most. They are in the states while they grow; :meth:`cancel` ends it."""
        job = self._latest_job.get(number, 0)
        self._with(
            number,
            lambda playback, editor: self._find_continuations(playback, editor, count, length, lines, first, job),
            only_generates=True,
        )

    def put_in_continuation(self, text: str, number: int = 0) -> None:
        """Put one of the continuations into the text at the cursor. What followed stays while writing; else it stays as
        a branch."""
        self._with(
            number,
            lambda playback, editor: editing.put_in_continuation(playback, editor, text),
            needs=lambda playback, editor: 0 if playback.writing else math.inf,
        )

    def show_alternative(self, direction: int, position: int, number: int = 0) -> None:
        """Put the next less likely (1) or likelier (-1) character at ``position``, and show what follows it. The text
        from there on stays as a branch."""
        self._with(
            number,
            lambda playback, editor: editing.show_alternative(playback, editor, direction, position),
            needs=needs_all,
            only_generates=True,
        )

    def set_writing(self, writing: bool, number: int = 0) -> None:
        """Begin or end writing: at the end of the text there is a suggestion of how it could continue."""

        def begin(playback: Playback, editor: Editor) -> None:
            playback.stop()
            playback.writing = writing

        self._with(number, begin)

    def accept_suggestion(self, text: str, number: int = 0) -> None:
        """Put the beginning ``text`` of the suggestion into the text."""
        self._with(
            number,
            lambda playback, editor: editing.change(playback, editor, lambda: playback.accept(text)),
        )

    def another_suggestion(self, direction: int, number: int = 0) -> None:
        """Suggest the next (1) or previous (-1) of several."""
        self._with(
            number,
            lambda playback, editor: editing.suggest_another(playback, playback.suggestion_place + direction),
            only_generates=True,
        )

    def show_suggestion(self, place: int, number: int = 0) -> None:
        """Suggest the one at ``place`` of several."""
        self._with(number, lambda playback, editor: editing.suggest_another(playback, place), only_generates=True)

    def erase(self, before: int = 0, after: int = 0, number: int = 0) -> None:
        """Remove characters before and after the cursor. The earlier text stays in the tree."""
        self._with(
            number,
            lambda playback, editor: editing.change(playback, editor, lambda: editor.erase(before, after)),
            unread=lambda text: text.erase(before, after),
        )

    def erase_word(self, direction: int, number: int = 0) -> None:
        """Remove the word before the cursor (-1) or after it (1). Where it begins or ends is found when the keys before
        this one have acted, which the text on the screen may not show yet."""

        def erase(playback: Playback, editor: Editor) -> None:
            before, after = (0, editor.word_after()) if direction > 0 else (editor.word_before(), 0)
            editing.change(playback, editor, lambda: editor.erase(before, after))

        self._with(number, erase, unread=lambda text: text.erase_word(direction))

    def take_in_prime(self, number: int = 0) -> None:
        """Make the prime the beginning of the text, so that it can be edited too. The cursor stays where it is."""
        self._with(number, self._take_in_prime)

    def undo(self, number: int = 0) -> None:
        """Go back before the last change of the text, the cursor or the branches."""
        self._with(number, self._undo)

    def redo(self, number: int = 0) -> None:
        """Make the last change again that was undone."""
        self._with(number, self._redo)

    def switch_branch(self, branch: int, number: int = 0) -> None:
        """Make a branch the current text."""
        self._with(
            number,
            lambda playback, editor: editing.edit(
                playback, editor, "switching branches", lambda session: session.switch(branch)
            ),
            needs=needs_all,
        )

    def prune_branch(self, branch: int, number: int = 0) -> None:
        """Remove a branch and all that grow from it."""
        self._with(
            number,
            lambda playback, editor: editing.change(playback, editor, lambda: editor.prune(branch)),
            needs=needs_all,
        )

    def rename_branch(self, branch: int, name: str, number: int = 0) -> None:
        """Give a branch a name."""
        self._with(
            number,
            lambda playback, editor: editing.change(playback, editor, lambda: editor.session.rename(branch, name)),
        )

    def save_as(self, path: Path, colour: str | None, number: int = 0) -> None:
        """Save the session, or export its text, as the ending of ``path`` says. It is copied on the thread and written
        by another one; the note or the failure says what came of it."""
        self._with(number, lambda playback, editor: self._save_as(playback, editor, path, colour), needs=needs_all)

    # ---- the thread

    def _put(self, run: Callable[[], None], replaces: tuple[str, int] | None = None) -> None:
        self._commands.put(PlayerCommand(run, replaces))

    def _with(
        self,
        number: int,
        job: Callable[[Playback, Editor], None],
        *,
        needs: Callable[[Playback, Editor], float] = needs_none,
        moves_to: int | None = None,
        unread: Callable[[UnreadText], None] | None = None,
        only_generates: bool = False,
    ) -> None:
        """Carry out ``job`` on a playback that has a session, once the model has read the text up to the position that
        it ``needs``, and the jobs before it are done. When the text is left before that, ``unread`` is carried out in
        its place, and what ``only_generates`` is not."""

        def run() -> None:
            playback = self._playbacks.get(number)
            if playback is None or playback.editor is None:
                return
            waiting = playback.waiting
            if moves_to is not None and waiting and waiting[-1].moves_to is not None:
                waiting.pop()
            waiting.append(Waiting(job, needs, moves_to, unread, only_generates))
            playback.changed = True
            if not self._ended.is_set():
                self._carry_out_waiting(playback)

        self._put(run, None if moves_to is None else ("move", number))

    def _carry_out_waiting(self, playback: Playback) -> None:
        """Carry out what waits until the model has read enough of the text."""
        while playback.waiting and playback.editor is not None and not playback.unread:
            job = playback.waiting.popleft().run
            playback.note = playback.failure = ""
            playback.changed = True
            try:
                job(playback, playback.editor)
            except CharLSTMError as error:
                playback.failure = str(error)
            except Exception as error:
                self._fail(playback, error)

    def _finish_waiting(self, playback: Playback, *, unread_only: bool = False) -> None:
        """Carry out what waits, since the text is left: on the text alone where that is possible, which needs no time;
        with ``unread_only`` nothing else. What only generates is dropped."""
        text = self._unread_text(playback)
        while playback.waiting and playback.editor is not None:
            job = playback.waiting.popleft()
            if job.only_generates or (unread_only and job.unread is None):
                continue
            try:
                if job.unread is not None:
                    text, changes = text or UnreadText(playback.editor), playback.editor.changes
                    job.unread(text)
                    if playback.editor.changes != changes:
                        playback.edited = playback.unsaved = True
                    continue
                if text is not None and job.until(playback, playback.editor):
                    text.read()
                    text = None
                editor = playback.editor
                editor.read(int(min(job.until(playback, editor), len(editor))))
                job.run(playback, editor)
                if text is None or not text.is_of(playback.editor):
                    text = self._unread_text(playback)
            except CharLSTMError as error:
                playback.failure = str(error)
            except Exception:
                LOG.exception("Unexpected error in playback %d", playback.number)
        if text is not None:
            text.end()
            playback.cursor = text.cursor

    def _unread_text(self, playback: Playback) -> UnreadText | None:
        """The text, if its cursor is where the model has not read."""
        if playback.cursor is None or playback.editor is None:
            return None
        text = UnreadText(playback.editor)
        text.move(playback.cursor)
        playback.cursor = None
        return text

    def _finish(self) -> None:
        """Carry out the commands that still wait when the app is closed, and save."""
        command = self._commands.get(0)
        while command is not None:
            try:
                command.run()
            except Exception:
                LOG.exception("Unexpected error in the player's thread")
            command = self._commands.get(0)
        for playback in self._playbacks.values():
            self._finish_waiting(playback)
        self._save()

    @blas_threads(1)  # entered once, as entering it for each character would take time
    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._carry_out_commands(self._seconds_to_wait(time.monotonic()))
                if self._ended.is_set():
                    break
                self._read(time.monotonic() + READING_STATES)
                self._generate(time.monotonic() + SLICE)
                self._publish(time.monotonic())
                self._save(time.monotonic())
            except Exception:
                LOG.exception("Unexpected error in the player's thread")
                self._ended.wait(ERROR_PAUSE)
        self._finish()

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
        quiet = max(MIN_WAIT, self._quiet_until - now)
        for playback in playbacks:
            if playback.running and self._visible:
                due = playback.due(now, interval)
                # A character that is late since before the last state does not wait for the next state.
                late = playback.speed == FULL or due <= self._published_at
                waits.append(max(quiet, due - now, 0.0 if late else next_state))
            if playback.unread:
                waits.append(quiet)
            if playback.unsaved:
                waits.append(max(MIN_WAIT, playback.next_save - now))
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

    def _is_generating(self, playback: Playback) -> bool:
        session = playback.session
        return (
            session is not None
            and playback.running
            and self._visible
            and time.monotonic() >= self._quiet_until
            and len(session) - playback.known_length < MAX_UNSEEN
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
        assert playback.session is not None
        playback.changed = playback.unsaved = True
        try:
            playback.session.step()
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

    def _publish(self, now: float) -> None:
        """Deliver states, if there is something new, it is time for it and the last ones were collected.

        Not while a command waits: the screen would draw a state without the command's effect first, and then another.
        """
        if self._commands:
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

    def _save(self, now: float = math.inf) -> None:
        """Save the sessions for which it is time: their content is copied here and written by another thread."""
        for playback in self._playbacks.values():
            if playback.unsaved and playback.next_save <= now:
                try:
                    self._save_session(playback)
                except Exception as error:
                    self._fail(playback, error)

    def _save_session(self, playback: Playback) -> None:
        playback.unsaved = False
        path, editor = playback.file, playback.editor
        if path is None or editor is None:
            return
        run = None if playback.facts is None else playback.facts.run

        def told(result: SaveResult) -> None:
            if result.note or result.file != path or playback.not_saved != self._writer.failure:
                self._put(lambda: self._saved(playback, editor, path, run, result))

        begin = time.monotonic()
        content = copy(
            editor.session,
            editor.rest,
            position=playback.cursor,
            edited=playback.edited,
            continues=playback.continues,
            model=playback.model_name,
        )
        end = time.monotonic()
        playback.next_save = end + max(SAVE_INTERVAL, 100 * (end - begin))  # at most 1 % of the time
        self._writer.write(path, content, run, told)

    def _save_as(self, playback: Playback, editor: Editor, path: Path, colour: str | None) -> None:
        def tell(note: str, failure: str = "") -> None:
            def show() -> None:
                playback.note, playback.failure, playback.changed = note, failure, True

            self._put(show)

        def failed(failure: str) -> None:
            playback.continues = before if playback.editor is editor else playback.continues
            tell("", failure)

        save, before = copy_as(path, colour, editor.session, playback.model_name), playback.continues
        if path.suffix.lower() in ("", ".json"):
            playback.continues = str(target(path).absolute())
            self._save_session(playback)  # earlier than the file, which then is the newer one
        self._writer.save_as(save, tell, failed)

    def _saved(
        self, playback: Playback, editor: Editor, path: Path, run: Path | None, result: SaveResult
    ) -> None:  # fmt: skip
        """The session of ``editor`` that was to be saved to ``path`` was, or could not be. It may not be the one that
        is played now."""
        playback.not_saved = self._writer.failure
        playback.file_note = result.note or playback.file_note
        playback.move_file(editor, path, result.file)
        if run is not None and result.run not in (None, run):
            playback.run_was_renamed(run, result.run)
        playback.changed = True

    # ---- commands, on the thread

    def _set_visible(self, visible: bool) -> None:
        """Only here, on the thread: were it visible before it has caught up, what is late would count as skipped."""
        if visible and not self._visible:
            for playback in self._playbacks.values():
                playback.catch_up(time.monotonic())
        self._visible = visible

    def _remove(self, number: int) -> None:
        self._playbacks.pop(number, None)

    def _load(self, playback: Playback, request: PlayRequest, job: int) -> None:
        try:
            self._load_session(playback, request, job)
        except Exception as error:
            self._fail(playback, error)
        playback.busy = ""
        playback.changed = self._answering = True

    def _load_checkpoint(self, playback: Playback, editor: Editor, direction: int, job: int) -> None:
        facts = playback.facts
        if facts is None or facts.run is None:
            return
        found = checkpoints(facts.run)
        here = (facts.step or 0, playback.request.step)
        place = max((place for place, one in enumerate(found) if one[0] <= here[0]), default=0) + direction
        if place < 0:
            playback.note = "This is the earliest checkpoint."
            return
        checkpoint = found[min(place, len(found) - 1)]
        if checkpoint == here:
            playback.note = "This is the latest checkpoint so far."
            return
        request = replace(
            playback.request, model_name=str(facts.run), step=checkpoint[1], prime=editor.session.prime, settings=None,
            speed=None, stream=True, session=None,
        )  # fmt: skip
        self._load(playback, request, job)

    def _load_session(self, playback: Playback, request: PlayRequest, job: int) -> None:
        playback.stop()
        self._finish_waiting(playback)
        before = playback.replaced()
        if playback.unsaved:
            self._save_session(playback)
        if before is not None and before.has_work:  # which its file keeps; the next session gets another one
            playback.file = None
        playback.begin_opening(request)
        self._answering = False  # the answer is the new text; most loads are over before a state would be due
        try:
            if self._load_stopped(playback, job):
                raise Cancelled("Stopped reading the prime.")
            others = [other.loaded for other in self._playbacks.values() if other.loaded is not None]
            loaded = playback.open(
                request,
                others,
                before_reading=lambda: self._publish_now([playback]),
                closed=None if before is None else before.saved,
            )
            self._writer.remember_run(None if playback.facts is None else playback.facts.run)
            if request.session is not None:
                session = self._saved_session(playback, request.session, loaded)
            else:
                session = self._new_session(playback, request, loaded, job)
        except CharLSTMError as error:
            if before is not None and before.loaded is playback.loaded:
                # Not for the model's sake: what was played before is played again.
                playback.put_back(before)
                playback.failure = str(error)
            else:
                playback.fail(str(error))
                if not isinstance(error, Cancelled):
                    playback.loaded = playback.facts = None
            return
        playback.editor, playback.settings = Editor(session), session.settings
        if before is not None and playback.number == 0:
            playback.keep(before)
        if request.stream and playback.speed > 0:
            # Undo goes back to the text before at once, not to this one without the characters that now come.
            self._stream(playback, playback.editor, request.to_sentence or PAUSE_AFTER, record=not playback.before)

    def _saved_session(self, playback: Playback, path: Path, loaded: LoadedModel) -> Session:
        self._writer.wait(WAIT_FOR_FILE)  # it may be the one that was played until now
        self._writer.remember(path)
        session = load_session(path, loaded.model, stepper=loaded.stepper)
        playback.branches = tuple(session.branches())
        playback.opened = saved_sessions.session_at(path)
        if (opened := playback.opened) is not None:
            playback.edited, playback.continues = opened.edited, opened.continued
        if playback.number == 0:
            playback.continue_in(path)
        return session

    def _new_session(self, playback: Playback, request: PlayRequest, loaded: LoadedModel, job: int) -> Session:
        """Read the prime; a long one shows how far it is, and can be stopped."""
        begin = time.monotonic()

        def show_progress(done: int, total: int) -> None:
            if self._load_stopped(playback, job):
                raise Cancelled("Stopped reading the prime.")
            now = time.monotonic()
            if done and now - begin > PROGRESS_AFTER:
                left = formatting.clock((now - begin) * (total - done) / done)
                playback.busy = f"Reading the prime, {total:,} characters … {100 * done / total:.0f} %, left {left}"
                playback.changed = True
                self._publish(now)

        prime = prime_suggestion(loaded.model) if request.prime is None else request.prime
        session = Session(
            loaded.model,
            prime,
            seed=request.seed,
            settings=playback.settings,
            stepper=loaded.stepper,
            progress=show_progress,
        )
        session.clamps = request.clamps
        return session

    def _stream(self, playback: Playback, editor: Editor, count: int, *, record: bool = True) -> None:
        if playback.speed == 0:
            generate_one(playback, editor)
            return
        if record:
            editor.record(GENERATE)
        editor.session.rewind(len(editor))
        playback.running, playback.remaining, playback.stop_reason, playback.ended = True, count, "", False
        playback.start_pacing()

    def _change_settings(self, number: int, change: Callable[[SamplerSettings], SamplerSettings]) -> None:
        playback = self._playbacks.get(number)
        if playback is None:
            return
        playback.settings = change(playback.settings)
        playback.changed = True
        if playback.session is not None:
            playback.session.settings = playback.settings

    def _change_clamps(
        self, playback: Playback, editor: Editor, change: Callable[[tuple[Clamp, ...]], Sequence[Clamp]]
    ) -> None:
        editor.session.clamps = tuple(change(editor.session.clamps))
        playback.unsaved = True

    def _change_speed(self, number: int, change: Callable[[float], float]) -> None:
        playback = self._playbacks.get(number)
        if playback is None:
            return
        playback.speed = change(playback.speed)
        playback.changed = True
        playback.start_pacing()
        if playback.speed == 0:
            playback.stop()

    def _take_in_prime(self, playback: Playback, editor: Editor) -> None:
        before = playback.replaced()
        if before is None or not editor.session.prime:
            return
        playback.stop()
        if playback.unsaved:
            self._save_session(playback)
        position = len(editor.session.prime) + editor.session.position
        playback.play_without_prime(before, editor.without_prime())
        playback.note = "The prime is part of the text now, and can be edited."

        def move(playback: Playback, editor: Editor) -> None:
            editing.move_to(playback, editor, position)

        playback.waiting.appendleft(Waiting(move, lambda playback, editor: position, position))

    def _undo(self, playback: Playback, editor: Editor) -> None:
        if not editor.undoable and playback.can_return:
            self._go_to_other(playback, -1)
            playback.note = f"The text before is back: {len(playback.editor or ()):,} chars."
            return
        kind: list[str] = []
        editing.change(playback, editor, lambda: kind.append(editor.undo()))
        playback.note = f"Undone: {kind[0]}." if kind[0] else "There is nothing to undo."

    def _redo(self, playback: Playback, editor: Editor) -> None:
        if not editor.redoable and playback.can_advance:
            self._go_to_other(playback, 1)
            playback.note = "The later text is back."
            return
        kind: list[str] = []
        editing.change(playback, editor, lambda: kind.append(editor.redo()))
        playback.note = f"Done again: {kind[0]}." if kind[0] else "There is nothing to redo."

    def _go_to_other(self, playback: Playback, direction: int) -> None:
        if playback.unsaved:
            self._save_session(playback)
        playback.go_to_other(direction)

    def _regenerate(self, playback: Playback, editor: Editor, position: int) -> None:
        editing.draw_again(playback, editor, position)
        playback.running, playback.remaining = playback.speed > 0, PAUSE_AFTER
        playback.start_pacing()

    def _put_in(
        self, playback: Playback, editor: Editor, text: str, job: int, at: int | None = None, stop: int | None = None
    ) -> None:
        before = editor.changes
        try:
            editing.put_in(playback, editor, text, lambda: self._stopped(playback, job), self._show, at, stop)
        except Cancelled:
            if self._latest_job.get(playback.number, 0) != job or editor.changes == before:
                raise
            # The app is closed meanwhile: the text is in it, whether the model reads it or not.
            editor.undo()
            unread = UnreadText(editor)
            start = unread.cursor if at is None else at
            unread.replace(start, start if at is None else len(editor) if stop is None else stop, text)
            unread.end()
            playback.cursor = unread.cursor

    def _load_stopped(self, playback: Playback, job: int) -> bool:
        """Whether a load was cancelled. When the app is closed, one is carried out if there are commands after it, such
        as words that were typed into the text that it gives."""
        return (self._ended.is_set() and not self._commands) or self._latest_job.get(playback.number, 0) != job

    def _stopped(self, playback: Playback, job: int) -> bool:
        """Whether a long text or continuations were cancelled."""
        return self._ended.is_set() or self._latest_job.get(playback.number, 0) != job

    def _show(self) -> None:
        """Publish states in the middle of a command, if it is time."""
        self._publish(time.monotonic())

    def _find_continuations(
        self, playback: Playback, editor: Editor, count: int, length: int, lines: int, first: int, job: int
    ) -> None:  # fmt: skip
        playback.stop()

        def show(found: Sequence[Continuation], complete: bool = False) -> None:
            if self._stopped(playback, job):
                raise Cancelled("")
            playback.continuations = Continuations(first, tuple(found), complete)
            playback.changed = True
            self._show()

        show(editor.session.continuations(count, length, lines=lines, first=first, progress=show), complete=True)

    def _state(self, playback: Playback) -> PlaybackState:
        """The playback's state; if it cannot be made, one that says so."""
        try:
            return playback.state()
        except Exception as error:
            self._fail(playback, error)
            return playback.state()

    def _fail(self, playback: Playback, error: Exception) -> None:
        """End a playback for an error that charlstm does not expect, and log it. Its words are saved before."""
        LOG.exception("Unexpected error in playback %d", playback.number)
        self._finish_waiting(playback, unread_only=True)
        if playback.unsaved:
            try:
                self._save_session(playback)
            except Exception:
                LOG.exception("The session of playback %d could not be saved", playback.number)
        playback.fail(sentence(error, "generating"))
