"""The text of a run: ``text.bin`` in its folder, so that nothing else is needed to resume it.

The file has the ids of the text in the text's own vocabulary, which is in ``run.json``, and is a hard link to the file
in the cache where that is possible. A run of version 0.2 or 0.3 gets it when it is next resumed.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, BinaryIO

from charlstm import storage
from charlstm.errors import TextError
from charlstm.runs.folder import Run
from charlstm.text import cache
from charlstm.text.corpus import Corpus, open_ids, reopen_corpus
from charlstm.text.sources import ProgressCallback

_PIECE = 4 * 1024 * 1024


def keep_text(run: Run, corpus: Corpus) -> dict[str, Any]:
    """Put the text ``corpus`` into the folder of ``run``, and return what ``run.json`` says about it. Only for the
    process that creates the run, and then for its worker. Raises :class:`OSError`."""
    if corpus.path != run.text_path:
        try:
            if corpus.path is None:
                raise FileNotFoundError
            os.chmod(corpus.path, storage.PRIVATE_FILE)  # a link has the permissions of the file
            storage.link_file(corpus.path, run.text_path)
        except OSError:  # another disk, one without hard links, or the cache was emptied since

            def write(file: BinaryIO) -> None:
                for start in range(0, len(corpus.ids), _PIECE):
                    file.write(corpus.ids[start : start + _PIECE].data)

            storage.replace_file(run.text_path, write)
    return corpus.to_record() | {"vocabulary": corpus.vocabulary.to_dict(), "counts": corpus.counts.tolist()}


def open_text(run: Run, *, progress: ProgressCallback | None = None) -> Corpus:
    """Open and verify the text of ``run``. Where it is not in its folder, or damaged, it comes from the cache or its
    source if these are unchanged. Raises :class:`TextError` where that fails too, and :class:`RunError`."""
    record = run.spec().corpus
    with contextlib.suppress(*cache.UNREADABLE):
        return open_ids(run.text_path, record)
    try:
        return reopen_corpus(record, progress=progress)
    except TextError as error:
        if run.text_path.exists():
            raise TextError(f"{run.text_path} is damaged, and the text cannot be read again: {error}") from None
        raise
