"""Smoothed n-grams of characters, order 0, 1 and 2: what simple counting makes of a text, in bits per character.

Interpolated Witten-Bell (Witten & Bell 1991): after a context seen n times with t distinct successors, the counts get
n / (n + t) and the next lower order t / (n + t); order 0 is add-one over the vocabulary. Every distribution sums to
one, so the figures are honest for thousands of symbols too. Everything is arrays; nothing loops over characters.
"""

from __future__ import annotations

import lzma
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from charlstm.text import cache
from charlstm.text.corpus import Corpus, Span, Split

Ids = npt.NDArray[np.int64]


Floats = npt.NDArray[np.float64]

MAX_ORDER = 2


_DENSE = 1 << 20


class _Counts:
    """How often each code (0 ≤ code < ``size``) came: a plain table when small, else sorted codes."""

    def __init__(self, codes: Ids, size: int, weights: Ids | None = None) -> None:
        self._table: Floats | None = None
        if size <= _DENSE:
            self._table = np.bincount(codes, weights, minlength=size).astype(np.float64)
            self.codes: Ids = np.flatnonzero(self._table)
            self.counts = self._table[self.codes]
        elif weights is None:
            self.codes, counts = np.unique(codes, return_counts=True)
            self.counts = counts.astype(np.float64)
        else:  # codes come sorted
            self.codes, first = np.unique(codes, return_index=True)
            self.counts = np.add.reduceat(weights, first).astype(np.float64) if len(first) else np.zeros(0)

    def of(self, codes: Ids) -> Floats:
        if self._table is not None:
            return self._table[codes]
        if not len(self.codes):
            return np.zeros(codes.shape)
        at = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        return np.where(self.codes[at] == codes, self.counts[at], 0.0)


class NGrams:
    """Counts of ``pieces`` (arrays of numbers below ``vocab_size``, each a stretch of unbroken text)."""

    def __init__(self, pieces: Sequence[npt.NDArray[Any]], vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self._order0 = np.ones(vocab_size)
        for piece in pieces:
            self._order0 += np.bincount(piece, minlength=vocab_size)
        self._order0 /= self._order0.sum()
        self._successors: list[_Counts] = []  # of context and character, for orders 1 and 2
        self._seen: list[_Counts] = []  # of the context
        self._distinct: list[_Counts] = []  # different characters after the context
        for order in (1, 2):
            codes = np.concatenate([np.zeros(0, np.int64), *(_codes(piece, order + 1, vocab_size) for piece in pieces)])
            counts = _Counts(codes, vocab_size ** (order + 1))
            contexts = counts.codes // vocab_size
            self._successors.append(counts)
            self._seen.append(_Counts(contexts, vocab_size**order, counts.counts.astype(np.int64)))
            self._distinct.append(_Counts(contexts, vocab_size**order))

    def probabilities(self, order: int, contexts: Ids, chars: Ids) -> Floats:
        """p(char | context) for arrays of one shape; a context is the code of the ``order`` characters before."""
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
        """Mean bits per character on ``pieces`` for order 0, 1 and 2, over the characters that have two before them.

        Raises ValueError when there is no such character.
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
    """The code of every ``length`` characters in a row, int64; the last one is the lowest digit."""
    if len(piece) < length:
        return np.zeros(0, np.int64)
    count = len(piece) - length + 1
    codes = piece[:count].astype(np.int64)
    for at in range(1, length):
        codes = codes * vocab_size + piece[at : at + count]
    return codes


_HELD_BLOCKS = 10


_TRAIN_BLOCKS = 60


_LEAST_BLOCK, _MOST_LOOKED_AT = 500, 50_000


_SYMBOLS = 1024


_TIMES = 2.0


_LEAST_DIVERGENCE = 0.001

SAME = 200
"""Characters in a row that have to be the same for a stretch to count as seen."""

LEAST_SEEN = 0.1
"""A smaller share is not worth a word: of the last tenth of novels, plays and names nothing is found before it, of
that of the Python reference 8 %, which tells things in several places."""

_STRETCHES = 2000


_BLOCK = 1 << 18


_FACTOR = 0x9E3779B97F4A7C15


_TABLE_BITS = 20


def seen_share(
    ids: npt.NDArray[Any], spans: Sequence[tuple[int, int]], known: npt.NDArray[Any], places: Sequence[tuple[int, int]]
) -> float:
    """The share of ``spans`` of ``ids`` that stands word for word in ``places`` of ``known``, 0 to 1.

    Both are numbers of one vocabulary. Looks at stretches of :data:`SAME` characters, 2,000 of them at most, spread
    evenly, and at every place of ``known``: some 20 ms for a million characters.
    """
    every = [at for start, stop in spans for at in range(start, stop - SAME + 1, SAME)]
    if not every:
        return 0.0
    count = min(len(every), _STRETCHES)
    stretches = np.array([ids[at : at + SAME] for at in (every[len(every) * n // count] for n in range(count))])
    # A polynomial of the symbols modulo 2^64: its factor is odd, so it has an inverse, and sums that run from the
    # beginning of a block give that of each stretch in it.
    powers = _powers(_FACTOR, _BLOCK + SAME)
    inverses = _powers(pow(_FACTOR, -1, 1 << 64), _BLOCK)
    hashes = (stretches.astype(np.uint64) * powers[:SAME]).sum(1, dtype=np.uint64)
    shift = np.uint64(64 - _TABLE_BITS)
    likely = np.zeros(1 << _TABLE_BITS, np.bool_)
    likely[hashes >> shift] = True
    seen = np.zeros(count, np.bool_)
    for start, stop in places:
        for at in range(start, stop - SAME + 1, _BLOCK):
            block = known[at : min(at + _BLOCK + SAME - 1, stop)]
            sums = np.zeros(len(block) + 1, np.uint64)
            np.cumsum(block.astype(np.uint64) * powers[: len(block)], out=sums[1:])
            found = (sums[SAME:] - sums[:-SAME]) * inverses[: len(block) - SAME + 1]
            candidates = np.flatnonzero(likely[found >> shift])
            for place in candidates[np.isin(found[candidates], hashes)].tolist():
                alike = np.flatnonzero((hashes == found[place]) & ~seen)
                if len(alike):
                    seen[alike] = (stretches[alike] == block[place : place + SAME]).all(1)
    return float(seen.mean())


def parts_overlap(
    corpus: Corpus, train: Sequence[Span], held_out: Sequence[Span], part: str = "held-out part"
) -> str | None:
    """One sentence when much of ``held_out``, called ``part`` in it, stands in the training part too, else None."""
    share = seen_share(corpus.ids, held_out, corpus.ids, train)
    if share < LEAST_SEEN:
        return None
    return (
        f"{share:.0%} of the {part} stands word for word in the training part: the loss on it is that of a text "
        "already seen; a text that is there twice is better left out once"
    )


def _powers(factor: int, count: int) -> npt.NDArray[np.uint64]:
    """``factor`` to the power of 0 to ``count`` − 1, modulo 2^64."""
    factors = np.full(count, factor, np.uint64)
    factors[0] = 1
    return np.cumprod(factors, dtype=np.uint64)


def parts_differ(corpus: Corpus, split: Split) -> str | None:
    """One sentence when the two parts differ much in their characters, else None. Looks at 3.5 million at most."""
    size = split.held_out_chars // _HELD_BLOCKS
    if size < _LEAST_BLOCK or split.train_chars < 4 * split.held_out_chars:
        return None
    column = _columns(corpus)
    train = _histograms(corpus, split.train, size, _TRAIN_BLOCKS, column)
    held_out = _histograms(corpus, split.held_out, size, _HELD_BLOCKS, column)
    if not len(train) or not len(held_out):
        return None
    whole = train.sum(0)
    usual = max(_divergence(block, whole - block) for block in train)
    far = float(np.mean([_divergence(block, whole) > _TIMES * usual for block in held_out]))
    # Blocks hide a difference that is small everywhere; parts as large as the held-out one show it.
    usual_part = max((_divergence(part, whole - part) for part in _parts(train, len(held_out))), default=usual)
    apart = _divergence(held_out.sum(0), whole)
    if apart < _LEAST_DIVERGENCE or not (far or apart > _TIMES * usual_part):
        return None
    return _sentence(corpus, split, far)


def _parts(blocks: Floats, size: int) -> list[Floats]:
    return [blocks[at : at + size].sum(0) for at in range(0, len(blocks) - size + 1, size)]


def _sentence(corpus: Corpus, split: Split, far: float) -> str:
    licence = 0
    if not corpus.options.strip_boilerplate:
        for stretch in corpus.report.boilerplate:
            end = stretch.start + stretch.chars
            licence += sum(max(0, min(stop, end) - max(start, stretch.start)) for start, stop in split.held_out)
    if licence:
        share = 100 * licence / split.held_out_chars
        return (
            f"{share:.0f} % of the held-out part is a Project Gutenberg licence, {licence:,} characters unlike the "
            "text: leave it out, or hold out blocks"
        )
    how = f"about {100 * far:.0f} % of it is unlike anything there" if far else "its characters come at other rates"
    advice = "hold out blocks spread over the text" if len(split.held_out) == 1 else "judge its loss with care"
    return f"The held-out part differs from the training part, {how}: {advice}"


def _columns(corpus: Corpus) -> npt.NDArray[np.int64]:
    """For each symbol where it is counted; of many symbols the rare ones share the last column."""
    column = np.empty(len(corpus.vocabulary), np.int64)
    column[np.argsort(-corpus.counts, kind="stable")] = np.arange(len(column))
    return np.minimum(column, _SYMBOLS - 1)


def _histograms(corpus: Corpus, spans: tuple[Span, ...], size: int, most: int, column: npt.NDArray[np.int64]) -> Floats:
    """Counts in blocks of ``size`` characters, at most ``most`` of them, spread evenly: (blocks, columns)."""
    starts = [at for start, stop in spans for at in range(start, stop - size + 1, size)]
    if not starts:  # no span holds a whole block
        return np.zeros((0, int(column.max()) + 1))
    chosen = [starts[len(starts) * at // min(most, len(starts))] for at in range(min(most, len(starts)))]
    looked_at = min(size, _MOST_LOOKED_AT)
    blocks = [np.bincount(column[corpus.ids[at : at + looked_at]], minlength=column.max() + 1) for at in chosen]
    return np.array(blocks, np.float64)


def _divergence(one: Floats, other: Floats) -> float:
    """Jensen-Shannon divergence of two histograms in bits, from 0 to 1."""
    p, q = one / one.sum(), other / other.sum()
    return _entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2


def _entropy(p: Floats) -> float:
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum())


TRAIN_SAMPLE = 2_000_000


HELD_OUT_SAMPLE = 250_000
"""Characters of either part that are looked at; of longer ones it is pieces spread evenly over them."""


XZ_BYTES = 2_500_000
"""UTF-8 bytes of training and held-out text together that are compressed."""


LEAST_TRAIN, LEAST_HELD_OUT = 2_000, 500
"""With fewer characters the figures would say more about chance than about the text."""

_FIGURES = {"order 0", "order 1", "order 2", "xz"}


_PIECES = 20


_TOP = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What :func:`describe` found; all counts are of the whole text."""

    chars: int
    lines: int
    distinct: int
    top: tuple[tuple[str, int], ...]
    """The most frequent characters and how often each comes."""
    encoding: str
    newlines: str
    invalid_bytes: int
    cleanable: Mapping[str, int]
    train_chars: int
    held_out_chars: int
    bits: Mapping[str, float] | None
    """``order 0``, ``order 1``, ``order 2`` and ``xz``: bits per character of the held-out part, fitted on the other.
    None when that cannot be said; then ``too_little`` says why."""
    too_little: str | None
    sampled: bool
    """Whether ``bits`` come from a part of a large text."""
    parts_differ: str | None
    """A sentence, when the held-out part is made of other characters than the rest."""
    parts_overlap: str | None
    """A sentence, when much of the held-out part stands in the rest too. None also when that was not asked."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def describe(corpus: Corpus, split: Split | None = None, *, bits: bool = True) -> Statistics:
    """The statistics of ``corpus``; ``split`` is its tail tenth unless given. Without ``bits`` it takes no time.

    With them, some 1.5 s for the largest texts on two free cores, as xz is slow, and 20 ms a million characters to
    look for the held-out part in the rest.
    """
    split = split or corpus.split()
    order = np.argsort(-corpus.counts, kind="stable")[:_TOP]
    reason = _too_little(split)
    sampled = False
    figures: dict[str, float] | None = None
    if bits and reason is None:
        figures, sampled = _kept_bits(corpus, split)
    return Statistics(
        chars=corpus.chars,
        lines=corpus.lines,
        distinct=len(corpus.vocabulary),
        top=tuple((corpus.vocabulary.symbols[at], int(corpus.counts[at])) for at in order),
        encoding=corpus.report.encoding,
        newlines=corpus.report.newlines,
        invalid_bytes=corpus.report.invalid_bytes,
        cleanable=corpus.report.cleanable,
        train_chars=split.train_chars,
        held_out_chars=split.held_out_chars,
        bits=figures,
        too_little=reason,
        sampled=sampled,
        parts_differ=parts_differ(corpus, split),
        parts_overlap=parts_overlap(corpus, split.train, split.held_out) if bits else None,
    )


def _too_little(split: Split) -> str | None:
    if not split.held_out_chars:
        return "Nothing is held out, so there is nothing to measure on"
    if split.train_chars < LEAST_TRAIN or split.held_out_chars < LEAST_HELD_OUT:
        return (
            f"Too little text for figures: {split.train_chars:,} characters to learn from and "
            f"{split.held_out_chars:,} held out; they need {LEAST_TRAIN:,} and {LEAST_HELD_OUT:,}"
        )
    return None


def _sample(spans: Sequence[Span], chars: int) -> tuple[list[Span], bool]:
    """At most about ``chars`` characters of ``spans``, as pieces spread evenly over them, and whether it is less."""
    total = sum(stop - start for start, stop in spans)
    if total <= chars:
        return list(spans), False
    pieces = []
    for start, stop in spans:
        number = max(1, round(_PIECES * (stop - start) / total))
        size = max(1, int(chars * (stop - start) / total / number))
        pieces += [
            Span(at, min(at + size, stop)) for at in (start + (stop - start) * i // number for i in range(number))
        ]
    return pieces, True


def _kept_bits(corpus: Corpus, split: Split) -> tuple[dict[str, float], bool]:
    """:func:`_bits`, reckoned once for a text and a split."""
    name = f"bits {TRAIN_SAMPLE} {HELD_OUT_SAMPLE} {XZ_BYTES} {split}"
    kept = cache.find_figures(corpus.fingerprint, name) or {}
    if not _are_figures(kept.get("bits")):
        figures, sampled = _bits(corpus, split)
        kept = {"bits": figures, "sampled": sampled}
        cache.store_figures(corpus.fingerprint, name, kept)
    return kept["bits"], bool(kept.get("sampled"))


def _are_figures(bits: Any) -> bool:
    known = isinstance(bits, dict) and set(bits) == _FIGURES
    return known and all(type(value) is float and abs(value) < 64 for value in bits.values())


def _bits(corpus: Corpus, split: Split) -> tuple[dict[str, float], bool]:
    train, sampled_train = _sample(split.train, TRAIN_SAMPLE)
    held_out, sampled_held_out = _sample(split.held_out, HELD_OUT_SAMPLE)
    with ThreadPoolExecutor(2) as threads:  # lzma lets other threads run
        tested, cut_held_out = _utf8(corpus, held_out, XZ_BYTES // 2)
        learnt, cut_train = _utf8(corpus, train, XZ_BYTES - len(tested))
        tested_chars = len(tested.decode())
        sizes = [threads.submit(_xz, content) for content in (learnt, learnt + tested)]
        fitted = NGrams([corpus.ids[slice(*span)] for span in train], len(corpus.vocabulary))
        orders = fitted.bits([corpus.ids[slice(*span)] for span in held_out])
        xz = 8 * (sizes[1].result() - sizes[0].result()) / tested_chars
    figures = {f"order {order}": value for order, value in enumerate(orders)}
    return {**figures, "xz": xz}, sampled_train or sampled_held_out or cut_train or cut_held_out


def _xz(content: bytes) -> int:
    return len(lzma.compress(content))


def _utf8(corpus: Corpus, spans: list[Span], limit: int) -> tuple[bytes, bool]:
    """The text of ``spans`` in UTF-8, the last ``limit`` bytes of it at most."""
    content = b"".join(corpus.text(*span).encode("utf-8", "replace") for span in spans)
    if len(content) <= limit:
        return content, False
    return content[-limit:].decode("utf-8", "ignore").encode(), True
