"""What Generate plays and is to play, as one value: what a choice, a key, a start and a run make of it.

The app owns the value, because each mode can choose what is played; Generate carries the choice out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from pathlib import Path

from charlstm.runs.models import DEMO
from charlstm_tui.choices import ModelChoice, path_after_rename

LEAST_PLAYED = 5.0
"""Seconds for which a text is left to be read before it begins again with a better model."""


class Playing(Enum):
    """What Generate plays."""

    NOTHING = "nothing"
    STAND_IN = "the model in the box, while the chosen run warms up"
    BEFORE_RUN = "what was played before, while the chosen run warms up"
    BEGUN = "a text that nobody has changed: it begins again with a better model of its run"
    OWN = "a text of one's own, which stays"


class Asked(IntEnum):
    """What a person asked for about a model that may be played already."""

    NOTHING = 0
    PLAY = 1
    """To play it: the text begins again if there is a newer model."""
    BEGIN = 2
    """To begin a new text with it."""


class OnBetter(Enum):
    """What a better model of the run that is played is for."""

    OFFER = "a key begins again with it"
    BEGIN = "the text begins again with it"
    LATER = "the text is to be read first"


@dataclass(frozen=True, slots=True)
class ToPlay:
    """What is played and what is to be played. Each method returns the value after an event.

    Attributes:
        chosen: the model that was chosen last, in whichever mode; ``None`` while Generate chooses.
        session: a saved text to continue.
        played: the choice that was opened last; ``None`` also for the model in the box that stands in for a run.
        awaited: the folder of the chosen run, while that has no model to play.
        untouched: whether nothing was done in Generate since the text began, or since the run is awaited.
        begun_at: when the text began.
    """

    chosen: ModelChoice | None = None
    asked: Asked = Asked.NOTHING
    session: Path | None = None
    played: ModelChoice | None = None
    awaited: Path | None = None
    untouched: bool = False
    begun_at: float = 0.0

    @property
    def state(self) -> Playing:
        if self.awaited is not None:
            return Playing.STAND_IN if self.played is None else Playing.BEFORE_RUN
        if self.played is None:
            return Playing.NOTHING
        return Playing.BEGUN if self.untouched else Playing.OWN

    @property
    def is_first(self) -> bool:
        """Whether nothing was chosen or played since the app started."""
        return self.chosen is None and self.played is None

    def is_played(self, choice: ModelChoice | None) -> bool:
        """Whether a choice is played already and nobody asked for more."""
        return choice is None or (choice == self.played and not self.asked)

    def waits_for(self, run: Path) -> bool:
        """Whether the run is awaited, and was not asked for once more since."""
        return self.awaited == run and not self.asked

    def on_better(self, now: float, is_shown: bool) -> OnBetter:
        """What a better model of the run is for, while the text ``is_shown`` or another view is."""
        if not (self.untouched and is_shown):
            return OnBetter.OFFER
        return OnBetter.BEGIN if now - self.begun_at >= LEAST_PLAYED else OnBetter.LATER

    # ---- what is chosen

    def choose(self, choice: ModelChoice, asked: Asked = Asked.NOTHING) -> ToPlay:
        """A model was chosen. To begin a new text with it ends waiting for a run at once."""
        awaited = None if asked is Asked.BEGIN else self.awaited
        return replace(self, chosen=choice, asked=max(self.asked, asked), awaited=awaited)

    def continue_session(self, path: Path) -> ToPlay:
        """A saved text was chosen."""
        return replace(self, session=path)

    def after_rename(self, old: Path, new: Path) -> ToPlay:
        """The run in the folder ``old`` was renamed to ``new``."""
        chosen, played = (each and each.after_rename(old, new) for each in (self.chosen, self.played))
        session, awaited = (each and path_after_rename(each, old, new) for each in (self.session, self.awaited))
        return replace(self, chosen=chosen, played=played, session=session, awaited=awaited)

    # ---- what becomes of the choice

    def wait(self, run: Path) -> ToPlay:
        """The chosen run has no model to play. Who comes back to a run that is awaited goes on waiting."""
        if self.waits_for(run):
            return self
        return replace(self, awaited=run, untouched=True, asked=Asked.NOTHING)

    def stop_waiting(self) -> ToPlay:
        """Back to what was played before the run was chosen."""
        return replace(self, chosen=self.played, asked=Asked.NOTHING, awaited=None)

    def stay(self) -> ToPlay:
        """What is played stays, also where it only stood in for a run."""
        return self.go_on_with(self.played or ModelChoice(DEMO))

    def go_on(self) -> ToPlay:
        """The choice is played already."""
        return replace(self, asked=Asked.NOTHING, awaited=None)

    def go_on_with(self, choice: ModelChoice) -> ToPlay:
        """The same text goes on with another model."""
        return replace(self.go_on(), chosen=choice, played=choice)

    def open(self, choice: ModelChoice, now: float) -> ToPlay:
        """A new text of the choice begins."""
        return replace(self.go_on(), played=choice, untouched=True, begun_at=now)

    def open_session(self, choice: ModelChoice) -> ToPlay:
        """A saved text goes on, with this model."""
        return replace(self.go_on_with(choice), session=None, untouched=False)

    def begin_again(self, now: float) -> ToPlay:
        """The text begins again with a better model."""
        return replace(self, untouched=True, begun_at=now)

    def touch(self) -> ToPlay:
        """Something was done in Generate: the text that is played stays."""
        return replace(self, untouched=False) if self.untouched else self
