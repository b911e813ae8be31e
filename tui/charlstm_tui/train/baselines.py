"""What simpler models make of a run's held-out text: the chart's reference lines. Counted off the screen's thread, once
for each text and split."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from charlstm.errors import CharLSTMError
from charlstm.training.settings import Settings
from charlstm_tui.background import in_thread

References = tuple[tuple[str, float], ...]
_known: dict[tuple[Any, ...], References] = {}


async def references(record: Mapping[str, Any], settings: Settings) -> References | None:
    """(Label, nats per character) of each for the text of this record (``Corpus.to_record``), divided as ``settings``
    say; ``None`` while it has not been read, or when it is gone or changed."""
    fingerprint = record.get("fingerprint")
    if not isinstance(fingerprint, str) or not fingerprint:
        return None
    key = (fingerprint, settings.val_fraction, settings.split, settings.test_fraction)
    if key not in _known:
        try:
            _known[key] = await in_thread(lambda check: _count(record, settings))
        except CharLSTMError:
            return None
    return _known[key]


def _count(record: Mapping[str, Any], settings: Settings) -> References:
    from charlstm.text.corpus import reopen_corpus
    from charlstm.text.statistics import describe

    corpus = reopen_corpus(record)
    bits = describe(corpus, corpus.split(settings.val_fraction, settings.split, settings.test_fraction)).bits
    return tuple((name, value * math.log(2)) for name, value in (bits or {}).items() if value)
