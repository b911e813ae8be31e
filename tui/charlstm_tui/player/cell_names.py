"""Names that a person has given to cells of a model, kept in the user's state folder. A model's own file never
changes.

They stay with the weights, wherever their file is, and with the run: a cell stays the same cell while the run trains.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from charlstm import paths, storage
from charlstm.errors import CharLSTMError, GenerationError
from charlstm.generation.saving import model_digest
from charlstm.model.file import Model
from charlstm.runs.folder import Run

Cell = tuple[int, int]
"""Layer and cell, from 1."""

FORMAT = 1
MOST_MODELS = 1000
"""Runs and weights whose names are kept; the one that was changed least recently is forgotten first."""
MOST_BYTES = 4_000_000
LONGEST = 40
"""Characters of a name."""


def state_file() -> Path:
    """Where they are kept."""
    return paths.state_dir(make=False) / "cells.json"


def recall(model: Model, run: Path | None) -> dict[Cell, str]:
    """The names of cells of ``model``, which is of ``run``. Raises :class:`GenerationError` when the file is a newer
    charlstm's."""
    return _names(_read(), _keys(model, run))


def remember(model: Model, run: Path | None, cell: Cell, name: str) -> dict[Cell, str]:
    """Give a cell a name, or none with an empty one; returns all names of the model. Raises :class:`OSError` when they
    cannot be written, and :class:`GenerationError` as :func:`recall` does."""
    path, keys = state_file(), _keys(model, run)
    path.parent.mkdir(mode=storage.PRIVATE_FOLDER, parents=True, exist_ok=True)
    with storage.changing(path):
        models = _read()
        names = _names(models, keys)
        names.pop(cell, None)
        if name := name.strip()[:LONGEST]:
            names[cell] = name
        for key in keys:
            models.pop(key, None)  # it becomes the last one
            if names:
                models[key] = {f"{layer}:{at}": each for (layer, at), each in names.items()}
        while len(models) > MOST_MODELS:
            del models[next(iter(models))]
        content = json.dumps({"format": FORMAT, "models": models}, ensure_ascii=False)
        storage.replace_bytes(path, content.encode("utf-8", "surrogatepass"))
    return names


def _keys(model: Model, run: Path | None) -> list[str]:
    """What the names of a model are kept under: its run, which may have a better model by now, and its weights."""
    keys = [model_digest(model)]
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


def _read() -> dict[str, Any]:
    try:
        content = storage.read_json(state_file(), most=MOST_BYTES)
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    version, models = content.get("format"), content.get("models")
    if type(version) is int and version > FORMAT:
        raise GenerationError(
            f"The names of cells were written by a newer charlstm (format {version}) and stay as they are; update "
            f"charlstm to use them, or delete {state_file()}"
        )
    return models if isinstance(models, dict) else {}
