"""Which model file a person means: a run's best, one of its snapshots, a file, or the model in the box."""

from __future__ import annotations

import os
from pathlib import Path

import charlstm
from charlstm.errors import Advice, ModelError, RunError
from charlstm.runs.folder import Run, find_run

DEMO = "demo"
_DEMO_FILE = "demo.safetensors"


def find_model(word: str | Path, runs_dir: str | Path | None = None, *, snapshot: int | None = None) -> Path:
    """The model file that ``word`` means: a ``.safetensors`` file, a run's name or folder (its best so far, or its
    snapshot after ``snapshot`` steps), or ``demo``.

    Raises :class:`ModelError` or :class:`RunError` in a sentence that says what there is instead.
    """
    text = os.fspath(word)
    if text.endswith(".safetensors"):
        path = Path(os.path.expanduser(text)).absolute()
        if not path.is_file():
            raise ModelError(f"There is no model file {text}")
        if snapshot is None:
            return path
        home = Run(path.parent.parent if path.parent.name == "snapshots" else path.parent)
        if home.exists():
            return home.model_file(snapshot)
        raise ModelError(f"{text} is a file and has no snapshots: name a run, or leave the snapshot away")
    if text == DEMO:
        demo = demo_path()
        if demo is None:
            raise ModelError("This installation has no demo model: train a model of your own", Advice("train"))
        if snapshot is not None:
            raise ModelError("The model in the box has no snapshots: name a run, or leave the snapshot away")
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
    """The model in the box: in the installed package, else in the clone's ``checkpoints``; ``None`` without one."""
    package = Path(charlstm.__file__).parent
    places = (package / _DEMO_FILE, package.parents[1] / "checkpoints" / _DEMO_FILE)
    return next((place for place in places if place.is_file()), None)
