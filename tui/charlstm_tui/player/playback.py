"""One session as the generation thread plays it: when its characters are due, what of it is shown, where it is kept.

Only that thread touches it; what is asked of it, and when, is ``playing``'s.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from charlstm import storage
from charlstm.generation.saving import to_bytes
from charlstm.generation.session import BranchInfo, Session
from charlstm.generation.stepper import Stepper
from charlstm.model.file import Model, load_model
from charlstm.runs.folder import Run
from charlstm.storage import FileStamp
from charlstm_tui.player import saved_sessions
from charlstm_tui.player.marks import marks
from charlstm_tui.player.state import FULL, NORMAL_SPEED, ModelFacts, PlaybackState, PlayRequest, describe, model_path

BEHIND = 0.25
"""Seconds by which characters may be late, besides waiting for a picture, before they are given up."""
RECENT = 1000
"""Characters over which the bits per character are averaged."""
GHOST = 60
"""Characters that are foreseen while a person writes."""
SAVE_EVERY = 5.0
"""Seconds between two self-saves; a save that takes long is made more rarely."""


class Playback:
    """One session as the thread plays it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.wish = PlayRequest("")
        self.take = 0
        self.session: Session | None = None
        self.model: Model | None = None
        self.stepper: Stepper | None = None
        self.source: tuple[Path, FileStamp | None] | None = None
        self.facts: ModelFacts | None = None
        self.busy = self.error = self.note = self.why = ""
        self.running = False
        self.left = 0
        self.speed = NORMAL_SPEED
        self.shown = 0  # characters of the line that the screen has right
        self.dirty = False
        self.branches: tuple[BranchInfo, ...] = ()
        self.writing = False  # what comes after the cursor is not shown
        self.touched = False  # since it was last saved
        self.own = False  # a person wrote, picked or branched in it
        self.keep: Path | None = None
        self.kept_at = 0.0
        self.keep_every = SAVE_EVERY
        self._since = 0.0
        self._made = 0
        self._rate_since = 0.0
        self._rate_made = 0
        self._owed = 0  # characters that became due while nobody looked
        self.rate: float | None = None

    # ---- time

    def pace(self) -> None:
        """Begin to count time anew: characters are due from now on."""
        self._since = self._rate_since = time.monotonic()
        self._made = self._rate_made = self._owed = 0
        self.rate = None

    def catch_up(self, now: float) -> None:
        """Somebody looks again: what has become due since is made at once."""
        if self.running and self.speed not in (0, FULL):
            self._owed = max(0, int((now - self._since) * self.speed) - self._made)
        self._rate_since, self._rate_made = now, 0

    def due(self, now: float, between: float) -> float:
        """When the next character is due, with ``between`` seconds from picture to picture; in the past when it is
        time."""
        if self.speed == FULL or self._owed:
            return now
        due = self._since + (self._made + 1) / self.speed
        if now - due > BEHIND + between:  # the model is slower, or the screen did not take: do not run after it
            self._since, self._made = now - 1 / self.speed, 0
            due = now
        return due

    def count(self, now: float) -> None:
        self._made += 1
        self._rate_made += 1
        self._owed = max(0, self._owed - 1)
        if now - self._rate_since >= 0.5:
            self.rate = self._rate_made / (now - self._rate_since)
            self._rate_since, self._rate_made = now, 0

    # ---- what is played and kept

    def open(self, wish: PlayRequest) -> None:
        """Load the model that ``wish`` names, unless it is the one that is there. Raises :class:`CharLSTMError`."""
        path = model_path(wish)
        stamp = None  # load_model says what is wrong with it
        with contextlib.suppress(OSError):
            stamp = FileStamp.of(path.stat())
        source = (path, stamp)
        if self.source != source or self.model is None:
            self.model = load_model(path)
            self.stepper = Stepper(self.model)
            self.source = source
        facts = describe(self.model, path, wish)
        if self.keep is None or self.facts is None or (facts.run, facts.name) != (self.facts.run, self.facts.name):
            self.keep = saved_sessions.new_name(saved_sessions.folder(facts.run, path)) if self.number == 0 else None
        self.facts = facts

    def stop(self) -> None:
        """Stream no more."""
        if self.running and self.session is not None and self.branches:
            self.branches = tuple(self.session.branches())  # the last one has grown
        self.running, self.why = False, ""

    def save(self) -> None:
        """Save the session to its own file. A place that cannot be written is said once and not tried again."""
        self.touched = False
        run = None if self.facts is None else self.facts.run
        if run is not None and not Run(run).exists():
            self.keep = None  # deleted or renamed since: its folder is not to come back
        if self.keep is None or self.session is None:
            return
        begin = time.monotonic()
        try:
            saved_sessions.make(self.keep.parent)
            storage.replace_bytes(self.keep, to_bytes(self.session))
            saved_sessions.forget_old(self.keep.parent)
        except OSError as error:
            self.note = f"The session cannot save itself: {error.strerror}."
            self.keep, self.dirty = None, True
        self.kept_at = time.monotonic()
        self.keep_every = max(SAVE_EVERY, 20 * (self.kept_at - begin))

    # ---- what is shown

    def picture(self) -> PlaybackState:
        """What there is to show now; the screen is taken to have all that went before."""
        self.dirty = False
        session, shown = self.session, self.shown
        if session is None:
            return PlaybackState(
                self.number, self.take, self.wish, self.facts, busy=self.busy, error=self.error, speed=self.speed
            )
        position = session.position
        length = position if self.writing else len(session)
        rows = session.rows(shown, length)
        self.shown = length
        recent = session.rows(max(0, position - RECENT), position)["probability"]
        note, self.note = self.note, ""  # said once: it stands on the screen until something else is said
        return PlaybackState(
            voice=self.number,
            take=self.take,
            wish=self.wish,
            facts=self.facts,
            busy=self.busy,
            error=self.error,
            note=note,
            prime=session.prime,
            unknown=tuple(session.unknown),
            start=shown,
            text=session.model.vocabulary.decode(rows["id"]),
            marks=marks(rows),
            length=length,
            position=position,
            running=self.running,
            why=self.why,
            settings=session.settings,
            speed=self.speed,
            rate=self.rate if self.running else None,
            outlook=session.next_char_distribution(),
            standing=session.at(position).char if position < length else None,
            bits=_mean_bits(recent) if len(recent) else None,
            branches=self.branches,
            keep=self.keep,
            ghost=session.suggest(GHOST) if self.writing else "",
        )


def _mean_bits(probabilities: npt.NDArray[np.float32]) -> float:
    return float(-np.log2(np.maximum(probabilities.astype(np.float64), 2.0**-149)).mean())
