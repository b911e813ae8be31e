"""Names that a person has given to cells of a model, kept in the user's state folder. A model's own file never
changes.

They stay with the weights, wherever their file is, and with the run: a cell stays the same cell while the run trains.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from charlstm.errors import CharLSTMError
from charlstm.model.file import Model
from charlstm.runs.folder import Run
from charlstm_tui.player.model_memory import ModelMemory

Cell = tuple[int, int]
"""Layer and cell, from 1."""

MEMORY = ModelMemory("cells.json", 1000, "The file of names of cells was")
"""The names by run and by weights."""
LONGEST = 40
"""Characters of a name."""


def recall(model: Model, run: Path | None) -> dict[Cell, str]:
    """The names of cells of ``model``, which is of ``run``. Raises :class:`GenerationError` when the file is a newer
    charlstm's."""
    return _names(MEMORY.read(), _keys(model, run))


def remember(model: Model, run: Path | None, cell: Cell, name: str) -> dict[Cell, str]:
    """Give a cell a name, or none with an empty one; returns all names of the model. Raises :class:`OSError` when they
    cannot be written, and :class:`GenerationError` as :func:`recall` does."""
    keys = _keys(model, run)
    with MEMORY.changing() as models:
        names = _names(models, keys)
        names.pop(cell, None)
        if name := name.strip()[:LONGEST]:
            names[cell] = name
        for key in keys:
            models.pop(key, None)  # it becomes the last one
            if names:
                models[key] = {f"{layer}:{at}": each for (layer, at), each in names.items()}
    return names


def _keys(model: Model, run: Path | None) -> list[str]:
    """What the names of a model are kept under: its run, which may have a better model by now, and its weights."""
    keys = [model.digest()]
    if run is not None:
        with contextlib.suppress(CharLSTMError, OSError):  # a run that is gone: the weights are still known
            keys.insert(0, f"run {Run(run).spec().created!r}")  # stays when the run is renamed
    return keys


def _names(models: dict[str, Any], keys: Sequence[str]) -> dict[Cell, str]:
    """The names under the first of these keys that has any."""
    entry: dict[str, Any] = next((models[key] for key in keys if isinstance(models.get(key), dict)), {})
    return {
        cell: name[:LONGEST] for text, name in entry.items() if (cell := _cell(text)) and isinstance(name, str) and name
    }


def _cell(text: str) -> Cell | None:
    layer, _, cell = text.partition(":")
    whole = all(part.isascii() and part.isdecimal() and len(part) < 7 for part in (layer, cell))
    return (int(layer), int(cell)) if whole else None
