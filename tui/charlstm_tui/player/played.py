"""A text as it is played at one moment, with what a model makes of it: an immutable value that the views draw."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from charlstm.generation.clamp import Clamp
from charlstm.generation.document import BranchInfo, Splice, State
from charlstm.generation.reading import Continuation
from charlstm.generation.recipe import Recipe
from charlstm.generation.rows import NextCharDistribution
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.text_pieces import Text
from charlstm_tui.player.opening import ModelFacts, PlayRequest
from charlstm_tui.player.saved_sessions import SavedSession

FULL = math.inf
SPEEDS: tuple[float, ...] = (0, 5, 15, 30, 60, 120, 250, 500, 1000, FULL)
"""Characters per second. At 0 each key press generates one; at :data:`FULL` as many as possible are generated."""
NORMAL_SPEED = 60.0
PAUSE_AFTER = 1000
"""Characters after which generating pauses."""


@dataclass(frozen=True, slots=True)
class Continuations:
    """Texts that could come next. ``first`` is the number of the first one, as it was asked for; until they are
    ``complete`` they grow."""

    first: int
    found: tuple[Continuation, ...]
    complete: bool


NO_TEXT = State(Text(), 0, 0, 0, 0, ())


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """One text at one moment, which is equal only to itself: for a reactive attribute each one is a change. Positions
    count characters from the first of the prime.

    Another ``session_id`` than before means another text, or another model, of which all is new.
    """

    session_id: int
    request: PlayRequest
    facts: ModelFacts | None = None
    text: State = NO_TEXT
    """The text with its cursor."""
    splice: Splice = Splice(0, 0, 0)
    """What has changed of the text since the value before."""
    busy: str = ""
    """What is being opened; while it is not empty nothing else can be done."""
    error: str = ""
    """Why nothing can be played."""
    note: str = ""
    """A message, such as of saving, in one value only, like ``failure``."""
    failure: str = ""
    """Why something could not be done."""
    not_saved: str = ""
    """Why the text is not saved, as long as it cannot be."""
    read_to: int = 0
    """Characters that the model has read, the prime too."""
    running: bool = False
    stop_reason: str = ""
    ended: bool = False
    """Whether the end of the sentence that ``to_sentence`` asks for is reached."""
    settings: SamplerSettings = SamplerSettings()
    speed: float = NORMAL_SPEED
    rate: float | None = None
    """Characters per second, measured."""
    distribution: NextCharDistribution | None = None
    """At the cursor; without characters while the model has not read the text up to there, and ``None`` without a
    text."""
    is_current: bool = False
    """Whether ``distribution`` is of this text and cursor; else it is the one before, until the model has read."""
    reading: str = ""
    """How far the model has read what it has not read yet, if that takes long."""
    current_char: str | None = None
    """The character at the cursor, when the cursor is not at the end."""
    current_probability: float | None = None
    """The model's probability of that character, before the sampler."""
    current_rank: int = 0
    read_as: str = ""
    """The character as which the model reads an unknown character at the cursor."""
    bits_per_char: float | None = None
    """The mean over all of the text before the cursor, as far as the model reads its characters as themselves."""
    branches: tuple[BranchInfo, ...] = ()
    file: Path | None = None
    """The file to which the session is saved by itself."""
    last_session: SavedSession | None = None
    """The session of this model to continue instead: see :func:`saved_sessions.last`."""
    replaced: SavedSession | None = None
    """The session that was played before, if it has work in it."""
    opened: SavedSession | None = None
    """The saved session that was loaded, as it was then."""
    edited: bool = False
    """Whether the user had a part in the text."""
    title: str = ""
    """That the user gave the session."""
    clamps: tuple[Clamp, ...] = ()
    """Cells that are held while text is generated."""
    learnt_strength: float | None = None
    """Of the copy of the model that has learnt from the text and suggests in Write; ``None`` where the model does."""
    suggests: bool = False
    """Whether there is to be a suggestion: the text is being written, and the cursor is at the end of a line."""
    suggestion: str = ""
    """How the text could continue at the cursor."""
    undoable: str = ""
    """The kind of change that undo would undo; empty for none."""
    redoable: str = ""

    @property
    def size(self) -> int:
        """Characters of the text, with the prime."""
        return len(self.text.text)

    @property
    def position(self) -> int:
        """The cursor."""
        return self.text.cursor

    @property
    def prime_length(self) -> int:
        """Characters at the beginning that are the prime."""
        return self.text.prime_length

    @property
    def length(self) -> int:
        """Characters after the prime."""
        return self.size - self.prime_length

    @property
    def recipe(self) -> Recipe:
        """What decides the text besides model and prime."""
        return Recipe(self.request.seed, settings=self.settings, clamps=self.clamps)
