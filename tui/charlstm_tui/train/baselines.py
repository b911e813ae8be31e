"""The losses of simple models on a run's held-out text, for the chart's reference lines and for Train before a run.

They are counted in a thread, once for each text and split.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual.cache import LRUCache

from charlstm.errors import CharLSTMError
from charlstm.runs.folder import RunFolder
from charlstm.runs.text import baseline_losses as losses_for_run
from charlstm.text.corpus import reopen_corpus
from charlstm.text.statistics import describe
from charlstm.training.settings import Settings
from charlstm_tui.background import in_thread

BaselineLosses = tuple[tuple[str, float], ...]
_counted: LRUCache[tuple[Any, ...], BaselineLosses] = LRUCache(maxsize=32)
"""By the text's fingerprint and its split, since a text of 8 million characters takes seconds to count."""


async def baseline_losses(
    record: Mapping[str, Any], settings: Settings, run: RunFolder | None = None
) -> BaselineLosses | None:
    """(Label, nats per character) of each simple model, on the text of ``record`` (``Corpus.to_record``), which ``run``
    has if there is one, split as ``settings`` say. Labels are those of ``charlstm.text.statistics``;
    ``formatting.baseline_name`` has words for them. ``None`` while the text has not been read, or when it is gone or
    changed."""
    fingerprint = record.get("fingerprint")
    if not isinstance(fingerprint, str) or not fingerprint:
        return None
    key = (fingerprint, settings.val_fraction, settings.split, settings.test_fraction, run is None)
    if (found := _counted.get(key)) is None:
        try:
            found = await in_thread(lambda check: _count(record, settings, run))
        except CharLSTMError:
            return None
        _counted[key] = found
    return found


def _count(record: Mapping[str, Any], settings: Settings, run: RunFolder | None) -> BaselineLosses:
    if run is not None:
        return tuple(losses_for_run(run).items())
    corpus = reopen_corpus(record)
    found = describe(corpus, corpus.split(settings.val_fraction, settings.split, settings.test_fraction))
    return tuple(found.losses.items())
