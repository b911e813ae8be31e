"""Keep what a model has read of a text in the cache folder, so that the text is not read again when it is opened.

An entry has the figures and some hidden states of one text, for one model. It may be deleted at any time: the model
reads the text again then, half a millisecond for each character.
"""

from __future__ import annotations

import contextlib
import io
import os
import zipfile
from pathlib import Path

import numpy as np

from charlstm import storage
from charlstm.errors import CharLSTMError
from charlstm.generation.document import Document
from charlstm.generation.prime import read_prime
from charlstm.generation.reading import Reading
from charlstm.generation.recipe import Recipe
from charlstm.generation.stepper import Stepper
from charlstm.model.file import Model
from charlstm.paths import cache_dir

MOST_BYTES = 200_000_000
"""Of all entries together; the oldest are deleted first."""
LEAST_LENGTH = 200
"""A shorter text is read in less time than a look at the folder takes."""


def keep(reading: Reading, path: Path) -> None:
    """Keep what was read of a text that is saved at ``path``. Raises :class:`OSError`, :class:`CharLSTMError`."""
    if reading.read_to - reading.prime_length < LEAST_LENGTH:
        return
    content = io.BytesIO()
    np.savez(content, **reading.to_arrays())
    file = _entry(reading.weights_digest, path)
    file.parent.mkdir(mode=storage.PRIVATE_FOLDER, exist_ok=True)
    storage.replace_bytes(file, content.getvalue())
    _forget(file.parent)


def recall(path: Path, document: Document, model: Model, stepper: Stepper, recipe: Recipe) -> Reading | None:
    """What was kept for ``path``, which may be of another text than the document's by now; None where that has another
    prime, or nothing usable is kept."""
    with contextlib.suppress(CharLSTMError, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        with np.load(_entry(model.digest(), path), allow_pickle=False) as kept:
            values = {name: kept[name] for name in kept.files}
        prime = read_prime(model, document.text.read(0, document.prime_length))
        return Reading.from_arrays(values, model, prime, recipe, stepper=stepper)
    return None


def _entry(weights: str, path: Path) -> Path:
    return cache_dir() / "readings" / f"{path.stem}-{weights[:16]}.npz"


def _forget(folder: Path) -> None:
    """Delete the oldest entries, as far as there are too many."""
    size = 0
    for file in sorted(folder.glob("*.npz"), key=os.path.getmtime, reverse=True):
        size += file.stat().st_size
        if size > MOST_BYTES:
            storage.disk.unlink(file)
