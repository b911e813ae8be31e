"""Find a model file by the name of a run, a path, or ``demo`` for the model that is installed with the program."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import charlstm
from charlstm.errors import Advice, ModelError, RunError
from charlstm.runs.folder import RunFolder, find_run, run_of_model

MOST_MODELS = 12
"""Models of one run that are compared with each other, at most."""
DEMO = "demo"
_DEMO_FILE = "demo.safetensors"

Item = TypeVar("Item")


def find_model(word: str | Path, runs_dir: str | Path | None = None, *, snapshot: int | None = None) -> Path:
    """The model file that ``word`` names: a ``.safetensors`` file, the name or folder of a run (its best model so far,
    or its snapshot after ``snapshot`` steps), or ``demo``.

    Raises :class:`ModelError` or :class:`RunError`, with a sentence that says what exists instead.
    """
    text = os.fspath(word)
    if text.endswith(".safetensors"):
        path = Path(os.path.expanduser(text)).absolute()
        if not path.is_file():
            raise ModelError(f"There is no model file {text}")
        if snapshot is None:
            return path
        if (run := run_of_model(path)) is not None:
            return run.model_file(snapshot)
        raise ModelError(f"{text} is a file and has no snapshots: name a run, or give no snapshot")
    if text == DEMO:
        demo = demo_path()
        if demo is None:
            raise ModelError("This installation lacks the model in the box: train a model of your own", Advice("train"))
        if snapshot is not None:
            raise ModelError("The model in the box has no snapshots: name a run, or give no snapshot")
        return demo
    try:
        run = find_run(text, runs_dir)
    except RunError:
        if Path(os.path.expanduser(text)).is_file():
            raise ModelError(
                f"{text} is not a .safetensors file: if it is a checkpoint of the reference script, import it first",
                Advice("import", text),
            ) from None
        raise
    return run.model_file(snapshot)


def demo_path() -> Path | None:
    """The file of the model in the box; ``None`` without one."""
    return shipped(_DEMO_FILE)


def model_words(name: str) -> str:
    """What a model is called in a sentence, by the name of its run or :data:`DEMO`."""
    return "the model in the box" if name == DEMO else name


def shipped(name: str) -> Path | None:
    """A file that comes with the program: in the installed package, or in ``checkpoints`` or ``docs`` of a clone;
    ``None`` for an installation without the file."""
    package = Path(charlstm.__file__).parent
    paths = (package / name, *(package.parents[1] / folder / name for folder in ("checkpoints", "docs")))
    return next((path for path in paths if path.is_file()), None)


def models_of_run(run: RunFolder, most: int = MOST_MODELS) -> list[tuple[int, Path]]:
    """The models of ``run`` with their steps: its best model and its snapshots, which may be of later steps. If there
    are more than ``most``, the snapshots are evenly chosen. Raises :class:`RunError` if it has no model yet."""
    from charlstm.model.file import read_info  # numpy: this module is imported when the app starts

    found = {snapshot.step: snapshot.path for snapshot in run.snapshots()}
    best = run.model_file()
    step = read_info(best)[1].get("step")
    if not isinstance(step, int):
        return evenly_chosen(sorted(found.items()), most)
    found[step] = best
    return evenly_chosen(sorted(found.items()), most, keep=(step, best))


def evenly_chosen(items: Sequence[Item], count: int, *, keep: Item | None = None) -> list[Item]:
    """Up to ``count`` of ``items``, evenly chosen: the first, the last, and some between.

    ``keep`` is a model that is always chosen, wherever it stands.
    """
    if keep is None or len(items) <= count:
        chosen = {round(n * (len(items) - 1) / max(1, count - 1)) for n in range(count)} if items else set()
        return [items[n] for n in sorted(chosen)]
    kept = items.index(keep)
    others = [n for n in range(len(items)) if n != kept]
    return [items[n] for n in sorted([kept, *evenly_chosen(others, count - 1)])]
