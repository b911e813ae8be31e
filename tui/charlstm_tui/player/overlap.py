"""Find passages of the generated text that stand in the training text of its run, on background threads.

What counts as copied is decided by ``charlstm.generation.novelty``.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from charlstm.display import visible
from charlstm.errors import CharLSTMError
from charlstm.generation.novelty import Match, Novelty, NoveltyIndex
from charlstm.runs.folder import Run
from charlstm.runs.text import open_text
from charlstm.text.batches import trained_spans
from charlstm.text.corpus import Corpus
from charlstm_tui.background import in_thread

INTERVAL = 0.5
"""Seconds between two checks of the text."""
BLOCK = 1 << 16


class LineIndex:
    """Line numbers of positions in a corpus: newlines counted once for each block, so that a look-up is short."""

    def __init__(self, corpus: Corpus) -> None:
        self._ids = corpus.ids
        self._newline = corpus.vocabulary.index("\n")
        starts = range(0, len(corpus.ids), BLOCK)
        counts = [0 if self._newline is None else self._newlines(start, start + BLOCK) for start in starts]
        self._before: npt.NDArray[np.int64] = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])

    def _newlines(self, start: int, stop: int) -> int:
        return int(np.count_nonzero(self._ids[start:stop] == self._newline))

    def line(self, position: int) -> int:
        """The number of the line with ``position``, from 1."""
        if self._newline is None:
            return 1
        block = position // BLOCK
        return 1 + int(self._before[block]) + self._newlines(block * BLOCK, position)


@dataclass(frozen=True, slots=True)
class Overlap:
    """``share`` of the text is copied. ``matches`` are its copied passages, as far as they are still in the text."""

    share: float
    matches: tuple[Match, ...]
    corpus_name: str
    lines: LineIndex

    def match_at(self, position: int) -> Match | None:
        """The copied passage at a position of the text."""
        return next((match for match in self.matches if match.start <= position < match.stop), None)

    def source(self, match: Match) -> str:
        """Where a copied passage comes from, in words."""
        return f"{match.length} characters as in line {self.lines.line(match.where):,} of {self.corpus_name}"


class OverlapCheck:
    """Compares a growing text with the training text of a run. Passages shorter than ``min_length`` do not count."""

    def __init__(self, run: Path, min_length: int) -> None:
        self._run, self._min_length = run, min_length
        self._changes: list[tuple[int, int, str]] = []
        self._ended = False  # then changes are of no use any more
        self._unchanged: float = 0  # characters from the start that are as in the text of the last check

    def replace(self, start: int, stop: int, text: str) -> None:
        """``text`` came in the place of the characters from ``start`` to ``stop``."""
        if self._ended:
            return
        self._unchanged = min(self._unchanged, start)
        self._changes.append((start, stop, text))

    async def watch(self, tell: Callable[[Overlap], None]) -> None:
        """Check the text when it has changed, every :data:`INTERVAL` seconds at most, and tell the result, until
        cancelled. Ends if the training text is gone."""
        try:
            novelty, lines = await in_thread(lambda check: open_novelty(self._run, self._min_length))
        except (CharLSTMError, OSError):
            self._ended = True
            self._changes.clear()
            return
        corpus = novelty.index.corpus
        name = visible(corpus.name, keep="")
        text = ""
        while True:
            await asyncio.sleep(INTERVAL)
            if not self._changes:
                continue
            changes, self._changes = self._changes, []
            self._unchanged = math.inf

            def compare(check: object, text: str = text, changes: list[tuple[int, int, str]] = changes) -> str:
                for start, stop, new in changes:
                    text = text[:start] + new + text[stop:]
                return text

            text = await in_thread(compare)
            report = await in_thread(lambda check, text=text: novelty.update(text))  # type: ignore[misc]
            # The text may have changed meanwhile: what is said of the changed part would be about another text.
            matches = tuple(match for match in report.matches if match.stop <= self._unchanged)
            tell(Overlap(report.share, matches, name, lines))


def open_novelty(folder: Path, min_length: int) -> tuple[Novelty, LineIndex]:
    """The search in what a run was trained on. Raises :class:`CharLSTMError` or :class:`OSError` if it is gone."""
    run = Run(folder)
    corpus, settings = open_text(run), run.spec().settings
    train = trained_spans(corpus, settings.val_fraction, settings.split, settings.test_fraction)
    return Novelty(NoveltyIndex(corpus, min_length, train)), LineIndex(corpus)
