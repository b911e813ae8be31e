"""The marks of characters: what the colouring needs to know of each, packed in 16 bits; and the scales of colouring.

====== =====================================================================
bits   meaning
====== =====================================================================
0–2    level on :data:`SURPRISE`: 1 to 4, or 0 where nothing was predicted
3–5    level on :data:`RANK`, likewise
6–8    level on :data:`ENTROPY`, likewise
9–11   unused
12–14  :class:`Origin`
15     :data:`COPIED`
====== =====================================================================

A mark holds the levels of all scales, so that another colouring needs neither the session nor its figures, and a
million characters take 2 MB. The colours themselves are the view's.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from charlstm.generation.tree import Rows

LEVEL_BITS = 3
LEVEL_MASK = 0b111
ORIGIN_SHIFT = 12
COPIED = 1 << 15
"""Set on characters that stand word for word in the training text."""


class Origin(IntEnum):
    """Where a character comes from."""

    PRIME = 0
    MODEL = 1
    TYPED = 2
    CHOSEN = 3
    SUGGESTION = 4


@dataclass(frozen=True, slots=True)
class Scale:
    """A figure of a character in four levels, from expected (1) to surprising (4).

    Attributes:
        name: what the user's preferences and an exported page call it.
        title: the name in the legend.
        shift: the lowest of its bits in a mark.
        limits: the values at which levels 2, 3 and 4 begin.
        labels: the values of each level, for the legend.
        unit: of these values, for the legend.
        ends: what level 1 and level 4 mean, in a word.
        as_background: shown by the background, where there are enough colours; else by marks (:data:`MARKS`).
    """

    name: str
    title: str
    shift: int
    limits: tuple[float, float, float]
    labels: tuple[str, str, str, str]
    unit: str
    ends: tuple[str, str]
    as_background: bool

    def levels(self, values: npt.NDArray[np.floating[Any] | np.integer[Any]]) -> npt.NDArray[np.uint16]:
        """The levels, 1 to 4, of many values."""
        return (1 + np.searchsorted(self.limits, values.astype(np.float64), "right")).astype(np.uint16)


SURPRISE = Scale(
    "probability", "SURPRISE", 0, (1, 3, 6), ("<1", "1–3", "3–6", ">6"), "bits", ("expected", "surprising"), True
)
"""−log2 of the model's probability, in bits."""
RANK = Scale("rank", "RANK", LEVEL_BITS, (2, 4, 11), ("1", "2–3", "4–10", ">10"), "", ("expected", "surprising"), False)
"""The character's place among all, by the model's probability: 1 is the most likely."""
ENTROPY = Scale(
    "entropy", "ENTROPY", 2 * LEVEL_BITS, (1, 2, 3.5), ("<1", "1–2", "2–3.5", ">3.5"), "bits", ("sure", "unsure"), True
)
"""The entropy of the model's distribution before the character, in bits."""
OFF = Scale("off", "COLOUR OFF", 0, (0, 0, 0), ("", "", "", ""), "", ("", ""), False)
SCALES: tuple[Scale, ...] = (SURPRISE, RANK, ENTROPY, OFF)
MARKS: tuple[str, str, str, str] = ("plain", "underline", "bold", "reverse")
"""How the levels look where they are shown by marks, so that nothing is told by colour alone."""


def marks(rows: Rows) -> array[int]:
    """The mark of each of a session's rows (``charlstm.generation.tree``)."""
    origins = np.array([Origin.MODEL, Origin.TYPED, Origin.CHOSEN], np.uint16)[rows["source"]]
    return pack(origins, rows["probability"], rows["rank"], rows["entropy"])


def pack(
    origins: npt.NDArray[np.uint16],
    probabilities: npt.NDArray[np.float32],
    ranks: npt.NDArray[np.integer[Any]],
    entropies: npt.NDArray[np.float32],
) -> array[int]:
    """The marks of ``N`` characters, from figures ``(N,)``. A rank of 0 says that nothing was predicted: no levels."""
    bits = origins << ORIGIN_SHIFT
    surprises = -np.log2(np.maximum(probabilities.astype(np.float64), 2.0**-149))
    for scale, values in ((SURPRISE, surprises), (RANK, ranks), (ENTROPY, entropies)):
        bits |= np.where(ranks > 0, scale.levels(values) << scale.shift, 0).astype(np.uint16)
    return array("H", bits.astype(np.uint16).tobytes())


def level(mark: int, scale: Scale) -> int:
    """The level of a mark on a scale: 1 to 4, or 0 where there is none."""
    return 0 if scale is OFF else (mark >> scale.shift) & LEVEL_MASK


def origin(mark: int) -> Origin:
    """Where the character of this mark comes from."""
    return Origin((mark >> ORIGIN_SHIFT) & LEVEL_MASK)


def uniform(text: str, source: Origin) -> Iterable[int]:
    """Marks for a text for which the model predicted nothing."""
    return [source << ORIGIN_SHIFT] * len(text)
