"""Describe a text: counts, how well n-grams and xz predict it, and how much of its held-out part is read in training.

The n-grams of order 0, 1 and 2 have interpolated Witten-Bell smoothing (Witten & Bell 1991): after a context that
occurred n times with t distinct successors, the counts get the weight n / (n + t) and the next lower order t / (n + t);
order 0 is add-one over the vocabulary. The distributions sum to 1 also with thousands of characters.
"""

from __future__ import annotations

import contextlib
import json
import lzma
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from charlstm import arguments, storage
from charlstm.errors import TextError
from charlstm.fields import plain, read
from charlstm.text import cache
from charlstm.text.corpus import Corpus, Span, TextSplit
from charlstm.text.passages import known_share, passages_in
from charlstm.text.read_before import words

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MAX_ORDER = 2


class _Counts:
    """How often each code occurs; of sorted codes, the sum of its ``weights``."""

    def __init__(self, codes: Ids, weights: Floats | None = None) -> None:
        self.counts: Floats
        if weights is None:
            self.codes, counts = np.unique(codes, return_counts=True)
            self.counts = counts.astype(np.float64)
        else:
            self.codes, first = np.unique(codes, return_index=True)
            self.counts = np.add.reduceat(weights, first) if len(first) else weights

    def of(self, codes: Ids) -> Floats:
        if not len(self.codes):
            return np.zeros(codes.shape)
        at = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        return np.where(self.codes[at] == codes, self.counts[at], 0.0)


class NGrams:
    """N-gram counts of ``pieces``: arrays of ids below ``vocab_size``, each of continuous text."""

    def __init__(self, pieces: Sequence[npt.NDArray[Any]], vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self._order0 = np.ones(vocab_size)
        for piece in pieces:
            self._order0 += np.bincount(piece, minlength=vocab_size)
        self._order0 /= self._order0.sum()
        # for orders 1 and 2:
        self._successors: list[_Counts] = []  # of each context with the next character
        self._seen: list[_Counts] = []  # of each context
        self._distinct: list[_Counts] = []  # of distinct characters after each context
        for order in (1, 2):
            codes = np.concatenate([np.zeros(0, np.int64), *(_codes(piece, order + 1, vocab_size) for piece in pieces)])
            counts = _Counts(codes)
            contexts = counts.codes // vocab_size
            self._successors.append(counts)
            self._seen.append(_Counts(contexts, counts.counts))
            self._distinct.append(_Counts(contexts))

    def probabilities(self, order: int, contexts: Ids, chars: Ids) -> Floats:
        """p(char | context) for arrays of one shape; a context is the code of the ``order`` preceding characters."""
        if order == 0:
            return self._order0[chars]
        lower = self.probabilities(order - 1, contexts % self.vocab_size ** (order - 1), chars)
        seen = self._seen[order - 1].of(contexts)
        distinct = self._distinct[order - 1].of(contexts)
        counts = self._successors[order - 1].of(contexts * self.vocab_size + chars)
        total = seen + distinct
        known = total > 0
        return np.where(known, (counts + distinct * lower) / np.where(known, total, 1.0), lower)

    def bits(self, pieces: Sequence[npt.NDArray[Any]]) -> list[float]:
        """Mean bits per character on ``pieces`` for order 0, 1 and 2, over all characters but the first two of each.

        Raises ValueError when there is none.
        """
        triples = np.concatenate([_codes(piece, MAX_ORDER + 1, self.vocab_size) for piece in pieces])
        if not len(triples):
            raise ValueError("nothing to predict")
        chars, contexts = triples % self.vocab_size, triples // self.vocab_size
        return [
            float(-np.log2(self.probabilities(order, contexts % self.vocab_size**order, chars)).mean())
            for order in range(MAX_ORDER + 1)
        ]


def _codes(piece: npt.NDArray[Any], length: int, vocab_size: int) -> Ids:
    """The codes of all sequences of ``length`` characters, int64; the last character is the lowest digit."""
    if len(piece) < length:
        return np.zeros(0, np.int64)
    count = len(piece) - length + 1
    codes = piece[:count].astype(np.int64)
    for at in range(1, length):
        codes = codes * vocab_size + piece[at : at + count]
    return codes


TRAIN_SAMPLE, HELD_OUT_SAMPLE = 2_000_000, 250_000
"""Characters of the two parts that bits are computed on; of longer parts, pieces are taken that are spread evenly."""
XZ_BYTES = 2_500_000
"""UTF-8 bytes of training and held-out text together that are compressed."""
MIN_TRAIN, MIN_HELD_OUT = 2_000, 500
"""With fewer characters the bits would depend on chance more than on the text."""
_PIECES = 20
_TOP = 12


@dataclass(frozen=True, slots=True)
class LossWithBits:
    """A mean loss in nats per character, and the same in bits."""

    loss: float
    bits_per_char: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """The result of :func:`describe`; counts are of the whole text.

    Attributes:
        distinct: different characters.
        units: units as which the text is read; None where the text has no units.
        top: the most frequent characters and their counts.
        invalid_bytes: bytes that were not valid in the encoding.
        baselines: losses on the held-out part, of n-grams of the training part (``order 0``, ``order 1``, ``order 2``)
            and of xz after compressing the training part (``xz``); None when the text is too short. None also where
            they are not wanted.
        too_little: the reason when the text is too short for ``baselines``; None with baselines.
        sampled: whether ``baselines`` were computed on a sample of a large text.
        parts_overlap: a warning when much of the held-out part is in the training part too; None if little is.
        skipped: files and folders that could not be read.
    """

    name: str
    chars: int
    lines: int
    distinct: int
    units: int | None
    top: tuple[tuple[str, int], ...]
    encoding: str
    newlines: str
    invalid_bytes: int
    train_chars: int
    held_out_chars: int
    baselines: Mapping[str, LossWithBits] | None
    too_little: str | None
    sampled: bool
    parts_overlap: str | None
    skipped: Sequence[str]

    @property
    def bits(self) -> dict[str, float] | None:
        """``baselines`` in bits per character."""
        return None if self.baselines is None else {name: each.bits_per_char for name, each in self.baselines.items()}

    @property
    def losses(self) -> dict[str, float]:
        """``baselines`` in nats per character, for a chart; without models that predict every character."""
        return {name: each.loss for name, each in (self.baselines or {}).items() if each.loss}


def describe(corpus: Corpus, split: TextSplit | None = None, *, bits: bool = True) -> Statistics:
    """Describe ``corpus``. ``split`` is :meth:`Corpus.split` with its defaults unless given.

    ``bits`` take about 1.5 s for large texts on two cores, most of it for xz, and 0.1 s for each million characters to
    find overlaps; they are cached. The rest is immediate.

    Raises :class:`TextError` for what is no corpus.
    """
    arguments.instance("corpus", corpus, Corpus, "a Corpus, such as charlstm.open_corpus gives", error=TextError)
    if split is None:
        split = corpus.split()
    order = np.argsort(-corpus.counts, kind="stable")[:_TOP]
    reason = _too_little(split)
    figures = _cached_figures(corpus, split) if bits and reason is None else None
    bits_of = {} if figures is None else figures.bits
    baselines = {name: LossWithBits(each * math.log(2), each) for name, each in bits_of.items()}
    return Statistics(
        name=corpus.name,
        chars=corpus.chars,
        lines=corpus.lines,
        distinct=len(corpus.vocabulary),
        units=None if corpus.options.units is None else len(corpus.units),
        top=tuple((corpus.vocabulary.symbols[at], int(corpus.counts[at])) for at in order),
        encoding=corpus.report.encoding,
        newlines=corpus.report.newlines,
        invalid_bytes=corpus.report.invalid_bytes,
        train_chars=split.train_chars,
        held_out_chars=split.held_out_chars,
        baselines=baselines or None,
        too_little=reason,
        sampled=figures is not None and figures.sampled,
        parts_overlap=None if figures is None else words(figures.share, by="") or None,
        skipped=corpus.skipped,
    )


def _too_little(split: TextSplit) -> str | None:
    if not split.held_out_chars:
        return "Nothing is held out, so that nothing can be measured"
    if split.train_chars < MIN_TRAIN or split.held_out_chars < MIN_HELD_OUT:
        return (
            f"Too little text for figures: {split.train_chars:,} characters to train on and "
            f"{split.held_out_chars:,} held out; they need {MIN_TRAIN:,} and {MIN_HELD_OUT:,}"
        )
    return None


def _sample(spans: Sequence[Span], chars: int) -> tuple[list[Span], bool]:
    """About ``chars`` characters of ``spans`` in pieces that are spread evenly, and whether that is not all."""
    total = sum(stop - start for start, stop in spans)
    if total <= chars:
        return list(spans), False
    size, edges = max(1, chars // _PIECES), np.cumsum([0, *(stop - start for start, stop in spans)])
    pieces = []
    for at in (total * number // _PIECES for number in range(_PIECES)):  # as if one span followed the other
        which = int(np.searchsorted(edges, at, "right")) - 1
        while which < len(spans) and edges[which] < at + size:
            low, high = max(at, int(edges[which])), min(at + size, int(edges[which + 1]))
            shift = spans[which].start - int(edges[which])
            pieces.append(Span(low + shift, high + shift))
            which += 1
    return pieces, True


@dataclass(frozen=True, slots=True)
class _Figures:
    """What is computed once for a text and a split: ``bits`` and ``sampled`` as of :class:`Statistics`, and the
    ``share`` of the held-out part that stands in the training part too."""

    bits: Mapping[str, float]
    sampled: bool
    share: float | None


def _cached_figures(corpus: Corpus, split: TextSplit) -> _Figures:
    name = f"bits and share of a sample {TRAIN_SAMPLE} {HELD_OUT_SAMPLE} {XZ_BYTES} {split}"
    path = cache.figures_path(corpus.fingerprint, name)
    with contextlib.suppress(OSError, TypeError, ValueError):  # the file is missing or damaged
        return read(_Figures, storage.read_json(path))
    bits, sampled = _bits(corpus, split)
    share = known_share(passages_in(corpus, split.train), passages_in(corpus, split.held_out))
    figures = _Figures(bits, sampled, share)
    with contextlib.suppress(OSError):  # the text is no longer in the cache, or the disk is full
        storage.replace_bytes(path, json.dumps(plain(figures)).encode())
    return figures


def _bits(corpus: Corpus, split: TextSplit) -> tuple[dict[str, float], bool]:
    train, sampled_train = _sample(split.train, TRAIN_SAMPLE)
    held_out, sampled_held_out = _sample(split.held_out, HELD_OUT_SAMPLE)
    with ThreadPoolExecutor(2) as threads:  # lzma releases the GIL
        held_out_bytes, cut_held_out = _utf8(corpus, held_out, XZ_BYTES // 2)
        train_bytes, cut_train = _utf8(corpus, train, XZ_BYTES - len(held_out_bytes))
        sizes = [threads.submit(_xz_size, content) for content in (train_bytes, train_bytes + held_out_bytes)]
        fitted = NGrams([corpus.ids[slice(*span)] for span in train], len(corpus.vocabulary))
        orders = fitted.bits([corpus.ids[slice(*span)] for span in held_out])
        xz = 8 * (sizes[1].result() - sizes[0].result()) / len(held_out_bytes.decode())
    figures = {f"order {order}": value for order, value in enumerate(orders)}
    return {**figures, "xz": xz}, sampled_train or sampled_held_out or cut_train or cut_held_out


def _xz_size(content: bytes) -> int:
    return len(lzma.compress(content))


def _utf8(corpus: Corpus, spans: list[Span], limit: int) -> tuple[bytes, bool]:
    """The text of ``spans`` in UTF-8, or its last ``limit`` bytes, and whether it was cut."""
    content = b"".join(corpus.text(*span).encode("utf-8", "replace") for span in spans)
    if len(content) <= limit:
        return content, False
    return content[-limit:].decode("utf-8", "ignore").encode(), True
