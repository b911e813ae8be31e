"""How surprised a model is by a text: one figure per character, and where it is most surprised.

Totals over a whole text or a run's held-out part are ``eval``'s; this is for looking at single characters.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from charlstm.errors import GenerationError
from charlstm.generation.prime import prepare_prime
from charlstm.generation.stepper import Stepper
from charlstm.generation.threads import blas_threads

if TYPE_CHECKING:
    from charlstm.model.file import Model


@dataclass(frozen=True, slots=True)
class Place:
    """A surprising character: ``bits`` at ``position``, between ``before`` and ``after``."""

    position: int
    char: str
    bits: float
    rank: int
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Scores:
    """A text of N characters, scored.

    Attributes:
        text: what was scored: the text without what the model has never seen, under its text options.
        nats: ``(N,)`` float32, −ln of each character's probability given all before it. The first has nothing before
            it: it is not predicted, and its figure is not-a-number.
        ranks: ``(N,)`` int32, 1 for the most likely; 0 for the first.
        entropy: ``(N,)`` float32, bits that the model expected to need; not-a-number for the first.
        unknown: characters that were left out, with their counts.
    """

    text: str
    nats: npt.NDArray[np.float32]
    ranks: npt.NDArray[np.int32]
    entropy: npt.NDArray[np.float32]
    unknown: dict[str, int]

    @property
    def chars(self) -> int:
        """Characters predicted, N − 1."""
        return len(self.nats) - 1

    @property
    def mean_nats(self) -> float:
        """Nats per predicted character."""
        return float(self.nats[1:].mean(dtype=np.float64))

    @property
    def bits_per_char(self) -> float:
        """Bits per predicted character."""
        return self.mean_nats / math.log(2)

    @property
    def perplexity(self) -> float:
        """Among how many equally likely characters the model chose, on average."""
        return math.exp(min(self.mean_nats, 700))

    def places(self, count: int = 10, context: int = 20) -> list[Place]:
        """The most surprising characters, most surprising first, no two within ``context`` characters of each other."""
        found: list[Place] = []
        free = np.ones(len(self.nats), bool)
        for position in (np.argsort(-self.nats[1:], kind="stable") + 1).tolist():
            if len(found) == count:
                break
            if free[position]:
                low, high = max(0, position - context), position + 1 + context
                free[low:high] = False
                bits, rank = float(self.nats[position]) / math.log(2), int(self.ranks[position])
                before, after = self.text[low:position], self.text[position + 1 : high]
                found.append(Place(position, self.text[position], bits, rank, before, after))
        return found

    def strip(self, width: int) -> npt.NDArray[np.float32]:
        """Mean bits per character in ``width`` equal parts of the text (fewer if it is shorter): ``(width,)``."""
        bits = self.nats[1:] / np.float32(math.log(2))
        edges = np.linspace(0, len(bits), min(width, len(bits)) + 1).astype(np.intp)
        sums = np.add.reduceat(bits, edges[:-1], dtype=np.float64)
        return (sums / np.diff(edges)).astype(np.float32)


def score(
    model: Model,
    text: str,
    *,
    stepper: Stepper | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """Score ``text``, read once from its start with nothing before it.

    Args:
        stepper: of the same model, to save packing its weights again.
        progress: told ``(done, total)`` characters after each block; may raise to give up.

    Raises:
        GenerationError: fewer than two characters that the model knows.
    """
    prepared = prepare_prime(model, text, empty_is_fine=True)
    ids = prepared.ids
    if len(ids) < 2:
        raise GenerationError("There is nothing to score: it takes two characters that the model knows")
    stepper = stepper or Stepper(model)
    nats, entropy = np.full(len(ids), np.nan, np.float32), np.full(len(ids), np.nan, np.float32)
    ranks = np.zeros(len(ids), np.int32)
    with blas_threads(1):
        for which, tops in stepper.outputs(ids[:-1], stepper.zero_state()):
            logits = stepper.head(tops)
            comes = slice(which.start + 1, which.stop + 1)
            actual = np.take_along_axis(logits, ids[comes][:, None], 1)
            ranks[comes] = 1 + (logits > actual).sum(1)
            highest = logits.max(1, keepdims=True)
            exponentials = np.exp(logits - highest)
            total = exponentials.sum(1, keepdims=True)
            logarithm = np.log(total) + highest
            nats[comes] = np.maximum(logarithm - actual, 0)[:, 0]
            expected = (exponentials * logits).sum(1) / total[:, 0]
            entropy[comes] = np.maximum(logarithm[:, 0] - expected, 0) / math.log(2)
            if progress is not None:
                progress(which.stop + 1, len(ids))
    return Scores(prepared.text, nats, ranks, entropy, prepared.unknown)
