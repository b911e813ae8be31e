"""The generation thread: plays sessions in short slices and hands the screen coalesced, immutable pictures of them.

One thread plays every voice (Duel has two), so keys are answered while text streams at full speed. Nothing here
touches a widget, and only this thread touches a session. What is asked comes in through a bounded queue; what
happened goes out through :meth:`Player.take`, at most 20 times a second and never faster than the screen takes it.
Characters are made when they can be shown: one by one, the weights are out of the processor's cache before each.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable

from charlstm.errors import CharLSTMError
from charlstm.generation.prime import prime_suggestion
from charlstm.generation.sampling import SamplerSettings
from charlstm.generation.saving import load_session
from charlstm.generation.session import Session
from charlstm.generation.threads import blas_threads
from charlstm.model.file import Model
from charlstm_tui import formatting
from charlstm_tui.player.playback import Playback
from charlstm_tui.player.state import FULL, PlaybackState, PlayRequest

SLICE = 0.008
"""Seconds that the thread plays before it looks up; between two slices it lets go of the interpreter."""
BREATH = 0.002
COURTESY = 0.015
"""Seconds that the thread keeps still after it was asked something or gave a picture, so that the screen can answer the
key and draw first: the two would take the interpreter from each other, and drawing would take twice as long."""
SWITCH = 0.001
"""Seconds after which the interpreter is handed over while the thread plays; Python's own 5 ms add up over a key."""
PICTURE_EVERY = 1 / 20
"""Seconds between two pictures. Drawing one takes the screen some 10 ms, which keys wait for."""
PICTURE_EVERY_UNWATCHED = 1.0
"""The same while another screen is looked at."""
MOST_UNSEEN = 20_000
"""Characters made ahead of a screen that does not take them."""
MOST_WAITING = 256

PAUSE_AFTER = 1000
SOON = 0.5
"""Seconds of a long prime before it is said how far it is."""
PIECE = 128
"""Characters of a pasted text that are taken in at once."""


class _Unwanted(CharLSTMError):
    """Whoever asked for it no longer wants it."""


class Player:
    """The thread, and how a screen speaks with it. ``deliver`` is called from the thread with nothing but the news
    that :meth:`take` has pictures, and not again before they were taken."""

    def __init__(self, deliver: Callable[[], object]) -> None:
        self._deliver = deliver
        self._asked: queue.Queue[Callable[[], None]] = queue.Queue(MOST_WAITING)
        self._voices: dict[int, Playback] = {}
        self._wanted: dict[int, int] = {}  # by voice, which of the long jobs asked of it is still wanted
        self._guard = threading.Lock()
        self._pictures: list[PlaybackState] = []
        self._announced = False
        self._last_picture = 0.0
        self._watched = True
        self._still_until = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="charlstm-player", daemon=True)

    # ---- for the screen; none of these waits

    def start(self) -> None:
        sys.setswitchinterval(SWITCH)
        self._thread.start()

    def close(self, patience: float = 3.0) -> None:
        """End the thread and wait for it."""
        self._ended.set()
        self._ask(lambda: None)
        if self._thread.is_alive():
            self._thread.join(patience)

    def model(self, voice: int = 0) -> Model | None:
        """The model that a voice plays, which nobody changes: for others to use without reading it again."""
        played = self._voices.get(voice)
        return None if played is None else played.model

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def take(self) -> list[PlaybackState]:
        """What happened since the last call, at most one picture a voice."""
        with self._guard:
            self._announced = False
            pictures, self._pictures = self._pictures, []
        return pictures

    def watched(self, watched: bool) -> None:
        """Whether anybody looks. While nobody does, pictures are rare and no character is made: a training beside it
        has better use for the processor. All that has become due is made when somebody looks again."""
        before, self._watched = self._watched, watched
        self._ask(self._catch_up if watched and not before else lambda: None)

    def load(self, wish: PlayRequest, voice: int = 0) -> None:
        """Play this from its prime on; an equal model is not read again. What was being loaded is given up."""
        number = self.give_up(voice)
        self._ask(lambda: self._load(self._voice(voice), wish, number))

    def give_up(self, voice: int = 0) -> int:
        """Stop reading a long prime or text at the next chance."""
        self._wanted[voice] = self._wanted.get(voice, 0) + 1
        return self._wanted[voice]

    def drop(self, voice: int) -> None:
        """End a voice."""
        self._ask(lambda: self._drop(voice))

    def go(self, count: int = PAUSE_AFTER, voice: int = 0) -> None:
        """Stream ``count`` characters at the end of the line; at speed 0 make one."""
        self._with(voice, lambda played, session: self._go(played, session, count))

    def pause(self, voice: int = 0) -> None:
        self._with(voice, lambda played, session: played.stop())

    def make_one(self, voice: int = 0) -> None:
        """Stop streaming and draw one character at the end of the line."""
        self._with(voice, self._make_one)

    def set(self, settings: SamplerSettings, voice: int = 0) -> None:
        """Choose characters so from the next one on."""
        self._with(voice, lambda played, session: setattr(session, "settings", settings))

    def set_speed(self, speed: float, voice: int = 0) -> None:
        self._with(voice, lambda played, session: self._set_speed(played, speed))

    def walk(self, position: int, voice: int = 0) -> None:
        """Stop, and put the cursor before the character at ``position`` of the line."""
        self._with(voice, lambda played, session: self._walk(played, session, position))

    def choose(self, char: str, position: int, voice: int = 0) -> None:
        """Put ``char`` at ``position``; what stood there stays as a branch."""
        self._with(voice, lambda played, session: self._branch(played, session, position, lambda: session.choose(char)))

    def again(self, position: int, voice: int = 0) -> None:
        """Roll other dice from ``position`` on, and stream; what stood there stays as a branch."""
        self._with(voice, lambda played, session: self._again(played, session, position))

    def type(self, text: str, position: int, voice: int = 0) -> None:
        """Put the user's own text at ``position``; what stood there stays as a branch."""
        number = self._wanted.get(voice, 0)
        self._with(voice, lambda played, session: self._type(played, session, text, position, number))

    def write(self, on: bool, voice: int = 0) -> None:
        """Begin or end writing: the line is shown up to the cursor, with a ghost of how it would go on."""

        def turn(played: Playback, session: Session) -> None:
            played.stop()
            played.writing = on
            played.shown = min(played.shown, session.position)

        self._with(voice, turn)

    def write_text(self, text: str, voice: int = 0) -> None:
        """Put the user's own text at the cursor."""
        number = self._wanted.get(voice, 0)
        self._with(voice, lambda played, session: self._type(played, session, text, session.position, number))

    def take_ghost(self, count: int, voice: int = 0) -> None:
        """Let the first ``count`` characters of the ghost come true."""

        def take(played: Playback, session: Session) -> None:
            self._rearranged(played, session, lambda: [session.step() for _ in range(count)])

        self._with(voice, take)

    def erase(self, voice: int = 0) -> None:
        """Go back before the last character; it stays in the tree."""

        def back(played: Playback, session: Session) -> None:
            session.rewind(max(0, session.position - 1))
            played.shown = min(played.shown, session.position)

        self._with(voice, back)

    def switch(self, number: int, voice: int = 0) -> None:
        """Make branch ``number`` the line."""
        self._with(voice, lambda played, session: self._rearranged(played, session, lambda: session.switch(number)))

    def prune(self, number: int, voice: int = 0) -> None:
        """Remove branch ``number`` and what grows from it."""
        self._with(voice, lambda played, session: self._rearranged(played, session, lambda: session.prune(number)))

    def rename(self, number: int, name: str, voice: int = 0) -> None:
        """Give branch ``number`` a name."""
        self._with(
            voice, lambda played, session: self._rearranged(played, session, lambda: session.rename(number, name))
        )

    def run_with(self, job: Callable[[Session], str], voice: int = 0) -> None:
        """Do something with a session on its own thread, such as saving it; what it returns becomes the note."""
        self._with(voice, lambda played, session: setattr(played, "note", job(session)))

    # ---- the thread

    def _ask(self, job: Callable[[], None]) -> None:
        try:
            self._asked.put_nowait(job)
        except queue.Full:
            return  # 256 keys behind: the newest is lost rather than the screen held up

    def _with(self, number: int, job: Callable[[Playback, Session], None]) -> None:
        def careful() -> None:
            voice = self._voices.get(number)
            if voice is None or voice.session is None:
                return
            voice.note = ""
            try:
                job(voice, voice.session)
            except CharLSTMError as error:
                voice.note = str(error)
            voice.dirty = True

        self._ask(careful)

    @blas_threads(1)  # all its life, so that no character pays for it
    def _run(self) -> None:
        while not self._ended.is_set():
            self._obey(self._patience(time.monotonic()))
            self._play(time.monotonic() + SLICE)
            now = time.monotonic()
            self._show(now)
            for voice in self._voices.values():
                if voice.touched and now - voice.kept_at >= voice.keep_every:
                    voice.save()
        for voice in self._voices.values():
            if voice.touched:
                voice.save()

    def _patience(self, now: float) -> float | None:
        """How long to wait for something to be asked; for ever when there is nothing else to do."""
        with self._guard:
            untaken = self._announced
        between = self._pause_between()
        soon = between if untaken else max(BREATH, self._last_picture + between - now)
        waits = [soon] if self._dirty() else []
        still = max(BREATH, self._still_until - now)
        for voice in self._voices.values():
            if voice.running and self._watched:
                due = voice.due(now, between)
                # What was due before the last picture and is not made yet does not wait for the next.
                waits.append(max(still, due - now, soon if voice.speed != FULL and due > self._last_picture else 0.0))
        waits += [max(BREATH, v.kept_at + v.keep_every - now) for v in self._voices.values() if v.touched]
        return min(waits, default=None)

    def _pause_between(self) -> float:
        return PICTURE_EVERY if self._watched else PICTURE_EVERY_UNWATCHED

    def _dirty(self) -> bool:
        return any(voice.dirty for voice in self._voices.values())

    def _plays(self, voice: Playback) -> bool:
        if voice.session is None or not voice.running or not self._watched:
            return False
        return time.monotonic() >= self._still_until and len(voice.session) - voice.shown < MOST_UNSEEN

    def _obey(self, patience: float | None) -> None:
        try:
            job = self._asked.get(timeout=patience)
            while True:
                job()
                self._still_until = time.monotonic() + COURTESY
                job = self._asked.get_nowait()
        except queue.Empty:
            return

    def _play(self, until: float) -> None:
        """Characters that are due, voice by voice in turn, until the slice is over or something is asked."""
        playing = [voice for voice in self._voices.values() if self._plays(voice)]
        while playing and (now := time.monotonic()) < until and self._asked.empty():
            due = [voice for voice in playing if voice.due(now, self._pause_between()) <= now]
            if not due:
                return
            for voice in due:
                self._make(voice, now)
            playing = [voice for voice in playing if self._plays(voice)]

    def _make(self, voice: Playback, now: float) -> None:
        assert voice.session is not None
        voice.session.step()
        voice.count(now)
        voice.dirty = voice.touched = True
        voice.left -= 1
        if voice.left <= 0:
            voice.stop()
            voice.why = f"paused after {PAUSE_AFTER:,}"

    def _show(self, now: float) -> None:
        if now - self._last_picture < self._pause_between() or not self._dirty():
            return
        with self._guard:
            if self._announced:
                return
        pictures = [voice.picture() for voice in self._voices.values() if voice.dirty]
        self._last_picture = now
        with self._guard:
            self._pictures, self._announced = pictures, True
        self._deliver()
        self._still_until = time.monotonic() + COURTESY

    # ---- what can be asked, on the thread

    def _voice(self, number: int) -> Playback:
        return self._voices.setdefault(number, Playback(number))

    def _catch_up(self) -> None:
        for voice in self._voices.values():
            voice.catch_up(time.monotonic())

    def _drop(self, number: int) -> None:
        self._voices.pop(number, None)

    def _load(self, voice: Playback, wish: PlayRequest, number: int) -> None:
        voice.stop()
        if voice.touched:
            voice.save()
        if voice.own:  # what a person made of it stays in its file
            voice.keep, voice.own = None, False
        before, old_wish, old_speed = voice.session, voice.wish, voice.speed
        voice.take += 1
        voice.shown = 0
        voice.wish, voice.speed = wish, wish.speed
        voice.session, voice.branches, voice.writing = None, (), False
        voice.error = voice.note = voice.why = ""
        voice.busy = f"Opening {wish.word} …"
        voice.dirty = True
        self._show(time.monotonic())
        begun = time.monotonic()

        def reading(done: int, total: int) -> None:
            now = time.monotonic()
            if self._ended.is_set() or self._wanted[voice.number] != number:
                raise _Unwanted("Stopped reading the prime.")
            if done and now - begun > SOON:
                left = formatting.clock((now - begun) * (total - done) / done)
                voice.busy = f"Reading the prime, {total:,} characters … {100 * done / total:.0f} %, left {left}"
                voice.dirty = True
                self._show(now)

        try:
            if self._wanted[voice.number] != number:
                raise _Unwanted("Stopped.")
            voice.open(wish)
            assert voice.model is not None
            if wish.session is not None:
                voice.session = load_session(wish.session, voice.model, stepper=voice.stepper)
                voice.branches = tuple(voice.session.branches())
            else:
                prime = prime_suggestion(voice.model) if wish.prime is None else wish.prime
                settings, stepper = wish.settings, voice.stepper
                voice.session = Session(
                    voice.model, prime, seed=wish.seed, settings=settings, stepper=stepper, progress=reading
                )
        except CharLSTMError as error:
            if before is not None and before.model is voice.model:  # the model is not to blame: back to what was
                voice.wish, voice.session, voice.note = old_wish, before, str(error)
                voice.speed = old_speed
                voice.branches = tuple(before.branches())
            else:
                voice.error = str(error)
                if not isinstance(error, _Unwanted):
                    voice.model = voice.stepper = voice.source = voice.facts = None
        voice.busy = ""
        voice.dirty = True
        if wish.go and voice.session is not None and voice.wish is wish:
            self._go(voice, voice.session, PAUSE_AFTER)

    def _go(self, voice: Playback, session: Session, count: int) -> None:
        if voice.speed == 0:
            self._make_one(voice, session)
            return
        session.rewind(len(session))
        voice.running, voice.left, voice.why = True, count, ""
        voice.pace()

    def _make_one(self, voice: Playback, session: Session) -> None:
        voice.stop()
        session.rewind(len(session))
        session.step()
        voice.touched = True

    def _set_speed(self, voice: Playback, speed: float) -> None:
        voice.speed = speed
        voice.pace()
        if speed == 0:
            voice.stop()

    def _walk(self, voice: Playback, session: Session, position: int) -> None:
        voice.stop()
        session.rewind(min(max(0, position), len(session)))

    def _again(self, voice: Playback, session: Session, position: int) -> None:
        session.seed += 1

        def roll() -> None:
            # Other dice may fall on what stands already; roll until the ways part, for a while.
            for _ in range(64):
                length = len(session)
                session.step()
                if session.position > position + 1 or len(session) != length:
                    return

        self._branch(voice, session, position, roll)
        voice.running, voice.left = voice.speed > 0, PAUSE_AFTER
        voice.pace()

    def _type(self, voice: Playback, session: Session, text: str, position: int, number: int) -> None:
        """A long text comes in piece by piece, and can be seen coming and stopped."""
        unknown: dict[str, int] = {}
        text = session.model.text_options.apply(text)

        def type_all() -> None:
            voice.shown = min(voice.shown, session.position)
            for start in range(0, len(text), PIECE):
                if self._ended.is_set() or self._wanted.get(voice.number, 0) != number:
                    raise _Unwanted(f"Stopped after {start:,} of {len(text):,} characters.")
                unknown.update(session.type(text[start : start + PIECE]))
                voice.dirty = True
                self._show(time.monotonic())

        self._branch(voice, session, position, type_all)
        if unknown:
            names, stands = ", ".join(map(repr, unknown)), session.model.vocabulary.replacement
            voice.note = (
                f"The model has never seen {names}: left out."
                if stands is None
                else f"The model has no symbol of its own for {names}: read as {stands}."
            )

    def _branch(self, voice: Playback, session: Session, position: int, change: Callable[[], object]) -> None:
        """A change of the line at ``position``; the cursor stays behind it."""
        voice.stop()

        def there() -> None:
            session.rewind(min(max(0, position), len(session)))
            change()

        self._rearranged(voice, session, there)

    def _rearranged(self, voice: Playback, session: Session, change: Callable[[], object]) -> None:
        """Do something that may put another branch on the line, and note from where on the line is another."""
        voice.stop()
        voice.own = True
        before = {branch.number: branch for branch in session.branches() if branch.current}
        length = len(session)
        try:
            change()
        finally:
            infos = session.branches()
            after = {branch.number: branch for branch in infos if branch.current}
            parted = [
                branch.start
                for number, branch in {**before, **after}.items()
                if number not in before or number not in after
            ]
            voice.shown = min([voice.shown, length, len(session), *parted])
            voice.branches = tuple(infos)
            voice.touched = True
