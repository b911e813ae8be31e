"""The marks of characters: what the colouring needs to know of each, packed in 16 bits; and the scales of colouring.

====== =====================================================================
bits   meaning
====== =====================================================================
0–2    level on :data:`SURPRISE`: 1 to 4, or 0 where nothing was predicted;
       in a text that a cell colours, on :data:`CELL`, of 1 to 5
3–5    level on :data:`RANK`, likewise
6–8    level on :data:`ENTROPY`, likewise
9–11   level on :data:`INFLUENCE` or :data:`DAMAGE`, likewise, of 1 to 5
12–14  :class:`Origin`
15     :data:`COPIED`
====== =====================================================================

A mark holds the levels of all scales, so that another colouring needs neither the session nor its figures, and a
million characters take 2 MB. The colours themselves are the view's.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from charlstm.generation.colouring import LIMITS
from charlstm.generation.rows import in_bits

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
    """A figure of a character in four levels, from expected (1) to surprising (4), or in five, from low to high.

    Attributes:
        name: what the user's preferences and an exported page call it.
        title: the name in the legend.
        shift: the lowest of its bits in a mark.
        limits: the values at which level 2 and the next ones begin.
        labels: the values of each level, for the legend.
        unit: of these values, for the legend.
        ends: what the first and the last level mean, in a word.
        as_background: shown by the background, where there are enough colours; else by marks (:data:`MARKS`).
    """

    name: str
    title: str
    shift: int
    limits: tuple[float, ...]
    labels: tuple[str, ...]
    unit: str
    ends: tuple[str, str]
    as_background: bool

    @property
    def diverging(self) -> bool:
        """Whether it goes from low over plain to high: five levels in two hues, instead of four in one."""
        return len(self.labels) == 5

    @property
    def plain_level(self) -> int:
        """The level that looks like text without a level."""
        return 3 if self.diverging else 1

    def levels(self, values: npt.NDArray[np.floating[Any] | np.integer[Any]]) -> npt.NDArray[np.uint16]:
        """The levels, from 1, of many values."""
        return (1 + np.searchsorted(self.limits, values.astype(np.float64), "right")).astype(np.uint16)


SURPRISE = Scale(
    "probability", "SURPRISE", 0, LIMITS["probability"],
    ("<1", "1–3", "3–6", ">6"), "bits", ("expected", "surprising"), True,
)  # fmt: skip
"""−log2 of the model's probability, in bits."""
RANK = Scale(
    "rank", "RANK", LEVEL_BITS, LIMITS["rank"], ("1", "2–3", "4–10", ">10"), "", ("expected", "surprising"), False
)
"""The character's rank among all, by the model's probability: 1 is the most likely."""
ENTROPY = Scale(
    "entropy", "ENTROPY", 2 * LEVEL_BITS, LIMITS["entropy"],
    ("<1", "1–2", "2–3.5", ">3.5"), "bits", ("sure", "unsure"), True,
)  # fmt: skip
"""The entropy of the model's distribution before the character, in bits."""
CELL = Scale("cell", "CELL", 0, (-1.5, -0.5, 0.5, 1.5), ("", "", "", "", ""), "", ("low", "high"), True)
"""The state of one cell, in standard deviations from its mean; :func:`cell_scale` gives its values."""
INFLUENCE = Scale(
    "influence", "INFLUENCE", 3 * LEVEL_BITS, (-0.5, -0.1, 0.1, 0.5),
    ("<-0.5", "<-0.1", "0", ">0.1", ">0.5"), "nats", ("against it", "for it"), True,
)  # fmt: skip
"""How much the loss of one character rises when this one is hidden, in nats; :func:`in_unit` names it in bits."""
DAMAGE = replace(
    INFLUENCE, name="damage", title="DAMAGE", limits=(-0.2, -0.05, 0.05, 0.2),
    labels=("<-0.2", "<-0.05", "0", ">0.05", ">0.2"), ends=("better without", "worse without"),
)  # fmt: skip
"""How much the loss of a character rises when one cell is silenced, in nats."""
OFF = Scale("off", "COLOUR OFF", 0, (0, 0, 0), ("", "", "", ""), "", ("", ""), False)
SCALES: tuple[Scale, ...] = (SURPRISE, RANK, ENTROPY, OFF)
MARKS: tuple[str, str, str, str] = ("plain", "underline", "bold", "reverse")
"""How the levels look where they are shown by marks, so that nothing is told by colour alone."""
DIVERGING_MARKS: tuple[str, ...] = ("bold italic", "italic", "plain", "underline", "bold underline")
"""The same for a diverging scale: italic is low and underlined is high."""


def cell_scale(title: str, mean: float, deviation: float) -> Scale:
    """:data:`CELL` for a cell whose states have this mean and deviation: with its name and values for the legend."""
    limits = [mean + deviation * limit for limit in CELL.limits]
    low, lower, higher, high = (f"{limit:.2f}".replace("-0.00", "0.00") for limit in limits)
    return replace(CELL, title=title, labels=(f"<{low}", f"<{lower}", "mean", f">{higher}", f">{high}"))


def in_unit(scale: Scale, bits: bool) -> Scale:
    """A scale of losses or surprises with the values of its labels in nats or bits. Levels keep their positions."""
    wanted = "bits" if bits else "nats"
    if scale.unit in ("", wanted):
        return scale
    size = 1 / math.log(2) if bits else math.log(2)
    limits = [f"{limit * size:.{2 if scale.diverging else 1}f}" for limit in scale.limits]
    if scale.diverging:
        low, lower, higher, high = limits
        labels: tuple[str, ...] = (f"<{low}", f"<{lower}", "0", f">{higher}", f">{high}")
    else:
        low, middle, high = limits
        labels = (f"<{low}", f"<{middle}", f"<{high}", f">{high}")
    return replace(scale, labels=labels, unit=wanted)


def pack(
    origins: npt.NDArray[np.uint16],
    probabilities: npt.NDArray[np.float32],
    ranks: npt.NDArray[np.integer[Any]],
    entropies: npt.NDArray[np.float32],
) -> array[int]:
    """The marks of ``N`` characters, from figures ``(N,)``. A rank of 0 says that nothing was predicted: no levels."""
    bits = origins << ORIGIN_SHIFT
    for scale, values in ((SURPRISE, in_bits(probabilities)), (RANK, ranks), (ENTROPY, entropies)):
        bits |= np.where(ranks > 0, scale.levels(values) << scale.shift, 0).astype(np.uint16)
    return array("H", bits.astype(np.uint16).tobytes())


def set_levels(marks: array[int], scale: Scale, start: int, levels: npt.NDArray[np.uint16]) -> None:
    """Give the characters from ``start`` on these levels on ``scale``, and all others none."""
    bits = np.frombuffer(marks, np.uint16)
    bits &= np.uint16(0xFFFF ^ (LEVEL_MASK << scale.shift))
    bits[start : start + len(levels)] |= (levels << scale.shift).astype(np.uint16)


def level(mark: int, scale: Scale) -> int:
    """The level of a mark on a scale, from 1, or 0 where there is none."""
    return 0 if scale is OFF else (mark >> scale.shift) & LEVEL_MASK


def without_levels(mark: int) -> int:
    """A mark that keeps only where the character comes from and whether it is copied."""
    return mark & (COPIED | LEVEL_MASK << ORIGIN_SHIFT)


def origin(mark: int) -> Origin:
    """Where the character of this mark comes from."""
    return Origin((mark >> ORIGIN_SHIFT) & LEVEL_MASK)


def uniform(text: str, source: Origin) -> Iterable[int]:
    """Marks for a text for which the model predicted nothing."""
    return [source << ORIGIN_SHIFT] * len(text)
