"""Measure what holding cells changes in what a model writes: many texts with the cells held and without, from the same
prime and random numbers, and how often a feature begins in them.

The texts of a pair have the same (seed, sample), so they are compared pairwise; the standard error is that of the mean
difference over the pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from charlstm.generation.clamp import Clamp
from charlstm.generation.generate import generate_many
from charlstm.generation.recipe import Recipe
from charlstm.generation.stepper import Stepper
from charlstm.insight.features import BUILT_IN, feature_mean, feature_starts
from charlstm.insight.side_by_side import Report, compute

if TYPE_CHECKING:
    from charlstm.model.file import Model

PAIRS = 64
"""Texts with the cells held, and as many without."""

LENGTH = 500
"""Characters of each. All take some 4 s of one core at 2 × 512."""

TELLS = 2
"""Standard errors beyond which a difference is one."""


@dataclass(frozen=True, slots=True)
class HoldEffect:
    """What holding cells changes in a feature.

    Attributes:
        feature: the name of a built-in feature.
        free, held: how often it begins in 1,000 characters, without the held cells and with them; of a graded feature
            the mean value.
        error: standard error of the difference.
        chars: how many characters were written with the cells held, and as many without.
    """

    feature: str
    free: float
    held: float
    error: float
    chars: int

    @property
    def tells(self) -> bool:
        """Whether the difference is beyond :data:`TELLS` standard errors."""
        return abs(self.held - self.free) > TELLS * self.error

    @property
    def sentence(self) -> str:
        """``It writes more “inside quotes”: 15.2 times in 1,000 characters, not 8.2 (+7.1 ±1.3).``"""
        graded = BUILT_IN[self.feature].kind == "graded"
        digits = 2 if graded else 1
        figures = f"a mean of {self.held:.2f}" if graded else f"{self.held:.1f} times in 1,000 characters"
        change = f"{self.held - self.free:+.2f} ±{TELLS * self.error:.2f}"
        figures = f"{figures}, not {self.free:.{digits}f} ({change})"
        if not self.tells:
            return f"Holding it changes nothing that can be told from chance: “{self.feature}” {figures}."
        more, less = ("raises", "lowers") if graded else ("writes more", "writes fewer")
        return f"It {more if self.held > self.free else less} “{self.feature}”: {figures}."


def hold_effects(
    model: Model,
    features: Sequence[str],
    clamps: Sequence[Clamp],
    *,
    prime: str = "",
    recipe: Recipe,
    stepper: Stepper | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[HoldEffect]:
    """Measure what holding cells changes in built-in ``features`` of what ``model`` writes after ``prime``.

    Args:
        recipe: the sampler's settings and the seed.
        progress: called with ``(done, total)`` characters; an exception ends the work.
    """

    def write(held: tuple[Clamp, ...], stepper: Stepper, report: Report) -> list[str]:
        chosen = replace(recipe, clamps=held)
        return generate_many(model, prime, LENGTH, chosen, samples=PAIRS, threads=1, stepper=stepper, progress=report)

    jobs = [partial(write, ()), partial(write, tuple(clamps))]
    both = compute(stepper or Stepper(model), jobs, progress, 2 * PAIRS * LENGTH)
    found = []
    for name in features:
        free, held = (np.array([_amount(name, prime, text) for text in texts]) for texts in both)
        error = float((held - free).std(ddof=1)) / math.sqrt(PAIRS)
        found.append(HoldEffect(name, float(free.mean()), float(held.mean()), error, PAIRS * LENGTH))
    return found


def _amount(name: str, prime: str, text: str) -> float:
    """How often a yes/no feature begins in 1,000 characters of ``text``, or the mean of a graded one."""
    if BUILT_IN[name].kind == "graded":
        return feature_mean(name, text)
    return 1000 * feature_starts(name, prime, text) / max(1, len(text))
