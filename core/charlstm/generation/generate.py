"""Text in one call: one sample, or many at once through matrix products. For more than text, play a session."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from charlstm.errors import GenerationError
from charlstm.generation.prime import prepare_prime
from charlstm.generation.sampling import (
    Repeats,
    Sampler,
    SamplerSettings,
    draws,
    key_for,
    mirostat_start,
    mirostat_update,
    surprises,
    uniforms,
)
from charlstm.generation.session import Session, stop_strings
from charlstm.generation.stepper import Stepper
from charlstm.generation.threads import blas_threads

if TYPE_CHECKING:
    from charlstm.model.file import Model


MOST = 2**40
"""Characters in all beyond which nobody waits for the last; no memory holds them."""


def generate(
    model: Model,
    prime: str = "",
    length: int = 1000,
    *,
    seed: int = 0,
    settings: SamplerSettings | None = None,
    stop: str | Sequence[str] = (),
) -> str:
    """``length`` characters after ``prime``, or fewer if they end with a string of ``stop``. Without the prime.

    Raises :class:`GenerationError` for settings that make no sense.
    """
    with blas_threads(1):
        session = Session(model, prime, seed=seed, settings=settings)
        return "".join(step.char for step in session.stream(length, stop=stop))


def generate_many(
    model: Model,
    prime: str = "",
    length: int = 1000,
    *,
    samples: int,
    seed: int = 0,
    settings: SamplerSettings | None = None,
    stop: str | Sequence[str] = (),
    threads: int | None = None,
    stepper: Stepper | None = None,
    progress: Callable[[int], None] | None = None,
    prime_progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """``samples`` texts of one prime and seed, all advanced together by matrix products.

    Sample n draws with the same luck as ``Session(sample=n)``; as products of many rows round differently, the two may
    part ways at a close call. The same call gives the same texts on one machine with the same ``threads``.

    Args:
        threads: of the matrix products; None takes one per processor.
        progress: told after every 16th character how many are drawn, all samples together.
        prime_progress: told ``(done, total)`` characters of a long prime; may raise to give up.

    Raises:
        GenerationError: settings or counts that make no sense.
    """
    if samples < 1 or not 0 <= length < MOST // max(samples, 1):
        raise GenerationError(f"There can be no {samples} samples of {length} characters")
    settings, strings = settings or SamplerSettings(), stop_strings(stop)
    sampler, stepper, ids = Sampler(settings), stepper or Stepper(model), prepare_prime(model, prime).ids
    keys = np.array([key_for(seed, sample) for sample in range(samples)], np.uint64)
    with blas_threads(1):
        alone = stepper.zero_state()
        stepper.consume(ids, alone, prime_progress)
    state = alone.repeat(samples)
    drawn = np.empty((samples, length), np.intp)
    ends = np.full(samples, length)
    mu = None if settings.mirostat is None else np.full((samples, 1), mirostat_start(settings.mirostat))
    repeats = None
    if sampler.needs_history:
        free, back = settings.repetition_length, settings.repetition_range
        repeats = Repeats(ids, samples, length, len(model.vocabulary), settings.repetition, free, back)
    with blas_threads(threads or os.cpu_count() or 1):
        logits = stepper.logits(state)
        for position in range(length):
            weights = sampler.weights(logits, None if repeats is None else repeats.penalties(), mu)
            which = draws(weights, uniforms(keys, position))
            drawn[:, position] = which
            if repeats is not None:
                repeats.append(which)
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
