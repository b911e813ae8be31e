"""Measure how many characters of context a model uses (Khandelwal et al. 2018, arXiv:1805.04623).

The loss is measured at sampled places when the model has read only the last k characters, for growing k, and when the
characters further back are there but in random order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

Ids = npt.NDArray[np.intp]

LENGTHS = (1, 2, 3, 5, 8, 13, 20, 30, 50, 80, 120, 200, 300)
"""Context lengths that are measured."""

PLACES = 200
"""Places of a text at which the loss is measured; the standard error of a difference is then some 0.02 nats."""

ENOUGH = 0.01
"""The context that a model uses is the shortest with which the loss is within so many nats of the best."""


@dataclass(frozen=True, slots=True)
class Context:
    """Loss by context length.

    Attributes:
        lengths: the context lengths k in characters, growing.
        losses: mean nats per character with the last k characters only.
        shuffled: mean nats per character with the characters before the last k in random order.
        places: how many characters were predicted for each figure.
    """

    lengths: tuple[int, ...]
    losses: tuple[float, ...]
    shuffled: tuple[float, ...]
    places: int

    @property
    def used(self) -> int:
        """The shortest context that is within :data:`ENOUGH` nats of the best one."""
        best = min(self.losses)
        return next(length for length, loss in zip(self.lengths, self.losses, strict=True) if loss <= best + ENOUGH)


def context(
    model: Model,
    text: str,
    *,
    at: int | None = None,
    lengths: Sequence[int] = LENGTHS,
    places: int = PLACES,
    seed: int = 0,
    stepper: Stepper | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Context:
    """Measure the loss of ``text`` by context length, at evenly spaced places or at one.

    Args:
        at: the position of one character; None measures ``places`` of them.
        seed: of the random orders.
        progress: called with ``(done, total)`` steps; an exception ends the work.

    Raises:
        GenerationError: the text is shorter than the longest context, or ``at`` lies too close to its start.
    """
    prepared = prepare_prime(model, text, empty_is_fine=True)
    ids = prepared.ids
    lengths = tuple(sorted(set(lengths)))
    longest = lengths[-1]
    if len(ids) <= longest or (at is not None and not longest <= at < len(ids)):
        raise GenerationError(
            f"Measuring a context of {longest} characters needs more than {longest} characters before the one that is "
            f"predicted; the text has {len(ids):,} that the model knows"
        )
    if at is not None:
        chosen = np.array([at], np.intp)
    else:
        chosen = np.unique(np.linspace(longest, len(ids) - 1, min(places, len(ids) - longest)).astype(np.intp))
    windows = ids[chosen[:, None] + np.arange(-longest, 0)]
    targets = ids[chosen]
    stepper = stepper or Stepper(model)
    total, done = sum(lengths) + len(lengths) * longest, 0
    losses, shuffled = [], []
    random = np.random.default_rng(seed)
    with blas_threads(1):
        for length in lengths:
            losses.append(_mean_loss(stepper, windows[:, longest - length :], targets))
            mixed = windows.copy()
            mixed[:, : longest - length] = random.permuted(windows[:, : longest - length], axis=1)
            shuffled.append(_mean_loss(stepper, mixed, targets))
            done += length + longest
            if progress is not None:
                progress(done, total)
    return Context(lengths, tuple(losses), tuple(shuffled), len(chosen))


def _mean_loss(stepper: Stepper, windows: Ids, targets: Ids) -> float:
    """The mean loss of ``targets`` ``(B,)`` after each row of ``windows`` ``(B, k)`` was read from an empty state."""
    state = stepper.zero_state(len(windows))
    for column in windows.T:
        logits = stepper.step(column, state)
    highest = logits.max(1, keepdims=True)
    total = np.log(np.exp(logits - highest).sum(1, dtype=np.float64)) + highest[:, 0]
    return float((total - np.take_along_axis(logits, targets[:, None], 1)[:, 0]).mean())
