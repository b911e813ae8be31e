"""Smoothed n-grams of characters, order 0, 1 and 2: what simple counting makes of a text, in bits per character.

Interpolated Witten-Bell (Witten & Bell 1991): after a context seen n times with t distinct successors, the counts get
n / (n + t) and the next lower order t / (n + t); order 0 is add-one over the vocabulary. Every distribution sums to
one, so the figures are honest for thousands of symbols too. Everything is arrays; nothing loops over characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

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
