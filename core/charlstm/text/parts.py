"""Whether the held-out part of a text is made like the rest, and not in it: warnings that a loss on it may mislead.

Blocks are compared by how often each character comes (Jensen-Shannon divergence, Lin 1991), and the held-out ones
must differ more from the training part than training blocks of that size do among themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from charlstm.text.batches import Span
from charlstm.text.corpus import Corpus, Split

Floats = npt.NDArray[np.float64]

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


def parts_overlap(corpus: Corpus, train: Sequence[Span], held_out: Sequence[Span]) -> str | None:
    """One sentence when much of the held-out part stands in the training part too, else None."""
    share = seen_share(corpus.ids, held_out, corpus.ids, train)
    if share < LEAST_SEEN:
        return None
    return (
        f"{share:.0%} of the held-out part stands word for word in the training part: the loss on it is that of a text "
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
