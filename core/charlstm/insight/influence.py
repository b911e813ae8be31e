"""Measure how much each earlier character influences the probability of one character, by occlusion.

Each earlier character in turn is hidden from the model, which then reads the rest of the text up to the character in
question. The change of that character's loss is the influence: positive when hiding makes the character less likely, so
that the model used what was hidden.

A hidden character is replaced by what the model itself expected at its place: the mean of all characters, weighted by
their probabilities there. A fixed symbol, a blank, would also measure how strange the blank is at that place. At 30
places of Python's reference, with a 2 × 256 model of it, hiding one of the ten characters before changed the loss by
0.23 nats on average by expectation and by 0.90 nats by a blank; of those 50 to 100 before by 0.001 and 0.003.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from charlstm.display import short_repr
from charlstm.errors import GenerationError
from charlstm.generation.prime import prepare_prime
from charlstm.generation.softmax import cross_entropy, softmax
from charlstm.generation.stepper import Stepper, StepperState
from charlstm.generation.threads import blas_threads
from charlstm.insight.side_by_side import Report, compute, thread_count

if TYPE_CHECKING:
    from charlstm.model.file import Model

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.intp]

BACK = 100
"""Characters before the one in question that are hidden in turn."""

WORTH_THREADS = 20
"""Hidden characters from which on several threads share the work."""

GROUP = 8
"""Streams are added to a batch so many at a time, so that it always has a multiple of as many: OpenBLAS computes a
product with 56 columns in less time than one with 51."""


@dataclass(frozen=True, slots=True)
class Influence:
    """The influence of earlier characters on the character at ``position`` of a text.

    Attributes:
        position: of the character in question, from 0.
        char: the character in question.
        loss: its loss in nats when nothing is hidden.
        start: position of the first character that was hidden.
        changes: ``(position - start,)`` float32, the change of the loss in nats when the character at ``start`` + n is
            hidden.
    """

    position: int
    char: str
    loss: float
    start: int
    changes: Floats

    __repr__ = short_repr

    @property
    def strongest(self) -> int | None:
        """The position of the character with the largest influence; None at the start of a text."""
        return self.start + int(np.argmax(np.abs(self.changes))) if len(self.changes) else None


def influence(
    model: Model,
    text: str,
    position: int,
    *,
    back: int = BACK,
    stepper: Stepper | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Influence:
    """Hide each of the ``back`` characters before ``position`` in turn, and measure what that does to the character
    there.

    Args:
        text: in which ``position`` counts characters.
        position: from 1; the first character of a text is not predicted.
        progress: called with ``(done, total)`` hidden characters; an exception ends the work.

    Raises:
        GenerationError: there is no predicted character at ``position``.
    """
    prepared = prepare_prime(model, text, empty_is_fine=True)
    ids = prepared.ids
    if prepared.known < 2:
        raise GenerationError(
            "The text has fewer than two characters that the model knows: a character is explained by those before it, "
            "so give a longer text, or one in characters that the model was trained on"
        )
    if not 1 <= position < len(ids):
        raise GenerationError(
            f"Position {position} has no character to explain: the text has {len(ids):,} characters, counted "
            "from 0, and the first one is not predicted"
        )
    stepper = stepper or Stepper(model)
    start = max(0, position - back)
    with blas_threads(1):
        state = stepper.zero_state()
        stepper.consume(ids[:start], state)
        losses = _losses(stepper, ids[start : position + 1], state, start == 0, progress)
    return Influence(
        position, prepared.text[position], float(losses[-1]), start, (losses[:-1] - losses[-1]).astype(np.float32)
    )


def _losses(
    stepper: Stepper, ids: Ids, state: StepperState, at_start: bool, progress: Callable[[int, int], None] | None
) -> npt.NDArray[np.float64]:
    """``(n + 1,)``: the loss of the last of ``ids`` with each of the n before it hidden in turn, and with none hidden.
    ``state`` is the state before, which does not change; ``at_start``: it has read nothing, and so expects nothing."""
    count = len(ids) - 1
    # The earlier a character is hidden, the more is read with it: all parts take the same time.
    parts = thread_count() if count >= WORTH_THREADS else 1
    ends = [round(count * (1 - math.sqrt(1 - part / parts))) for part in range(parts + 1)]

    jobs = [partial(_losses_hiding, ids, first, last, state, at_start) for first, last in pairwise(ends)]
    found = compute(stepper, jobs, progress, count)
    return np.concatenate([*(losses[:-1] for losses in found), found[0][-1:]])


def _losses_hiding(
    ids: Ids, first: int, last: int, state: StepperState, at_start: bool, stepper: Stepper, report: Report
) -> npt.NDArray[np.float64]:
    """``(last - first + 1,)``: as :func:`_losses`, with those from ``first`` to before ``last`` hidden in turn."""
    state = state.repeat(1)
    logits = np.zeros(stepper.vocab_size, np.float32) if at_start else stepper.first_logits(state)
    if first:
        logits = stepper.consume(ids[:first], state)[0]
    # Stream 0 reads the text; the others each have one character hidden. They are added in groups, since before its
    # hidden character a stream is equal to stream 0.
    for at in range(first, last):
        hidden = 1 + at - first
        if hidden == state.batch:
            report(hidden - 1)
            state = state.select([*range(state.batch), *[0] * (GROUP - state.batch % GROUP)])
        stepper.advance_hiding(int(ids[at]), hidden, softmax(logits[None])[0].astype(np.float32), state)
        logits = stepper.first_logits(state)
    for which in ids[last:-1].tolist():
        report(last - first)
        stepper.advance(which, state)
    report(last - first)
    losses = cross_entropy(stepper.logits(state)[: last - first + 1], np.full(last - first + 1, ids[-1]))
    return np.roll(losses, -1)
