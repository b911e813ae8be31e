"""What is known about each character that a model read or drew: compact rows, of which :class:`Step` objects are made.

A row's statistics are computed for many characters at once: when one of them is first asked for, or when a block is
full.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.unsignedinteger]
Rows = npt.NDArray[np.void]

ALTERNATIVES = 10
"""How many of the most likely alternatives are stored for each character."""

GENERATED, TYPED, CHOSEN = 0, 1, 2
"""Where a character came from: sampled, typed by the user, or chosen by the user among the alternatives."""

BLOCK = 64
"""Characters whose statistics are computed together."""

LEAST_PROBABILITY = 2.0**-149
"""The least probability above 0 that a row can have, a float32."""


def surprise(probability: float) -> float:
    """−log2 of a probability, in bits; 149 for 0."""
    return -math.log2(max(probability, LEAST_PROBABILITY))


def in_bits(probabilities: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """The :func:`surprise` of each of many probabilities."""
    likely: npt.NDArray[np.float64] = np.maximum(probabilities, LEAST_PROBABILITY, dtype=np.float64)
    return -np.log2(likely)


@dataclass(frozen=True, slots=True)
class Alternative:
    """A character that was possible at a position.

    Attributes:
        char: the character.
        probability: of the model, at temperature 1 and before any filter.
        sampled: probability with which the sampler draws it; 0 if a filter dropped it.
        kept: whether the sampler can draw it.
    """

    char: str
    probability: float
    sampled: float
    kept: bool


@dataclass(frozen=True, slots=True)
class NextCharDistribution:
    """The distribution of the next character at the cursor under the current settings.

    Attributes:
        alternatives: the most likely characters, most likely first; :data:`ALTERNATIVES` of them, or as many as were
            asked for.
        entropy: of the model's distribution at temperature 1, in bits.
        kept: how many characters the sampler can draw, of ``total`` in the vocabulary.
        kept_probability: the sum of the model's probabilities of these characters at temperature 1.
    """

    alternatives: tuple[Alternative, ...]
    entropy: float
    kept: int
    total: int
    kept_probability: float


NO_DISTRIBUTION = NextCharDistribution((), 0.0, 0, 0, 0.0)
"""Where the model has not read so far."""


class Block:
    """Up to :data:`BLOCK` characters of a text, as a model read them. A cut makes a new block.

    Attributes:
        start: the position of its first character, without the prime.
        size: how many characters it has.
        rows: of :func:`row_type`; the first ``size`` are characters.
        symbols: the model's characters by id.
        states: packed hidden states by position: the state after that many characters.
    """

    __slots__ = ("_filled", "_logits", "_weights", "rows", "size", "start", "states", "symbols")

    def __init__(self, start: int, symbols: tuple[str, ...], logits: Floats, weights: Floats) -> None:
        """``logits`` and ``weights``, both ``(BLOCK, V)``, are those of each character until :meth:`fill`."""
        self.start, self.symbols, self._logits, self._weights = start, symbols, logits, weights
        self.rows: Rows = np.empty(BLOCK, row_type(len(symbols)))
        self.size = self._filled = 0
        self.states: dict[int, Floats] = {}

    def append(self, which: int, source: int, char: int) -> None:
        """Add the character ``char``, read as ``which``."""
        row = self.rows[self.size]
        row["id"], row["source"], row["char"] = which, source, char
        self.size += 1

    def fill(self) -> None:
        """Compute the statistics that are missing. The logits and weights are not needed any more then."""
        if self._filled < self.size:
            new = slice(self._filled, self.size)
            fill_statistics(self.rows[new], self._logits[new], self._weights[new])
            self._filled = self.size

    def head(self, size: int, logits: Floats, weights: Floats) -> Block:
        """A new block of the first ``size`` characters, with their statistics and states."""
        self.fill()
        other = Block.of(self.start, self.rows[:size], self.symbols, logits, weights)
        other.states = {at: each for at, each in [*self.states.items()] if at <= self.start + size}
        return other

    @classmethod
    def of(cls, start: int, rows: Rows, symbols: tuple[str, ...], logits: Floats, weights: Floats) -> Block:
        """A block of rows that have their statistics."""
        block = cls(start, symbols, logits, weights)
        block.rows[: len(rows)] = rows
        block.size = block._filled = len(rows)
        return block


class Step:
    """One character of a text with its statistics, which are computed when they are first asked for.

    Attributes:
        char: the character.
        position: number of characters before it, without the prime.
    """

    JSON_FIELDS: ClassVar = ("char", "probability", "rank", "entropy", "alternatives")
    __slots__ = ("_block", "char", "position")

    def __init__(self, block: Block, position: int) -> None:
        self._block, self.position = block, position
        self.char = chr(block.rows["char"][position - block.start])

    @property
    def probability(self) -> float:
        """The model's probability of the character, at temperature 1 and before any filter."""
        return float(self._row["probability"])

    @property
    def id(self) -> int:
        """The id of the symbol as which the model reads the character."""
        return int(self._block.rows["id"][self.position - self._block.start])

    @property
    def rank(self) -> int:
        """1 for the most likely character; equally likely characters have the same rank."""
        return int(self._row["rank"])

    @property
    def entropy(self) -> float:
        """Entropy of the model's distribution at this position, in bits: the expected :attr:`surprise`."""
        return float(self._row["entropy"])

    @property
    def surprise(self) -> float:
        """The :func:`surprise` of :attr:`probability`, in bits."""
        return surprise(self.probability)

    @property
    def source(self) -> int:
        """:data:`GENERATED`, :data:`TYPED` or :data:`CHOSEN`."""
        return int(self._row["source"])

    @property
    def alternatives(self) -> tuple[Alternative, ...]:
        """The most likely characters, most likely first, at most :data:`ALTERNATIVES`."""
        return row_alternatives(self._row, self._block.symbols)

    @property
    def _row(self) -> np.void:
        self._block.fill()
        row: np.void = self._block.rows[self.position - self._block.start]
        return row

    def __repr__(self) -> str:
        return f"Step({self.char!r}, position={self.position}, probability={self.probability:.4g}, rank={self.rank})"


@cache
def row_type(vocab_size: int) -> np.dtype[np.void]:
    """The array type of the statistics of one character: some 130 bytes. ``char`` is the code point, ``id`` the symbol
    as which the model reads the character."""
    index = np.uint16 if vocab_size <= 1 << 16 else np.uint32
    count = min(ALTERNATIVES, vocab_size)
    return np.dtype(
        [
            ("id", index),
            ("rank", index),
            ("probability", np.float32),
            ("entropy", np.float32),
            ("kept", np.uint16),
            ("source", np.uint8),
            ("ids", index, count),
            ("probabilities", np.float32, count),
            ("sampled", np.float32, count),
            ("char", np.uint32),
        ]
    )


def text_of(rows: Rows) -> str:
    """The characters of rows."""
    return np.ascontiguousarray(rows["char"]).tobytes().decode("utf-32-le", "surrogatepass")


def read_as_themselves(rows: Rows, codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Which characters of rows ``(N,)`` the model reads as themselves: the figures of the others are those of another
    character, and count in no mean. ``codes`` are those of the model's symbols."""
    return np.asarray(codes[rows["id"]] == rows["char"])


def fill_statistics(rows: Rows, logits: Floats, weights: Floats) -> None:
    """Compute the statistics of ``rows`` ``(n,)``, whose ``id`` and ``source`` are set.

    Args:
        rows: changed in place.
        logits: ``(n, V)``, from which each character was drawn.
        weights: ``(n, V)``, as :meth:`charlstm.generation.sampling.Sampler.weights` returned them.
    """
    which = np.arange(len(rows))
    shifted = logits - logits.max(1, keepdims=True)
    probabilities = np.exp(shifted)
    total = probabilities.sum(1, keepdims=True)
    probabilities /= total
    shifted -= np.log(total)
    ids = rows["id"].astype(np.intp)
    rows["probability"] = probabilities[which, ids]
    rows["rank"] = 1 + (logits > logits[which, ids][:, None]).sum(1)
    rows["entropy"] = np.maximum(-(probabilities * shifted).sum(1) / math.log(2), 0)
    best = top_ids(logits)
    sampled = np.take_along_axis(weights, best, 1)
    rows["ids"] = best
    rows["probabilities"] = np.take_along_axis(probabilities, best, 1)
    rows["sampled"] = sampled / weights.sum(1, keepdims=True)
    rows["kept"] = (sampled > 0) @ (1 << np.arange(best.shape[1]))


def top_ids(logits: Floats) -> npt.NDArray[np.intp]:
    """The ids of the highest logits in each row of ``(n, V)``, highest first: ``(n, min(V, ALTERNATIVES))``."""
    count = min(ALTERNATIVES, logits.shape[1])
    best = np.argpartition(logits, -count, axis=1)[:, -count:]
    order = np.argsort(-np.take_along_axis(logits, best, 1), axis=1, kind="stable")
    return np.take_along_axis(best, order, 1)


def row_alternatives(row: Any, symbols: tuple[str, ...]) -> tuple[Alternative, ...]:
    """The alternatives that are stored in one row."""
    kept = int(row["kept"])
    columns = (row["ids"].tolist(), row["probabilities"].tolist(), row["sampled"].tolist())
    return tuple(
        Alternative(symbols[which], probability, sampled, bool(kept >> k & 1))
        for k, (which, probability, sampled) in enumerate(zip(*columns, strict=True))
    )


def next_char_distribution(
    logits: Floats, weights: Floats, symbols: tuple[str, ...], count: int
) -> NextCharDistribution:
    """What could come next by ``logits`` and the sampler's ``weights``, both ``(V,)``, with ``count`` alternatives."""
    row = np.zeros(1, row_type(len(symbols)))
    fill_statistics(row, logits[None], weights[None])
    probabilities = np.exp(logits - logits.max())
    kept = weights > 0
    share = float(probabilities[kept].sum() / probabilities.sum())
    alternatives = row_alternatives(row[0], symbols)
    if count != ALTERNATIVES:
        best = np.argsort(-logits, kind="stable")[:count]
        likely, sampled = probabilities[best] / probabilities.sum(), weights[best] / weights.sum()
        columns = (best.tolist(), likely.tolist(), sampled.tolist(), kept[best].tolist())
        alternatives = tuple(Alternative(symbols[n], *each) for n, *each in zip(*columns, strict=True))
    return NextCharDistribution(alternatives, float(row[0]["entropy"]), int(kept.sum()), len(symbols), share)
