"""Find passages of a text that are copied word for word from a corpus. Exact; not for fuzzy similarity.

An index of every s-th passage of k characters of the corpus finds every match of at least ``k + s − 1`` characters,
since such a match contains one of them. Candidates are then compared character by character. Building the index takes
well under a second for 10 MB, so it is not stored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from charlstm import arguments
from charlstm.display import short_repr
from charlstm.errors import GenerationError
from charlstm.text.corpus import Corpus
from charlstm.text.passages import Passages, known_stretches
from charlstm.text.unit_kinds import prefix, separator

MIN_LENGTH = 30
"""Shorter passages are not reported by default: any English text shares many of them with another."""

MAX_ENTRIES = 20_000_000
"""Most passages in an index (320 MB). Of a corpus with more, only the beginning is searched."""

_MANY = 20_000
"""A passage that the corpus repeats more often, such as a line of dashes, is searched as bytes: comparing all places
where it could be takes seconds and a gigabyte."""

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
Integers = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Match:
    """``text[start:stop]`` equals ``corpus.text(where, where + stop - start)`` and ends where the two differ; or, with
    ``None``, it is known to stand in a text that is not here (see :func:`with_known_passages`)."""

    start: int
    stop: int
    where: int | None

    @property
    def length(self) -> int:
        """In characters."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class NoveltyReport:
    """The copied passages of a text.

    Attributes:
        chars: number of characters of the text.
        copied: number of characters that are in one or more of ``matches``.
        matches: in the order of the text. Each has at least the index's ``min_length`` and is the longest from where it
            starts. Two may overlap by fewer characters than that.
    """

    JSON_FIELDS: ClassVar = ("chars", "copied", "share")

    chars: int
    copied: int
    matches: tuple[Match, ...]

    __repr__ = short_repr

    @property
    def share(self) -> float:
        """Share of the characters that are copied, 0 to 1."""
        return self.copied / self.chars if self.chars else 0.0


def novelty(
    text: str,
    corpus: Corpus,
    *,
    min_length: int = MIN_LENGTH,
    spans: Sequence[tuple[int, int]] | None = None,
) -> NoveltyReport:
    """Find the passages of ``text`` that are copied word for word from ``corpus``.

    For several texts and one corpus, or for a text that grows, build a :class:`NoveltyIndex` once.

    Args:
        min_length: passages of fewer characters do not count; at least 2.
        spans: ``(start, stop)`` positions in the corpus that are searched, such as ``corpus.split().train``; None is
            all of it.

    Raises:
        GenerationError: ``min_length`` is not at least 2, or ``spans`` are not in the corpus.
    """
    arguments.instance("corpus", corpus, Corpus, "a Corpus, such as charlstm.open_corpus gives")
    for start, stop in spans or ():
        if not 0 <= start <= stop <= corpus.chars:
            raise GenerationError(f"spans takes pairs of positions from 0 to {corpus.chars:,}, not {start}, {stop}")
    return Novelty(NoveltyIndex(corpus, min_length, spans)).update(text)


def _report(text: str, matches: Sequence[Match]) -> NoveltyReport:
    copied = end = 0
    for match in matches:
        copied += max(0, match.stop - max(match.start, end))
        end = max(end, match.stop)
    return NoveltyReport(len(text), copied, tuple(matches))


def with_known_passages(
    report: NoveltyReport | None, text: str, known: Passages | None, min_length: int = MIN_LENGTH
) -> NoveltyReport:
    """``report`` on ``text``, ``None`` where there is no corpus to search, with the stretches that a model has read in
    texts which are not here: only hashes of some passages are ``known`` of those. Of stretches of
    :data:`~charlstm.text.passages.SURE` characters one in fifteen is not found, of shorter ones more.
    """
    stretches = [] if known is None else known_stretches(known, text)
    added = [Match(start, stop, None) for start, stop in stretches if stop - start >= min_length]
    return with_matches(report or _report(text, ()), text, added)


def known_units(text: str, units: str, known: Mapping[str, int]) -> tuple[list[Match], int]:
    """The units of ``text`` that are ``known``, with their positions in a corpus, however short they are; and how many
    whole ones there are."""
    start = prefix(units)
    if start:
        begins = [found.start() for found in re.finditer(rf"(?m)^{re.escape(start)}", text)]
        whole = list(pairwise(begins))
    else:
        ends = [0, *(found.end() for found in re.finditer(rf"{separator(units)}\n*", text))]
        whole = [(begin, end) for begin, end in pairwise(ends) if text[begin:end].strip("\n")]
    pieces = [(begin, text[begin:end].rstrip("\n")) for begin, end in whole]
    matches = [Match(begin, begin + len(unit), known[unit]) for begin, unit in pieces if unit in known]
    return matches, len(whole)


def with_matches(report: NoveltyReport, text: str, added: Sequence[Match]) -> NoveltyReport:
    """``report`` on ``text`` with those of ``added`` that are not part of another match."""
    new = [
        match for match in added
        if not any(each.start <= match.start and match.stop <= each.stop for each in report.matches)
    ]  # fmt: skip
    return _report(text, sorted((*report.matches, *new), key=lambda each: each.start))


class NoveltyIndex:
    """An index of a corpus for passages of at least ``min_length`` characters.

    Args:
        corpus: the text to search in.
        min_length: at least 2.
        spans: ``(start, stop)`` positions to search, such as those that a model was trained on; None is all.

    Raises:
        GenerationError: ``min_length`` is not a whole number of at least 2.

    Attributes:
        searched: number of characters of the corpus that are searched: fewer than all only beyond :data:`MAX_ENTRIES`.
    """

    def __init__(
        self, corpus: Corpus, min_length: int = MIN_LENGTH, spans: Sequence[tuple[int, int]] | None = None
    ) -> None:
        min_length = arguments.number("The length of the shortest passage", min_length, 2, 2**31)
        self.corpus, self.min_length = corpus, min_length
        self._stride = max(1, min_length // 3)
        self._gram = min_length - self._stride + 1
        self.searched = min(len(corpus.ids), MAX_ENTRIES * self._stride)
        self._ids = corpus.ids[: self.searched]
        if spans is not None:  # an id that no text has replaces what is outside
            inside = np.full(len(self._ids), len(corpus.vocabulary) + 1, np.int32)
            for start, stop in spans:
                inside[start:stop] = self._ids[start:stop]
            self._ids = inside
        hashes = self._hashes(self._ids, self._stride)
        order = np.argsort(hashes, kind="stable")
        self._sorted = hashes[order]
        self._positions = order * self._stride
        self._raw = b""  # the searched ids, once they are needed

    def encode(self, text: str) -> npt.NDArray[np.int64]:
        """The ids of ``text`` in the corpus' vocabulary ``(N,)``; unknown characters get an id that never matches."""
        vocabulary = self.corpus.vocabulary
        ids, _ = vocabulary.encode(text)
        return np.where(vocabulary.knows(text, ids), ids, len(vocabulary))

    def longest(self, ids: Integers, start: int, hits: tuple[Integers, Integers]) -> tuple[int, int]:
        """The longest passage from ``ids[start]`` on that is in the corpus: ``(length, where)``, or ``(0, 0)``.

        ``hits`` is what :meth:`hits` returned for ``ids``.
        """
        starts: list[Integers] = []
        for offset in range(min(self._stride, len(hits[0]) - start)):
            low, high = hits[0][start + offset], hits[1][start + offset]
            if high - low > _MANY:
                return self._longest_by_search(ids, start)
            if low < high:
                starts.append(self._positions[low:high] - offset)
        candidates = np.concatenate(starts) if starts else np.empty(0, np.intp)
        length, where = _extend(self._ids, candidates[candidates >= 0], ids[start:])
        return (length, where) if length >= self.min_length else (0, 0)

    def hits(self, ids: Integers) -> tuple[Integers, Integers]:
        """For each passage of ``ids``, the first and last (exclusive) entry of the index with its hash."""
        if len(ids) < self._gram:
            nothing = np.empty(0, np.intp)
            return nothing, nothing
        hashes = self._hashes(ids, 1)
        return np.searchsorted(self._sorted, hashes, "left"), np.searchsorted(self._sorted, hashes, "right")

    def likely(self, hits: tuple[Integers, Integers], count: int) -> npt.NDArray[np.intp]:
        """Those of the first ``count`` positions from which a match can start."""
        sums = np.concatenate([[0], np.cumsum(hits[0] < hits[1])])
        starts = np.arange(count)
        return np.flatnonzero(sums[np.minimum(starts + self._stride, len(sums) - 1)] > sums[starts])

    def _hashes(self, ids: Integers, stride: int) -> npt.NDArray[np.uint64]:
        """A hash of each passage of ``_gram`` characters that begins at a multiple of ``stride``."""
        count = max(0, (len(ids) - self._gram) // stride + 1)
        hashes = np.zeros(count, np.uint64)
        if count:
            for at in range(self._gram):
                np.multiply(hashes, _FACTOR, out=hashes)
                np.add(hashes, ids[at : at + (count - 1) * stride + 1 : stride].astype(np.uint64), out=hashes)
        return hashes ^ (hashes >> np.uint64(32))

    def _longest_by_search(self, ids: Integers, start: int) -> tuple[int, int]:
        """The result of :meth:`longest` by searching bytes."""
        self._raw = self._raw or self._ids.tobytes()
        size, wanted = self._ids.dtype.itemsize, ids[start:]
        unknown = np.flatnonzero(wanted >= len(self.corpus.vocabulary))
        wanted = wanted[: int(unknown[0]) if len(unknown) else None].astype(self._ids.dtype)
        # If the corpus has a passage it has each beginning of it, so the length can be found by bisection.
        found, where, missing, length = 0, 0, len(wanted) + 1, self.min_length
        while found < length < missing:
            needle = wanted[:length].tobytes()
            at = self._raw.find(needle)
            while at >= 0 and at % size:  # between two numbers
                at = self._raw.find(needle, at + 1)
            if at < 0:
                missing = length
            else:
                found, where = length, at // size
            length = min(2 * found, (found + missing) // 2)
        return found, where


class Novelty:
    """Find copied passages in a growing text; each update searches only what is new."""

    def __init__(self, index: NoveltyIndex) -> None:
        self.index = index
        self._reset()

    def _reset(self) -> None:
        self._text = ""
        self._ids = np.empty(0, np.int64)
        self._matches: list[Match] = []  # matches that more text cannot change
        self._at = 0  # where the next match may start

    def update(self, text: str) -> NoveltyReport:
        """Report on ``text``. A text that does not begin with the one before is searched from its start."""
        if not text.startswith(self._text):
            self._reset()
        self._ids = np.concatenate([self._ids, self.index.encode(text[len(self._text) :])])
        self._text = text
        growing = self._scan()
        matches = self._matches + ([growing] if growing and self._has_words(growing) else [])
        return _report(text, matches)

    def _has_words(self, match: Match) -> bool:
        """Whether a match is more than white space, which a model that repeats it did not copy."""
        return not self._text[match.start : match.stop].isspace()

    def _scan(self) -> Match | None:
        """Search what is new. Returns the match that reaches the end of the text, as more text may extend it."""
        index, base = self.index, self._at
        ids = self._ids[base:]
        last = len(ids) - index.min_length  # the last position from which a match could start
        if last < 0:
            return None
        hits = index.hits(ids)
        at = 0
        for start in index.likely(hits, last + 1).tolist():
            if start < at:
                continue
            length, where = index.longest(ids, start, hits)
            if not length:
                continue
            match = Match(base + start, base + start + length, where)
            if start + length == len(ids):
                self._at = base + start
                return match
            if self._has_words(match):
                self._matches.append(match)
            # A match that starts earlier ends earlier too.
            at = start + length - index.min_length + 1
        self._at = base + last + 1
        return None


def _extend(ids: Integers, starts: Integers, wanted: Integers) -> tuple[int, int]:
    """The longest agreement of ``wanted`` with ``ids`` from one of ``starts`` on: ``(length, start)``, the first one
    if several are as long."""
    if not len(starts):
        return 0, 0
    done, width = 0, 32
    while True:
        count = min(width, len(wanted) - done)
        if not count:
            return done, int(starts[0])
        at = starts[:, None] + np.arange(done, done + count)
        same = ids[np.minimum(at, len(ids) - 1)] == wanted[done : done + count]
        same &= at < len(ids)
        lengths = np.where(same.all(1), count, same.argmin(1))
        longest = int(lengths.max())
        if longest < count:
            return done + longest, int(starts[lengths.argmax()])
        starts = starts[lengths == count]
        done += count
        width = max(32, min(4096, 2 * width, 1_000_000 // len(starts)))
