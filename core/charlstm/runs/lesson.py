"""The lesson: three finished runs with their texts and a page about them, which come with the program.

``checkpoints/make_lesson.py`` makes the zip file that they are in.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from pathlib import Path

from charlstm import storage
from charlstm.errors import Advice, RunError
from charlstm.runs import index
from charlstm.runs.folder import RunFolder, runs_dir
from charlstm.runs.models import shipped

RUNS = ("lesson-words", "lesson-recites", "lesson-brackets")


def lesson_path() -> Path | None:
    """The file with the runs; ``None`` for an installation without the file."""
    return shipped("lesson.zip")


def lesson_page() -> str:
    """The page that leads through the runs, as Markdown: ``docs/lesson.md``. Empty if not installed."""
    page = shipped("lesson.md")
    return "" if page is None else page.read_text(encoding="utf-8")


def add_lesson(folder: str | Path | None = None) -> tuple[list[RunFolder], list[RunFolder]]:
    """Put the runs into ``folder`` (default: that of the runs). Returns the added runs, and the existing runs of the
    same names, which do not change.

    Raises :class:`RunError` when the installation lacks them, or the folder cannot be written.
    """
    file, parent = lesson_path(), runs_dir(folder)
    if file is None:
        raise RunError("This installation has no lesson: train a run of your own", Advice("train"))
    added: list[RunFolder] = []
    present = [RunFolder(parent / name) for name in RUNS if os.path.lexists(parent / name)]
    try:
        parent.mkdir(mode=storage.PRIVATE_FOLDER, parents=True, exist_ok=True)
        with zipfile.ZipFile(file) as packed:
            for name in RUNS:
                if (run := RunFolder(parent / name)) not in present:
                    _unpack(packed, run)
                    added.append(run)
    except OSError as error:
        raise RunError(
            f"The lesson cannot be put into {parent} ({error.strerror}): choose another folder for runs",
            Advice("choose_runs_dir"),
        ) from None
    return added, present


def told(added: list[RunFolder], present: list[RunFolder]) -> str:
    """What :func:`add_lesson` did, in a sentence."""
    parts = {"The lesson is here": added, "Already here, left alone": present}
    return " ".join(f"{words}: {', '.join(run.name for run in runs)}." for words, runs in parts.items() if runs)


def _unpack(packed: zipfile.ZipFile, run: RunFolder) -> None:
    """Write the files of ``run`` beside it, and then give their folder its name, so that half a run is never found."""
    temporary = Path(tempfile.mkdtemp(prefix=".lesson-", dir=run.path.parent))
    try:
        for name in packed.namelist():
            if name.startswith(f"{run.name}/"):
                file = temporary / name.removeprefix(f"{run.name}/")
                file.parent.mkdir(mode=storage.PRIVATE_FOLDER, exist_ok=True)
                storage.replace_bytes(file, packed.read(name))
        os.rename(temporary, run.path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    index.remember_run(run.path)
