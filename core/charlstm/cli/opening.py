"""From the words of a command line to the text, the model or the run that they mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from charlstm.cli.showing import ReadingProgress, remark
from charlstm.text.reading import TextOptions

if TYPE_CHECKING:
    from charlstm.model.file import Model
    from charlstm.runs.folder import Run
    from charlstm.text.corpus import Corpus


def load_corpus(sources: tuple[str, ...], options: TextOptions) -> Corpus:
    """Open a text, with a progress bar on a terminal when that takes a while."""
    from charlstm.text.corpus import open_corpus

    with ReadingProgress() as progress:
        corpus = open_corpus(list(sources) if len(sources) > 1 else sources[0], options, progress=progress.show)
    if number := len(corpus.skipped):
        named = ", ".join(corpus.skipped[:3]) + ", …" * (number > 3)
        entries = "1 file or folder" if number == 1 else f"{number:,} files or folders"
        are = "is" if number == 1 else "are"
        remark(f"{entries} of {corpus.name} cannot be read and {are} left out: {named}")
    return corpus


def open_model(word: str, runs_dir: Path | None, snapshot: int | None = None) -> Model:
    """The model that ``word`` means: of a run, as it was after ``snapshot`` steps, if that is asked."""
    from charlstm.model.file import load_model
    from charlstm.runs.models import find_model

    return load_model(find_model(word, runs_dir, snapshot=snapshot))


def find_run(word: str, runs_dir: Path | None) -> Run:
    """The run that ``word`` (a name or a folder) means."""
    from charlstm.runs import folder

    return folder.find_run(word, folder.runs_dir(runs_dir))
