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
from charlstm.generation.prime import Prime, read_prime
from charlstm.generation.recipe import Recipe
from charlstm.generation.session import Session
from charlstm.generation.session_file import model_digest, weights_digest
from charlstm.generation.stepper import Stepper
from charlstm.generation.tree import STATE_INTERVAL, Pending, TreeBranch, row_type
from charlstm.model.file import Model
from charlstm.paths import cache_dir

MOST_ENTRIES = 20
MOST_BYTES = 200_000_000
"""Of all entries together; the oldest are deleted first."""
MOST_STATES = 64
"""Hidden states of an entry, spread over the text."""
LEAST_LENGTH = 200
"""A shorter text is read in less time than a look at the folder takes."""


def keep(session: Session, path: Path) -> None:
    """Keep what was read of the current text of a session that is saved at ``path``. Raises :class:`OSError`,
    :class:`CharLSTMError`."""
    length = len(session)
    if length < LEAST_LENGTH:
        return
    interval = STATE_INTERVAL
    while length // interval > MOST_STATES:
        interval *= 2
    places = [at for at in range(0, length + 1, interval) if session.state_at(at) is not None]
    content = io.BytesIO()
    np.savez(
        content, prime=session.prime_ids, rows=session.rows(), limits=session.mirostat_limits(), places=places,
        seeds=np.array([str(seed) for seed in session.seeds]), states=np.array([session.state_at(at) for at in places]),
    )  # fmt: skip
    if content.tell() > MOST_BYTES:
        return
    file = _entry(weights_digest(session), path)
    file.parent.mkdir(mode=storage.PRIVATE_FOLDER, exist_ok=True)
    storage.replace_bytes(file, content.getvalue())
    _forget(file.parent)


def recall(path: Path, document: Document, model: Model, stepper: Stepper, recipe: Recipe) -> Session | None:
    """A session that has read what was kept for ``path``, which may be another text than the document's by now; None
    where that has another prime, or nothing usable is kept."""
    with contextlib.suppress(CharLSTMError, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        with np.load(_entry(model_digest(model), path), allow_pickle=False) as kept:
            values = {name: kept[name] for name in kept.files}
        return _session(values, document, model, stepper, recipe)
    return None


def _session(
    values: dict[str, np.ndarray], document: Document, model: Model, stepper: Stepper, recipe: Recipe
) -> Session | None:
    """Raises :class:`ValueError` or :class:`KeyError` for values that were not written here."""
    rows, limits, states, prime = values["rows"], values["limits"], values["states"], values["prime"]
    vocabulary, text = model.vocabulary, document.text.read(0, document.prime_length)
    shape = (len(values["places"]), *stepper.zero_state().pack().shape)
    fits = rows.dtype == row_type(len(vocabulary)) and limits.shape == rows.shape and states.shape == shape
    if not fits or not len(prime) or max(prime.max(), *(rows[name].max() for name in ("id", "ids"))) >= len(vocabulary):
        raise ValueError("it is of another model")
    if not np.isfinite(states).all() or rows["seed"].max() >= len(values["seeds"]):
        raise ValueError("it is damaged")
    if not np.array_equal(read_prime(model, text).ids, prime):
        return None
    branch = TreeBranch(None, 0, tuple(vocabulary.symbols), Pending(len(vocabulary)))
    branch.fill(rows)
    branch.mirostat.extend(limits.astype(np.float32).tolist())
    branch.states = {int(at): state for at, state in zip(values["places"], states, strict=True)}
    session = Session.restored(
        model, Prime(text, prime, {}), recipe, stepper=stepper, tree={0: branch}, tip=branch, position=0,
    )  # fmt: skip
    session.seeds = [int(seed) for seed in values["seeds"]]
    session.seed = recipe.seed
    return session


def _entry(weights: str, path: Path) -> Path:
    return cache_dir() / "readings" / f"{path.stem}-{weights[:16]}.npz"


def _forget(folder: Path) -> None:
    """Delete the oldest entries, as far as there are too many."""
    files = sorted(folder.glob("*.npz"), key=os.path.getmtime, reverse=True)
    size = 0
    for number, file in enumerate(files):
        size += file.stat().st_size
        if number >= MOST_ENTRIES or size > MOST_BYTES:
            storage.disk.unlink(file)
