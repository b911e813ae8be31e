"""Immutable values between the screen and the player's thread: what to play, how it goes, and facts about the model."""

from __future__ import annotations

import contextlib
import math
from array import array
from dataclasses import dataclass, field, replace
from pathlib import Path

from charlstm.display import visible
from charlstm.errors import CharLSTMError, RunError
from charlstm.generation.clamp import Clamp
from charlstm.generation.document import BranchInfo
from charlstm.generation.reading import Continuation
from charlstm.generation.recipe import Recipe
from charlstm.generation.rows import NextCharDistribution
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.model.file import Model, read_info
from charlstm.runs.folder import Run, find_run
from charlstm.runs.models import find_model
from charlstm_tui.choices import model_after_rename, path_after_rename
from charlstm_tui.player import saved_sessions
from charlstm_tui.player.saved_sessions import SavedSession

FULL = math.inf
SPEEDS: tuple[float, ...] = (0, 5, 15, 30, 60, 120, 250, 500, 1000, FULL)
"""Characters per second. At 0 each key press generates one; at :data:`FULL` as many as possible are generated."""
NORMAL_SPEED = 60.0


@dataclass(frozen=True, slots=True)
class PlayRequest:
    """What to play.

    ``model_name`` is MODEL as on the command line and ``step`` one of its snapshots (``None``: its best model). A
    ``prime`` of ``None`` is the model's own suggestion. ``settings`` and ``speed`` of ``None`` stay as they are.
    """

    model_name: str
    step: int | None = None
    runs_dir: Path | None = None
    prime: str | None = None
    seed: int = 0
    settings: SamplerSettings | None = None
    speed: float | None = None
    stream: bool = False
    """Whether to stream at once; at speed 0 nothing is generated."""
    to_sentence: int | None = None
    """Characters to stream, and then on to the end of a sentence; ``None``: until it pauses by itself."""
    clamps: tuple[Clamp, ...] = ()
    """Cells that are held from the first generated character on."""
    session: Path | None = None
    """A saved session to continue, instead of starting from the prime."""

    def after_rename(self, old: Path, new: Path) -> PlayRequest:
        """The same request after the run in the folder ``old`` was renamed to ``new``."""
        session = None if self.session is None else path_after_rename(self.session, old, new)
        return replace(self, model_name=model_after_rename(self.model_name, old, new), session=session)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The model that is played: trained for ``step`` steps; ``snapshot_steps`` are its run's snapshots, and
    ``checkpoint_steps`` the steps of all models of the run, the best one too."""

    name: str
    path: Path
    run: Path | None = None
    step: int | None = None
    snapshot_steps: tuple[int, ...] = ()
    checkpoint_steps: tuple[int, ...] = ()
    loss: float | None = None
    """Validation loss in nats, where the file has it."""
    loss_whole: bool = True
    """Whether it is over all of the held-out text."""
    shape: str = ""
    vocab_size: int = 0

    @property
    def place(self) -> int:
        """The number of the model among the checkpoints of its run, from 0."""
        return max((n for n, step in enumerate(self.checkpoint_steps) if step <= (self.step or 0)), default=0)

    @property
    def sessions(self) -> Path:
        """The folder for sessions of the model."""
        return saved_sessions.folder(self.run, self.path)

    def after_rename(self, old: Path, new: Path) -> ModelFacts:
        """The same model after the run in the folder ``old`` was renamed to ``new``."""
        if self.run != old:
            return self
        name = visible(new.name, keep="")
        return replace(self, name=name, path=path_after_rename(self.path, old, new), run=new)


@dataclass(frozen=True, slots=True)
class Continuations:
    """Texts that could come next. ``first`` is the number of the first one, as it was asked for; until they are
    ``complete`` they grow."""

    first: int
    found: tuple[Continuation, ...]
    complete: bool


@dataclass(frozen=True, slots=True, eq=False)
class PlaybackState:
    """One playback at one moment, which is equal only to itself: for a reactive attribute each one is a change.
    Positions count the characters of the text from the first of the prime.

    In the state before with this ``session_id``, ``removed`` characters at ``start`` became ``text``, with one of
    ``marks`` each; the others are the same. Those from ``figures_start`` on have the marks ``figures`` now; those from
    ``read_to`` on the model has not read. Another ``session_id`` means another text, of which the screen has nothing.
    """

    number: int
    session_id: int
    request: PlayRequest
    facts: ModelFacts | None = None
    busy: str = ""
    error: str = ""
    """Why nothing can be played."""
    note: str = ""
    """What was done, such as saving. Said in one state only, like ``failure``."""
    failure: str = ""
    """Why something could not be done."""
    not_saved: str = ""
    """Why the text is not saved, as long as it cannot be."""
    version: int = 0
    """Of the text; with it the screen names places in it."""
    done: int = 0
    """The number of the last operation that was taken from the queue (:attr:`Player.asked`)."""
    prime_length: int = 0
    """Characters at the beginning that are the prime."""
    start: int = 0
    removed: int = 0
    text: str = ""
    marks: array[int] = field(default_factory=lambda: array("H"))
    size: int = 0
    """Characters of the text, with the prime."""
    figures_start: int = 0
    figures: array[int] = field(default_factory=lambda: array("H"))
    read_to: int = 0
    position: int = 0
    """The cursor."""
    running: bool = False
    stop_reason: str = ""
    ended: bool = False
    """Whether the end of the sentence that ``to_sentence`` asks for is reached."""
    settings: SamplerSettings = SamplerSettings()
    speed: float = NORMAL_SPEED
    rate: float | None = None
    """Characters per second, measured."""
    distribution: NextCharDistribution | None = None
    """At the cursor; without characters while the model has not read the text up to there."""
    reading: str = ""
    """How far the model has read again what follows an edit, if that takes long."""
    current_char: str | None = None
    """The character at the cursor, when the cursor is not at the end."""
    current_probability: float | None = None
    """The model's probability of that character, before the sampler."""
    current_rank: int = 0
    read_as: str = ""
    """As which other character the model reads the one at the cursor, if it does not know it."""
    bits_per_char: float | None = None
    """The mean over all of the text before the cursor, as far as the model reads its characters as themselves."""
    branches: tuple[BranchInfo, ...] = ()
    file: Path | None = None
    """The file to which the session is saved by itself."""
    last_session: SavedSession | None = None
    """The session of this model to continue instead: see :func:`saved_sessions.last`."""
    replaced: SavedSession | None = None
    """The text before this one to which undo goes back, if there is work in it."""
    opened: SavedSession | None = None
    """The saved session that was loaded, as it was then."""
    edited: bool = False
    """Whether the user had a part in the text."""
    title: str = ""
    """That the user gave the session."""
    continues: str = ""
    """The path of the saved session that this one continues."""
    clamps: tuple[Clamp, ...] = ()
    """Cells that are held while text is generated."""
    learnt_strength: float | None = None
    """Of the copy of the model that has learnt from the text and suggests in Write; ``None`` where the model does."""
    suggestion: str = ""
    """How the text could continue, while it is being written and the cursor is at its end."""
    suggestions: tuple[str, ...] = ()
    """What could be suggested instead, with the suggestion itself, if others were asked for."""
    suggestion_place: int = 0
    """Which of them the suggestion is."""
    cut: str = ""
    """What was cut last, and how often something was."""
    cuts: int = 0
    continuations: Continuations | None = None
    """Those of the text at the cursor, if they were asked for and the text is still the same."""
    undoable: str = ""
    """The kind of change that undo would undo; empty for none."""
    redoable: str = ""

    @property
    def length(self) -> int:
        """Characters after the prime."""
        return self.size - self.prime_length

    @property
    def recipe(self) -> Recipe:
        """What decides the text besides model and prime."""
        return Recipe(self.request.seed, settings=self.settings, clamps=self.clamps)


def model_path(request: PlayRequest) -> Path:
    """The model's file. For a run that has no best model yet it is its last snapshot."""
    try:
        return find_model(request.model_name, request.runs_dir, snapshot=request.step)
    except RunError:
        snapshots = find_run(request.model_name, request.runs_dir).snapshots()
        if request.step is not None or not snapshots:
            raise
        return snapshots[-1].path


def checkpoints(run: Path) -> list[tuple[int, int | None]]:
    """The models of a run, the earliest first, each with its step and the ``step`` of a request for it: ``None`` is
    the best model."""
    found: dict[int, int | None] = {snapshot.step: snapshot.step for snapshot in Run(run).snapshots()}
    with contextlib.suppress(CharLSTMError):
        step = read_info(Run(run).model_path)[1].get("step")
        if isinstance(step, int):
            found[step] = None
    return sorted(found.items(), key=lambda one: one[0])


def model_of_session(session: Path, runs_dir: Path | None = None) -> tuple[str, int | None] | None:
    """The model with which to continue a session, and the ``step`` of a request for it: the one with which it was
    played last, or where that is gone the best one of its run. None if the model is not there."""
    name = saved_sessions.model_of(session, runs_dir)
    if name is None:
        return None
    saved, step = saved_sessions.session_at(session), None
    if saved is not None and saved.summary is not None and saved.summary.step >= 0:
        with contextlib.suppress(CharLSTMError):
            step = dict(checkpoints(find_run(name, runs_dir).path)).get(saved.summary.step)
    return name, step


def other_model_words(opened: SavedSession | None, facts: ModelFacts) -> str:
    """A sentence that says with which model a session is continued, where that is another one than before; else
    empty."""
    if opened is None or opened.summary is None or not opened.model:
        return ""
    was, here = visible(opened.model, keep=""), facts.name
    step = "" if facts.step is None else f" @ step {facts.step:,}"
    if was != here:
        return f"Its model {was} is not there: it goes on with {here}{step}."
    before = opened.summary.step
    if before >= 0 and facts.step is not None and before != facts.step:
        return f"Its model {was} @ step {before:,} is not there: it goes on with step {facts.step:,}."
    return ""


def describe(model: Model, path: Path, request: PlayRequest) -> ModelFacts:
    """Facts about the model at ``path``."""
    run = next((folder for folder in (path.parent, path.parent.parent) if Run(folder).exists()), None)
    info = model.info
    step = info.get("step")
    loss = info.get("val_loss")
    models = [] if run is None else checkpoints(run)
    return ModelFacts(
        name=visible(run.name if run is not None else "demo" if request.model_name == "demo" else path.stem, keep=""),
        path=path,
        run=run,
        step=step if isinstance(step, int) else request.step,
        snapshot_steps=() if run is None else tuple(snapshot.step for snapshot in Run(run).snapshots()),
        checkpoint_steps=tuple(step for step, _ in models),
        loss=loss if isinstance(loss, float) else None,
        loss_whole=info.get("val_whole") is not False,
        shape=f"{model.config.num_layers}×{model.config.hidden_size}",
        vocab_size=model.config.vocab_size,
    )
