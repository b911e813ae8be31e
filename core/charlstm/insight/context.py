"""Measure how many characters of context a model uses (Khandelwal et al. 2018, arXiv:1805.04623).

The loss is measured at sampled places when the model has read only the last k characters, for growing k, and when it
has read them after the longest context in random order. That order is the same for all k, so that it is read once.

Places differ more than lengths do, so the answer has a margin of error: the places are drawn again with repetition many
times (the bootstrap; Efron and Tibshirani 1993), each time with the same places for all k, and the context that the
model uses is found each time.

All k of some places are read side by side, each beginning k characters before its place. At 2 × 512 that takes a third
of the time of reading one k after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from charlstm.errors import GenerationError
from charlstm.generation.prime import prepare_prime
from charlstm.generation.softmax import cross_entropy
from charlstm.generation.stepper import Stepper, StepperState
from charlstm.insight.sample import model_step
from charlstm.insight.side_by_side import Report, compute

if TYPE_CHECKING:
    from charlstm.model.file import Model

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.intp]

LENGTHS = (1, 2, 3, 5, 8, 13, 20, 30, 50, 80, 120, 200, 300)
"""Context lengths that are measured."""

PLACES = 200
"""Places of a text at which the loss is measured; the standard error of a difference is then some 0.02 nats. Commands,
report, app and library measure at the same ones."""

SIDE_BY_SIDE = 24
"""Places that are read side by side: up to 25 streams each, which fill 60 MB at 2 × 512."""

ENOUGH = 0.01
"""The context that a model uses is the shortest with which the loss is within so many nats of the best."""

RESAMPLES = 2000
"""How often the places are drawn again for the margin of error."""

CERTAIN = 0.95
"""The part of these draws whose contexts are within the margin."""


@dataclass(frozen=True, slots=True)
class Context:
    """Loss by context length.

    Attributes:
        lengths: the context lengths k in characters, growing.
        losses: mean nats per character with the last k characters only.
        shuffled: mean nats per character with the last k characters after the ``max(lengths)`` before the place in
            random order; the last one is that of ``losses``.
        places: how many characters were predicted for each figure.
        errors: the standard error of the difference between each of ``losses`` and that of the longest context; empty
            for a single place.
        enough: the share of draws of the places in which the model uses so many characters or fewer; empty for a single
            place.
        step: after how many training steps the model was saved; None for a file without the number.
    """

    lengths: tuple[int, ...]
    losses: tuple[float, ...]
    shuffled: tuple[float, ...]
    places: int
    errors: tuple[float, ...]
    enough: tuple[float, ...]
    step: int | None

    @property
    def used(self) -> int:
        """The shortest context that is within :data:`ENOUGH` nats of the best one."""
        return self.lengths[int(_shortest_enough(np.array([self.losses]))[0])]

    @property
    def used_range(self) -> tuple[int, int] | None:
        """From how many to how many characters the model uses in :data:`CERTAIN` of the draws of the places; None for a
        single place."""
        if not self.enough:
            return None
        below, above = np.searchsorted(self.enough, [(1 - CERTAIN) / 2, (1 + CERTAIN) / 2])
        return self.lengths[int(below)], self.lengths[int(above)]

    @property
    def used_words(self) -> str:
        """``about 13 characters (95 % bootstrap interval: 8 to 50)``."""
        words = f"about {self.used} {'character' if self.used == 1 else 'characters'}"
        if self.used_range is None:
            return words
        low, high = self.used_range
        return f"{words} ({100 * CERTAIN:.0f} % bootstrap interval: {low if low == high else f'{low} to {high}'})"


def context(
    model: Model,
    text: str,
    *,
    at: int | None = None,
    lengths: Sequence[int] = LENGTHS,
    places: int = PLACES,
    stepper: Stepper | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Context:
    """Measure the loss of ``text`` by context length, at evenly spaced places or at one.

    Args:
        at: the position of one character; None measures ``places`` of them.
        progress: called with ``(done, total)`` steps; an exception ends the work.

    Raises:
        GenerationError: the text is shorter than the longest context, or ``at`` lies too close to its start or beyond
            its end.
    """
    prepared = prepare_prime(model, text, empty_is_fine=True)
    ids = prepared.ids
    lengths = tuple(sorted(set(lengths)))
    longest = lengths[-1]
    if at is not None and at >= len(ids):
        raise GenerationError(
            f"Position {at:,} has no character to measure: the text has {len(ids):,} characters, counted from 0"
        )
    before = len(ids) - 1 if at is None else at
    if before < longest:
        raise GenerationError(
            f"The text is too short for a context of {longest:,} characters: only {max(0, before):,} that the model "
            "knows stand before the predicted one. Take a longer text"
        )
    if at is not None:
        chosen = np.array([at], np.intp)
    else:
        chosen = np.unique(np.linspace(longest, len(ids) - 1, min(places, len(ids) - longest)).astype(np.intp))
    windows = ids[chosen[:, None] + np.arange(-longest, 0)]
    targets = ids[chosen]
    stepper = stepper or Stepper(model)
    mixed = np.random.default_rng(0).permuted(windows, axis=1)
    groups = [slice(start, start + SIDE_BY_SIDE) for start in range(0, len(chosen), SIDE_BY_SIDE)]

    jobs = [partial(_losses, windows[some], mixed[some], targets[some], lengths) for some in groups]
    found = compute(stepper, jobs, progress, 2 * longest * len(chosen))
    both = np.concatenate(found, axis=2)
    losses, shuffled = both.mean(2).tolist()
    errors, enough = _margins(both[0]) if len(chosen) > 1 else ((), ())
    return Context(lengths, tuple(losses), tuple(shuffled), len(chosen), errors, enough, model_step(model))


def _margins(losses: npt.NDArray[np.float64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """``errors`` and ``enough`` of :class:`Context`, from ``(K, N)`` losses for K lengths at N places."""
    count = losses.shape[1]
    errors = (losses - losses[-1]).std(1, ddof=1) / np.sqrt(count)
    draws = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    used = _shortest_enough(draws @ losses.T / count)
    enough = [float((used <= index).mean()) for index in range(len(losses))]
    return tuple(errors.tolist()), tuple(enough)


def _shortest_enough(losses: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """``(R,)``: the index of the shortest context within :data:`ENOUGH` nats of the best, in each row of ``(R, K)``."""
    shortest: npt.NDArray[np.intp] = np.argmax(losses <= losses.min(1, keepdims=True) + ENOUGH, axis=1)
    return shortest


def _losses(
    windows: Ids, mixed: Ids, targets: Ids, lengths: tuple[int, ...], stepper: Stepper, report: Report
) -> npt.NDArray[np.float64]:
    """``(2, K, B)``: the loss of each of ``targets`` ``(B,)`` after the last k of each row of ``windows``, for all
    ``lengths`` k: read from an empty state, and after the row of ``mixed``."""
    count, longest = windows.shape
    steps = mixed.shape[1] + longest
    empty, after_mixed = stepper.zero_state(count), stepper.zero_state(count)
    for step, column in enumerate(mixed.T):
        report(count * step)
        stepper.step(column, after_mixed)
    streams: list[StepperState] = []
    for left in range(longest, 0, -1):
        report(count * (steps - left))
        if left in lengths:
            begun = [empty] if left == longest else [empty, after_mixed]
            streams = [StepperState.concatenate([*streams, *begun])]
        logits = stepper.step(np.tile(windows[:, -left], streams[0].batch // count), streams[0])
    report(count * steps)
    losses = cross_entropy(logits, np.tile(targets, streams[0].batch // count)).reshape(-1, count)
    # First the longest k alone, then each shorter one from the empty state and after the mixed characters.
    alone, others = losses[:1], losses[1:].reshape(-1, 2, count)[::-1]
    return np.stack([np.concatenate([others[:, kind], alone]) for kind in (0, 1)])
