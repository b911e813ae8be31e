"""Find passages of the generated text that its model has read, on background threads: in the training text of its run,
and by hashes of passages in what is not here, such as the books of the model in the box.

What counts as copied is decided by ``charlstm.generation.novelty``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from charlstm.display import visible
from charlstm.errors import CharLSTMError
from charlstm.generation.document import State
from charlstm.generation.novelty import (
    Match,
    Novelty,
    NoveltyIndex,
    NoveltyReport,
    known_units,
    with_known_passages,
    with_matches,
)
from charlstm.model.file import load_model
from charlstm.runs.folder import RunFolder
from charlstm.runs.start_models import with_passages
from charlstm.runs.text import open_text
from charlstm.text.batches import TrainingText
from charlstm.text.corpus import Corpus, Span
from charlstm.text.passages import SURE, Passages
from charlstm_tui.background import in_thread

INTERVAL = 0.5
"""Seconds between two checks of the text."""


class LineIndex:
    """Line numbers of positions in a corpus, as those of :func:`charlstm.text.corpus.line_numbers`."""

    def __init__(self, corpus: Corpus) -> None:
        self._ended = np.flatnonzero(corpus.ids == corpus.vocabulary.index("\n"))
        self._joined = corpus.joined_lines()

    def line(self, position: int) -> int:
        """The number of the line of the files with ``position``, from 1."""
        return 1 + int(np.searchsorted(self._ended, position) + np.searchsorted(self._joined, position, "right"))


@dataclass(frozen=True, slots=True)
class OverlapSearch:
    """What a text is compared with: the training text of a run, if it is here, with its lines, and passages of texts
    that are not here, if their hashes are ``known``."""

    novelty: Novelty | None
    lines: LineIndex | None
    known: Passages | None
    min_length: int
    units: Mapping[str, int] | None = None
    """The units of the training text, and where each one begins, if it was read as units."""

    def update(self, text: str, prime: str = "") -> tuple[NoveltyReport, tuple[int, int] | None]:
        """Report on ``text``, which follows a prime; and how many of its whole units are known, and how many there
        are."""
        exact = None if self.novelty is None else self.novelty.update(text)
        report = with_known_passages(exact, text, self.known, self.min_length)
        if self.novelty is None or self.units is None:
            return report, None
        kind = self.novelty.index.corpus.options.units or ""
        found, whole = known_units(prime + text, kind, self.units)
        at = len(prime)
        matches = [Match(max(0, each.start - at), each.stop - at, each.where) for each in found if each.stop > at]
        return with_matches(report, text, matches), (len(found), whole)

    @property
    def corpus_name(self) -> str:
        """The name of the training text; empty where it is not here."""
        return "" if self.novelty is None else visible(self.novelty.index.corpus.name, keep="")

    @property
    def nothing_found(self) -> str:
        """What is true of a text in which nothing was found, in the columns that a terminal of 80 has for it."""
        if self.known is None:
            return f"No {self.min_length} characters in a row stand in {self.corpus_name}."
        where = "its texts are not here:" if self.novelty is None else "of what it read before,"
        return f"Nothing found; {where} {MAY_BE_MISSED}."


MAY_BE_MISSED = f"below {SURE} characters may be missed"


@dataclass(frozen=True, slots=True)
class Overlap:
    """``share`` of the text is copied. ``matches`` are its copied passages, as far as they are still in the text."""

    share: float
    matches: tuple[Match, ...]
    search: OverlapSearch
    units: tuple[int, int] | None = None
    """How many of the whole units of the text are known, and how many there are."""

    @property
    def figure(self) -> float | None:
        """``share`` as it is shown: not where nothing was found in a text that is not here."""
        return self.share if self.share or self.search.known is None else None

    def match_at(self, position: int) -> Match | None:
        """The copied passage at a position of the text."""
        return next((match for match in self.matches if match.start <= position < match.stop), None)

    def source(self, match: Match) -> str:
        """Where a copied passage comes from, in words."""
        if match.where is None or self.search.lines is None:
            return f"{match.length} characters or more that it has read; {MAY_BE_MISSED}"
        line = self.search.lines.line(match.where)
        return f"{match.length} characters as in line {line:,} of {self.search.corpus_name}"


class OverlapCheck:
    """Compares a growing text, which ``current`` gives, with what the model in the file ``model``, of ``run`` if it is
    of one, has read. Passages shorter than ``min_length`` do not count."""

    def __init__(self, run: Path | None, model: Path, min_length: int, current: Callable[[], State]) -> None:
        self._run, self._model, self._min_length, self._current = run, model, min_length, current
        self.ended = False
        """Whether it is known that nothing is known of what the model has read."""
        self._checked: State | None = None

    def check_again(self) -> None:
        """Check the text again, although it may have stayed: what was told of it is forgotten."""
        self._checked = None

    async def watch(self, tell: Callable[[Overlap], None]) -> None:
        """Check the text when it has changed, every :data:`INTERVAL` seconds at most, and tell the result, until
        cancelled. Ends if it is not known what the model has read."""
        search = await in_thread(lambda check: open_search(self._run, self._model, self._min_length))
        if search is None:
            self.ended = True
            return
        while True:
            await asyncio.sleep(INTERVAL)
            state, checked = self._current(), self._checked
            if checked is not None and checked.text is state.text and checked.prime_length == state.prime_length:
                continue
            report, units = await in_thread(partial(_compare, search, state))
            self._checked, now = state, self._current()
            if now.prime_length != state.prime_length:
                continue
            # The text may have changed meanwhile: what is said of the changed part would be about another text.
            unchanged = now.text.same_start(state.text, sources=False) - now.prime_length
            matches = tuple(match for match in report.matches if match.stop <= unchanged)
            tell(Overlap(report.share, matches, search, units))


def _compare(
    search: OverlapSearch, state: State, check: Callable[[], None]
) -> tuple[NoveltyReport, tuple[int, int] | None]:
    text, prime = state.text, state.prime_length
    return search.update(text.read(prime), text.read(0, prime))


def open_search(run: Path | None, model: Path, min_length: int) -> OverlapSearch | None:
    """The search in what the model in a file has read; ``None`` if that is not known. The training text of a ``run``
    that began with random weights is all that it has read."""
    novelty = lines = known = units = None
    with contextlib.suppress(CharLSTMError, OSError):
        if run is not None:
            novelty, lines, train = open_novelty(run, min_length)
            units = novelty.index.corpus.unit_positions(train) or None
    with contextlib.suppress(CharLSTMError, OSError):
        if run is None or novelty is None or RunFolder(run).spec().lineage:
            known = with_passages(load_model(model)).passages
    return None if novelty is None and known is None else OverlapSearch(novelty, lines, known, min_length, units)


def open_novelty(folder: Path, min_length: int) -> tuple[Novelty, LineIndex, tuple[Span, ...]]:
    """The search in what a run was trained on, and where that stands in its text. Raises :class:`CharLSTMError` or
    :class:`OSError` if it is gone."""
    run = RunFolder(folder)
    corpus, settings = open_text(run), run.spec().settings
    split = (settings.val_fraction, settings.split, settings.test_fraction)
    train = TrainingText.of(corpus, corpus.vocabulary, *split).parts.train
    return Novelty(NoveltyIndex(corpus, min_length, train)), LineIndex(corpus), train
