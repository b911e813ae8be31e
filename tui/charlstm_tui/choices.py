"""What one mode hands to another: the chosen text, the model to play, and what the command line asked for."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path

from charlstm.errors import CharLSTMError
from charlstm.runs.folder import RunFolder
from charlstm.runs.models import DEMO
from charlstm.runs.playable import playable_at_end
from charlstm.storage import FileStamp
from charlstm.text.reading import USUAL, Lines, SplitMode, TextOptions
from charlstm.text.sources import folder_files
from charlstm.training.presets import base_of

Stamps = tuple[tuple[str, FileStamp], ...]
"""Paths of files and their stamps."""


@dataclass(frozen=True, slots=True)
class StartOptions:
    """What the command line asked for."""

    text: str | None = None
    run: str | None = None
    model: str | None = None
    runs_dir: Path | None = None
    session: Path | None = None
    """A saved session to continue."""
    config: Path | None = None
    """The file of the configuration; ``None`` is the usual one."""


@dataclass(frozen=True, slots=True)
class CorpusChoice:
    """The text to train on, as chosen in Corpus: what ``open_corpus`` takes, and how the held-out part is cut."""

    source: str
    name: str
    strip_boilerplate: bool = USUAL.strip_boilerplate
    lines: Lines = USUAL.lines
    units: str | None = None
    """The units as which the text is read, which then keeps its lines; see ``TextOptions``."""
    split: SplitMode = "tail"
    encoding: str | None = None
    """The encoding of its files; ``None`` detects it."""
    validation: tuple[str, ...] = ()
    """The sources of a separate text to validate on, as of a run that was started with ``--val-file``."""

    def options(self, preset: str = "") -> TextOptions:
        """The same for ``open_corpus``. The preset ``reference``, or one that is based on it, reads a text as it is."""
        if base_of(preset) == "reference":
            return replace(self, strip_boilerplate=False, lines="keep").options()
        return TextOptions(
            strip_boilerplate=self.strip_boilerplate,
            lines="keep" if self.units else self.lines,
            units=self.units,
            encoding=self.encoding,
        )


def file_stamps(choice: CorpusChoice) -> Stamps | None:
    """The stamps that show that a text has changed, or one of the files of a folder; ``None`` for what has no files."""
    source = Path(choice.source)
    try:
        info = source.stat()
        if stat.S_ISREG(info.st_mode):
            return ((choice.source, FileStamp.of(info)),)
        if stat.S_ISDIR(info.st_mode):
            files = folder_files(source, choice.options().pattern)
            return tuple((str(path), FileStamp.of(path.stat())) for path in files)
    except (CharLSTMError, OSError, ValueError):
        return None  # reading it says why
    return None


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The model to play: MODEL as on the command line (run folder, file or ``demo``), and the snapshot's step. Of a run
    without a step it is the one that ``charlstm.runs.playable`` chooses."""

    model: str
    step: int | None = None

    def after_rename(self, old: Path, new: Path) -> ModelChoice:
        """The same model after the run in the folder ``old`` was renamed to ``new``."""
        return replace(self, model=model_after_rename(self.model, old, new))


def playable(run: RunFolder) -> ModelChoice | None:
    """The run as what to play: Generate finds out which of its models, and waits while a run that trains has none that
    has learnt something. ``None`` for a run that ended without a model."""
    return ModelChoice(str(run.path)) if run.status().alive or playable_at_end(run) is not None else None


def resumable(run: RunFolder) -> bool:
    """Whether a run that has ended can be resumed: one that is finished or was pruned needs an exact state."""
    return run.has_state or not (run.pruned_path.exists() or run.status().state == "finished")


def path_after_rename(path: Path, old: Path, new: Path) -> Path:
    """Where a file is after the run in the folder ``old`` was renamed to ``new``."""
    return new / path.relative_to(old) if path.is_relative_to(old) else path


def model_after_rename(model: str, old: Path, new: Path) -> str:
    """MODEL, as on the command line, after the run in the folder ``old`` was renamed to ``new``."""
    if model == DEMO:
        return model
    path = old if model == old.name else Path(os.path.expanduser(model)).absolute()
    return str(path_after_rename(path, old, new)) if path.is_relative_to(old) else model
