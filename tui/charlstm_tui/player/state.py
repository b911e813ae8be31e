"""What the screen asks to be played and what it is told: plain immutable values, and the facts about a model file.

Not how it is played: that is ``playing``.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from pathlib import Path

from charlstm.display import visible
from charlstm.errors import RunError
from charlstm.generation.sampling import SamplerSettings
from charlstm.generation.session import BranchInfo, NextCharDistribution
from charlstm.model.file import Model
from charlstm.runs.folder import Run, find_run
from charlstm.runs.models import find_model

FULL = math.inf
SPEEDS: tuple[float, ...] = (0, 5, 15, 30, 60, 120, 250, 500, 1000, FULL)
"""Characters a second; 0 makes one a key, :data:`FULL` as many as there can be."""
NORMAL_SPEED = 60.0


@dataclass(frozen=True, slots=True)
class PlayRequest:
    """What to play. ``word`` is MODEL as on the command line, ``step`` a snapshot of it (``None``: its best);
    ``prime`` of ``None`` is a line start of the model's own text."""

    word: str
    step: int | None = None
    runs_dir: Path | None = None
    prime: str | None = None
    seed: int = 0
    settings: SamplerSettings = SamplerSettings()
    speed: float = NORMAL_SPEED
    go: bool = False
    """Whether to stream at once."""
    session: Path | None = None
    """A saved session to go on with, instead of the prime."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The model that is played. ``step`` of ``planned`` is its age, ``ages`` the steps of the snapshots beside it."""

    name: str
    path: Path
    run: Path | None = None
    step: int | None = None
    planned: int | None = None
    ages: tuple[int, ...] = ()
    shape: str = ""
    vocab_size: int = 0
    stands: str | None = None
    """The symbol that stands for all that the model does not know, if it has one."""
    corpus: str = ""


@dataclass(frozen=True, slots=True)
class PlaybackState:
    """One voice as it was when the picture was taken.

    The line is the prime and then characters; those before ``start`` are as in the last picture of this ``take``,
    from there on they are ``text``, each with its mark. Another ``take`` means another session: everything is new.
    """

    voice: int
    take: int
    wish: PlayRequest
    facts: ModelFacts | None = None
    busy: str = ""
    error: str = ""
    note: str = ""
    prime: str = ""
    unknown: tuple[str, ...] = ()
    start: int = 0
    text: str = ""
    marks: array[int] = field(default_factory=lambda: array("H"))
    length: int = 0
    position: int = 0
    running: bool = False
    why: str = ""
    settings: SamplerSettings = SamplerSettings()
    speed: float = NORMAL_SPEED
    rate: float | None = None
    outlook: NextCharDistribution | None = None
    standing: str | None = None
    """The character that stands at the cursor, when it is not at the end."""
    bits: float | None = None
    branches: tuple[BranchInfo, ...] = ()
    keep: Path | None = None
    """The file that the session saves itself to."""
    ghost: str = ""
    """How the text would go on, while it is being written."""


def model_path(wish: PlayRequest) -> Path:
    """The model's file; a run that has no best yet is played as it was at its last snapshot."""
    try:
        return find_model(wish.word, wish.runs_dir, snapshot=wish.step)
    except RunError:
        snapshots = find_run(wish.word, wish.runs_dir).snapshots()
        if wish.step is not None or not snapshots:
            raise
        return snapshots[-1].path


def describe(model: Model, path: Path, wish: PlayRequest) -> ModelFacts:
    """What a person wants to know of the model at ``path``."""
    run = next((folder for folder in (path.parent, path.parent.parent) if Run(folder).exists()), None)
    info = model.info
    step = info.get("step")
    planned: int | None = None
    ages: tuple[int, ...] = ()
    if run is not None:
        planned = Run(run).status().planned_steps or None
        ages = tuple(snapshot.step for snapshot in Run(run).snapshots())
    return ModelFacts(
        name=visible(run.name if run is not None else "demo" if wish.word == "demo" else path.stem, keep=""),
        path=path,
        run=run,
        step=step if isinstance(step, int) else wish.step,
        planned=planned,
        ages=ages,
        shape=f"{model.config.num_layers}×{model.config.hidden_size}",
        vocab_size=model.config.vocab_size,
        stands=model.vocabulary.replacement,
        corpus=str(info.get("corpus") or ""),
    )
