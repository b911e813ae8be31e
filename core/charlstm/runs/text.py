"""The text of a run: ``text.bin`` in its folder, so that nothing else is needed to resume it.

The file has the ids of the text in the text's own vocabulary, which is in ``run.json``, and is a hard link to the file
in the cache where that is possible.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy import typing as npt  # not "import numpy.typing", beside which another thread cannot import numpy

from charlstm import storage
from charlstm.errors import CharLSTMError, TextError
from charlstm.runs.folder import RunFolder
from charlstm.text import cache
from charlstm.text.corpus import Corpus, open_ids, reopen_corpus
from charlstm.text.sources import ProgressCallback
from charlstm.text.statistics import describe

_PIECE = 4 * 1024 * 1024


def keep_text(run: RunFolder, corpus: Corpus) -> dict[str, Any]:
    """Put the text ``corpus`` into the folder of ``run``, and return what ``run.json`` says about it. Only for the
    process that creates the run, and then for its worker. Raises :class:`OSError`."""
    if corpus.path != run.text_path:
        if corpus.line_begins_path is not None:
            _keep(corpus.line_begins_path, run.path / corpus.line_begins_path.name, corpus.joined_lines())
        _keep(corpus.path, run.text_path, corpus.ids)
    return corpus.to_record() | {"vocabulary": corpus.vocabulary.to_dict(), "counts": corpus.counts.tolist()}


def _keep(source: Path | None, target: Path, content: npt.NDArray[Any]) -> None:
    """Make ``target`` a link to the file ``source``, or write ``content``, which is in it, where that cannot be."""
    try:
        if source is None:
            raise FileNotFoundError
        os.chmod(source, storage.PRIVATE_FILE)  # a link has the permissions of the file
        storage.link_file(source, target)
    except OSError:  # another disk, one without hard links, or the cache was emptied since

        def write(file: BinaryIO) -> None:
            for start in range(0, len(content), _PIECE):
                file.write(content[start : start + _PIECE].data)

        storage.replace_file(target, write)


def open_text(run: RunFolder, *, progress: ProgressCallback | None = None) -> Corpus:
    """Open and verify the text of ``run``. A text that is missing in its folder or damaged comes from the unchanged
    cache or source. Raises :class:`TextError` where that fails too, and :class:`RunError`."""
    record = run.spec().corpus
    with contextlib.suppress(*cache.UNREADABLE):
        return open_ids(run.text_path, record)
    try:
        return reopen_corpus(record, progress=progress)
    except TextError as error:
        if run.text_path.exists():
            raise TextError(f"{run.text_path} is damaged, and the text cannot be read again: {error}") from None
        raise


def units_of_text(run: RunFolder) -> frozenset[str]:
    """The units of the text of ``run``, also those that were held out."""
    corpus = open_text(run)
    return frozenset(corpus.text(*span) for span in corpus.units)


def baseline_losses(run: RunFolder) -> dict[str, float]:
    """The losses of simple models on the held-out part of the text of ``run``, in nats per character, by their labels
    (:data:`charlstm.text.baselines.BASELINES`); of a text that is too short for them, the entropy of its letter
    frequencies. None where the text is gone."""
    try:
        corpus, settings = open_text(run), run.spec().settings
    except (CharLSTMError, OSError):
        return {}
    found = describe(corpus, corpus.split(settings.val_fraction, settings.split, settings.test_fraction))
    if found.too_little is None:
        return found.losses
    shares = corpus.counts[corpus.counts > 0] / corpus.chars
    return {"order 0": float(-(shares * np.log(shares)).sum())}
