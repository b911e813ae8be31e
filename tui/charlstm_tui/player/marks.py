"""What a character of the stream remembers for its colour, packed in 16 bits, and the scales that give it meaning.

A mark holds the levels of all scales at once, so changing the colouring re-styles a million characters without
touching them. The colours themselves are the view's.
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
    """Who wrote a character."""

    PRIME = 0
    MODEL = 1
    OWN = 2
    PICKED = 3
    GHOST = 4


@dataclass(frozen=True, slots=True)
class Scale:
    """A way to grade surprise. ``steps`` part the levels 1 (expected) to 4; ``labels`` name them in the legend."""

    name: str
    title: str
    shift: int
    steps: tuple[float, float, float]
    labels: tuple[str, str, str, str]
    falling: bool = False
    """True when a smaller value is the greater surprise."""

    def levels(self, values: npt.NDArray[np.floating[Any] | np.integer[Any]]) -> npt.NDArray[np.uint16]:
        """The levels, 1 to 4, of many values."""
        sign = -1 if self.falling else 1
        steps = sign * np.array(self.steps)
        return (1 + np.searchsorted(steps, sign * values.astype(np.float64), "right")).astype(np.uint16)


OFF = Scale("off", "COLOUR OFF", 0, (0, 0, 0), ("", "", "", ""))
PROBABILITY = Scale(
    "probability", "CHANCE", 0, (0.5, 0.1, 0.01), ("> 50 %", "10–50 %", "1–10 %", "< 1 %"), falling=True
)
RANK = Scale("rank", "RANK", LEVEL_BITS, (2, 4, 11), ("1", "2–3", "4–10", "> 10"))
ENTROPY = Scale("entropy", "UNSURE", 2 * LEVEL_BITS, (1.0, 2.0, 3.5), ("< 1 bit", "1–2", "2–3.5", "> 3.5"))
SCALES: tuple[Scale, ...] = (OFF, PROBABILITY, RANK, ENTROPY)
LOOKS: tuple[str, str, str, str] = ("plain", "underline", "bold", "reverse")
"""How each level looks besides its colour, so that nothing is told by colour alone."""


def marks(rows: Rows) -> array[int]:
    """The mark of each of a session's rows (``charlstm.generation.tree``)."""
    origins = np.array([Origin.MODEL, Origin.OWN, Origin.PICKED], np.uint16)[rows["source"]]
    return grade(origins, rows["probability"], rows["rank"], rows["entropy"])


def grade(
    origins: npt.NDArray[np.uint16],
    probability: npt.NDArray[np.float32],
    rank: npt.NDArray[np.integer[Any]],
    entropy: npt.NDArray[np.float32],
) -> array[int]:
    """The mark of each of ``N`` characters, from figures ``(N,)``; what has rank 0 was not predicted: no levels."""
    bits = origins << ORIGIN_SHIFT
    for scale, values in ((PROBABILITY, probability), (RANK, rank), (ENTROPY, entropy)):
        bits |= np.where(rank > 0, scale.levels(values) << scale.shift, 0).astype(np.uint16)
    return array("H", bits.astype(np.uint16).tobytes())


def level(bits: int, scale: Scale) -> int:
    """The level of a mark on a scale: 1 to 4, or 0 where there is none."""
    return 0 if scale is OFF else (bits >> scale.shift) & LEVEL_MASK


def origin(bits: int) -> Origin:
    """Who wrote the character of this mark."""
    return Origin((bits >> ORIGIN_SHIFT) & LEVEL_MASK)


def uniform(text: str, who: Origin) -> Iterable[int]:
    """Marks for a text that the model was not asked about."""
    return [who << ORIGIN_SHIFT] * len(text)
