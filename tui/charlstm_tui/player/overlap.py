"""Is it copying? Compares what is generated with the training text of the run that is played, in a thread of its own.

What counts as copied is ``charlstm.generation.novelty``'s. A run whose text is gone gives no answer, and no complaint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from charlstm.display import visible
from charlstm.errors import CharLSTMError
from charlstm.generation.novelty import Match, Novelty, NoveltyIndex
from charlstm.runs.folder import Run
from charlstm.text.batches import trained_spans
from charlstm.text.corpus import Corpus, reopen_corpus
from charlstm_tui.background import in_thread

EVERY = 0.5
"""Seconds between two looks at the text."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """``share`` of the text stands word for word in the training text: ``matches``, positions in the text."""

    text: str
    share: float
    matches: tuple[Match, ...]


async def watch(
    folder: Path, min_length: int, text: Callable[[], str], tell: Callable[[Corpus, Overlap], None]
) -> None:
    """Look at ``text()`` now and then, and tell what of it is copied when it has changed. Goes on until cancelled.

    Shorter stretches than ``min_length`` do not count.
    """
    try:
        novelty = await in_thread(lambda check: _open(folder, min_length))
    except (CharLSTMError, OSError):
        return
    seen = ""
    while True:
        await asyncio.sleep(EVERY)
        now = text()
        if now != seen:
            seen = now
            report = await in_thread(lambda check, now=now: novelty.update(now))  # type: ignore[misc]
            tell(novelty.index.corpus, Overlap(now, report.share, report.matches))


def _open(folder: Path, min_length: int) -> Novelty:
    spec = Run(folder).spec()
    corpus = reopen_corpus(spec.corpus)
    settings = spec.settings
    train = trained_spans(corpus, settings.val_fraction, settings.split, settings.test_fraction)
    return Novelty(NoveltyIndex(corpus, min_length, train))


def place_of(corpus: Corpus, match: Match) -> str:
    """Where a match comes from, in words."""
    newline = corpus.vocabulary.index("\n")
    line = 1 if newline is None else 1 + int((corpus.ids[: match.where] == newline).sum())
    return f"{match.length} characters as in line {line:,} of {visible(corpus.name, keep='')}"
