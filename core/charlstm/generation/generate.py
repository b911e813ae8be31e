"""Generate one text, or many at once by matrix products."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from charlstm import arguments
from charlstm.errors import GenerationError
from charlstm.generation.clamp import check_clamps
from charlstm.generation.prime import prepare_prime
from charlstm.generation.recipe import DEFAULT, Recipe
from charlstm.generation.sampling import (
    Floats,
    Sampler,
    check_seed,
    draws,
    key_for,
    mirostat_start,
    mirostat_update,
    penalties_after,
    surprises,
    uniforms,
)
from charlstm.generation.session import Session, stop_strings
from charlstm.generation.stepper import Stepper
from charlstm.generation.threads import blas_threads

if TYPE_CHECKING:
    from charlstm.model.file import Model


MAX_CHARS = 2**40
"""More characters in all are refused: they fit in no memory."""


def generate(
    model: Model,
    prime: str = "",
    length: int = 1000,
    recipe: Recipe = DEFAULT,
    *,
    stop: str | Sequence[str] = (),
) -> str:
    """At most ``length`` characters after ``prime``; fewer if they end with a string of ``stop``.

    Raises :class:`GenerationError` for an empty stop string, or a clamped cell that the model does not have.
    """
    length = arguments.number("length", length, 0, MAX_CHARS)
    with blas_threads(1):
        session = Session.of(model, prime, recipe)
        return "".join(step.char for step in session.stream(length, stop=stop))


def generate_many(
    model: Model,
    prime: str = "",
    length: int = 1000,
    recipe: Recipe = DEFAULT,
    *,
    samples: int,
    stop: str | Sequence[str] = (),
    threads: int | None = None,
    stepper: Stepper | None = None,
    progress: Callable[[int], None] | None = None,
    prime_progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """``samples`` texts after one prime, which advance together by matrix products.

    Text n uses the random numbers of ``Session(sample=n)``, whatever the recipe's sample is. Products of many rows
    round differently, so the two can differ from a character on that was close. The same call gives the same texts on
    one machine with the same ``threads``.

    Args:
        threads: of the matrix products; None is one per processor.
        progress: called with the number of characters drawn, all texts together, every 16 characters of each.
        prime_progress: called with ``(done, total)`` characters of a long prime; an exception ends the work.

    Raises:
        GenerationError: ``samples`` or ``length`` is out of range, a stop string is empty, or the model does not have a
            clamped cell.
    """
    threads = None if threads is None else arguments.number("threads", threads, 1, 1024)
    seed, settings = check_seed(recipe.seed), recipe.settings
    if samples < 1 or not 0 <= length < MAX_CHARS // max(samples, 1):
        raise GenerationError(
            f"{samples} samples of {length} characters are not possible: ask for 1 or more that fit in memory"
        )
    strings = stop_strings(stop)
    sampler, stepper, ids = Sampler(settings), stepper or Stepper(model), prepare_prime(model, prime).ids
    check_clamps(recipe.clamps, model.config.num_layers, model.config.hidden_size)
    stepper.clamps = tuple(recipe.clamps)
    keys = np.array([key_for(seed, sample) for sample in range(samples)], np.uint64)
    with blas_threads(1):
        single = stepper.zero_state()
        stepper.consume(ids, single, prime_progress)
    state = single.repeat(samples)
    drawn = np.empty((samples, length), np.intp)
    ends = np.full(samples, length)
    mu = None if settings.mirostat is None else np.full((samples, 1), mirostat_start(settings.mirostat))
    back = settings.repetition_range
    before = ids[-back:]
    no_repeat_before = np.zeros(samples, np.intp)

    def penalties(position: int) -> Floats | None:
        """What the repetition penalty subtracts from the logits of each text, ``(samples, V)``."""
        found = None
        for sample in np.flatnonzero(no_repeat_before <= position):
            history = np.concatenate([before, drawn[sample, max(0, position - back) : position]])
            own, missing = penalties_after(history, len(model.vocabulary), settings)
            no_repeat_before[sample] = position + missing
            if own is not None:
                found = np.zeros((samples, len(model.vocabulary)), np.float32) if found is None else found
                found[sample] = own
        return found

    with blas_threads(threads or os.cpu_count() or 1):
        logits = stepper.logits(state)
        for position in range(length):
            weights = sampler.weights(logits, penalties(position) if sampler.needs_history else None, mu)
            which = draws(weights, uniforms(keys, position))
            drawn[:, position] = which
            if mu is not None and settings.mirostat is not None:
                surprise = np.take_along_axis(surprises(logits), which[:, None], 1)
                mu = mirostat_update(mu, surprise, settings.mirostat, settings.mirostat_rate)
            if strings:
                for sample in np.flatnonzero(ends == length):
                    tail = drawn[sample, max(0, position + 1 - max(map(len, strings))) : position + 1]
                    if model.vocabulary.decode(tail).endswith(strings):
                        ends[sample] = position + 1
                if (ends < length).all():
                    break
            logits = stepper.step(which, state)
            if progress is not None and position % 16 == 15:
                progress((position + 1) * samples)
    return [model.vocabulary.decode(row[:end]) for row, end in zip(drawn, ends, strict=True)]
