"""What is remembered of each character: compact rows, and the :class:`Step` objects that are made from them on demand.

Statistics are worked out for many characters at once, when one of them is first asked for or a block is full. Not for
the tree that the characters form (:mod:`charlstm.generation.tree`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from charlstm.generation.tree import Branch

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.void]

ALTERNATIVES = 10
"""How many leading alternatives are remembered of each character."""

GENERATED, TYPED, CHOSEN = 0, 1, 2
"""Where a character came from: the sampler, the user's own text, the user's choice among alternatives."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """A character that could have come.

    Attributes:
        char: the character.
        probability: the model's, at temperature 1 and before any filter.
        sampled: after the sampler; 0 if cut.
        kept: whether the sampler could have drawn it.
    """

    char: str
    probability: float
    sampled: float
    kept: bool


@dataclass(frozen=True, slots=True)
class Outlook:
    """What may come at the cursor under the settings of now.

    Attributes:
        alternatives: the most likely characters, most likely first.
        entropy: bits, the model's at temperature 1.
        kept: how many characters the sampler keeps, of ``total``.
        kept_probability: what the model gives all kept ones together, at temperature 1.
    """

    alternatives: tuple[Alternative, ...]
    entropy: float
    kept: int
    total: int
    kept_probability: float


class Step:
    """One character of a session and what the model thought of it. A view: cheap to make, its figures read on demand.

    Attributes:
        char: the character.
        position: how many characters of the session stand before it (the prime does not count).
    """

    __slots__ = ("_branch", "char", "position")

    def __init__(self, branch: Branch, position: int, char: str) -> None:
        self._branch, self.position, self.char = branch, position, char

    @property
    def probability(self) -> float:
        """The model's probability of the character, at temperature 1 and before any filter."""
        return float(self._row["probability"])

    @property
    def rank(self) -> int:
        """1 for the most likely character; equals share a rank."""
        return int(self._row["rank"])

    @property
    def entropy(self) -> float:
        """Bits that the model expected to need for the character."""
        return float(self._row["entropy"])

    @property
    def surprise(self) -> float:
        """Bits that the character took: −log2 of its probability."""
        return -math.log2(max(self.probability, 2.0**-149))

    @property
    def source(self) -> int:
        """:data:`GENERATED`, :data:`TYPED` or :data:`CHOSEN`."""
        return int(self._row["source"])

    @property
    def alternatives(self) -> tuple[Alternative, ...]:
        """The most likely characters, most likely first, at most :data:`ALTERNATIVES`."""
        return row_alternatives(self._row, self._branch.symbols)

    @property
    def _row(self) -> np.void:
        return self._branch.row(self.position)

    def _key(self) -> tuple[object, ...]:
        return (self.char, self.position, self.probability, self.rank, self.entropy, self.alternatives)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Step) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((self.char, self.position))

    def __repr__(self) -> str:
        return f"Step({self.char!r}, position={self.position}, probability={self.probability:.4g}, rank={self.rank})"


def row_type(vocab_size: int) -> np.dtype[np.void]:
    """The layout of one remembered character: some 130 bytes."""
    index = np.uint16 if vocab_size <= 1 << 16 else np.uint32
    count = min(ALTERNATIVES, vocab_size)
    return np.dtype(
        [
            ("id", index),
            ("rank", index),
            ("probability", np.float32),
            ("entropy", np.float32),
            ("mu", np.float32),
            ("kept", np.uint16),
            ("source", np.uint8),
            ("ids", index, count),
            ("probabilities", np.float32, count),
            ("sampled", np.float32, count),
        ]
    )


def describe(rows: Rows, logits: Floats, weights: Floats) -> None:
    """Fill in the figures of ``rows`` ``(n,)``, whose ``id``, ``mu`` and ``source`` are known.

    Args:
        logits: ``(n, V)`` before each character.
        weights: ``(n, V)``, what the sampler drew from (:mod:`charlstm.generation.samplers`).
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
    best = leading(logits)
    sampled = np.take_along_axis(weights, best, 1)
    rows["ids"] = best
    rows["probabilities"] = np.take_along_axis(probabilities, best, 1)
    rows["sampled"] = sampled / weights.sum(1, keepdims=True)
    rows["kept"] = (sampled > 0) @ (1 << np.arange(best.shape[1]))


def leading(logits: Floats) -> npt.NDArray[np.intp]:
    """The ids of the highest logits in each row of ``(n, V)``, highest first, at most :data:`ALTERNATIVES`."""
    count = min(ALTERNATIVES, logits.shape[1])
    best = np.argpartition(logits, -count, axis=1)[:, -count:]
    order = np.argsort(-np.take_along_axis(logits, best, 1), axis=1, kind="stable")
    return np.take_along_axis(best, order, 1)


def row_alternatives(row: Any, symbols: tuple[str, ...]) -> tuple[Alternative, ...]:
    """The alternatives that one row remembers."""
    kept = int(row["kept"])
    columns = (row["ids"].tolist(), row["probabilities"].tolist(), row["sampled"].tolist())
    return tuple(
        Alternative(symbols[which], probability, sampled, bool(kept >> k & 1))
        for k, (which, probability, sampled) in enumerate(zip(*columns, strict=True))
    )
