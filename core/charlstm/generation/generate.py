"""Generate one text, or many at once by matrix products."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from charlstm import arguments
from charlstm.errors import GenerationError
from charlstm.generation.clamp import check_clamps
from charlstm.generation.prime import prepare_prime
from charlstm.generation.recipe import DEFAULT, Recipe
from charlstm.generation.sampling import (
    REPETITION_RANGE,
    Floats,
    Sampler,
    check_seed,
    draws,
    key_for,
    repetition_penalties,
    uniforms,
)
from charlstm.generation.stepper import Ids, Stepper, StepperState
from charlstm.generation.threads import blas_threads
from charlstm.system import cpu_count
from charlstm.text.unit_kinds import prefix, separator

if TYPE_CHECKING:
    from charlstm.model.file import Model


MAX_CHARS = 2**40
"""More characters in all are refused: they fit in no memory."""

FIRST_CHARS = 4096
"""Characters of each text for which there is room from the beginning."""


def advance(
    stepper: Stepper,
    state: StepperState,
    logits: Floats,
    keys: npt.NDArray[np.uint64],
    sampler: Sampler,
    position: int = 0,
    penalties: Callable[[int], Floats | None] = lambda position: None,
) -> Iterator[tuple[Ids, Floats]]:
    """Draw characters for several texts that advance together, for ever.

    Args:
        state: of ``B`` streams; changed in place.
        logits: ``(B, V)``, of the first characters to draw.
        keys: ``(B,)``, of each text's random numbers.
        position: that of the first characters to draw, for the random numbers.
        penalties: called with a position if the sampler needs the history: what is subtracted from the logits there,
            ``(B, V)``, or None.

    Yields:
        ``(which, logits)``: the ids ``(B,)`` that were drawn, and the logits from which they were, which the next step
        overwrites.
    """
    while True:
        weights = sampler.weights(logits, penalties(position) if sampler.needs_history else None)
        which = draws(weights, uniforms(keys, position))
        yield which, logits
        logits = stepper.step(which, state)
        position += 1


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
    sample = arguments.number("sample", recipe.sample, 0, 2**63)
    return generate_many(model, prime, length, recipe, samples=1, first=sample, stop=stop, threads=1)[0]


def generate_many(
    model: Model,
    prime: str | Sequence[str] = "",
    length: int = 1000,
    recipe: Recipe = DEFAULT,
    *,
    samples: int = 1,
    first: int = 0,
    stop: str | Sequence[str] = (),
    threads: int | None = None,
    stepper: Stepper | None = None,
    progress: Callable[[int], None] | None = None,
    prime_progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """``samples`` texts after each prime, which all advance together by matrix products: first those of the first.

    Text n of a prime uses the random numbers of ``Session(sample=n)``, whatever the recipe's sample and the other
    primes are. Products of many rows round differently, so the two can differ from a character on that was close. The
    same call gives the same texts on one machine with the same ``threads``.

    Args:
        prime: one, or several.
        first: the number of the first text of each prime.
        threads: of the matrix products; None is one per processor.
        progress: called with the number of characters drawn, all texts together, every 16 characters of each.
        prime_progress: called with ``(done, total)`` characters of a long prime; an exception ends the work.

    Raises:
        GenerationError: ``samples`` or ``length`` is out of range, a stop string is empty, or the model does not have a
            clamped cell.
    """
    threads = None if threads is None else arguments.number("threads", threads, 1, 1024)
    for name, value in (("samples", samples), ("length", length)):
        arguments.instance(name, value, (int, np.integer), "a whole number")
    primes = [prime] if isinstance(prime, str) else list(prime)
    count = samples * len(primes)
    if samples < 1 or not 0 <= length <= MAX_CHARS // max(count, 1):
        raise GenerationError(
            f"{samples} samples of {length} characters are not possible: ask for 1 or more that fit in memory"
        )
    strings = stop_strings(stop)
    seed, settings, symbols = check_seed(recipe.seed), recipe.settings, len(model.vocabulary)
    sampler, stepper = Sampler(settings), stepper or Stepper(model)
    check_clamps(recipe.clamps, model.config.num_layers, model.config.hidden_size)
    stepper.clamps = tuple(recipe.clamps)
    if not primes:
        return []
    keys = np.array([key_for(seed, sample) for sample in range(first, first + samples)] * len(primes), np.uint64)
    states, befores = list[StepperState](), list[Ids]()
    with blas_threads(1):
        for each in primes:
            ids, single = prepare_prime(model, each).ids, stepper.zero_state()
            stepper.consume(ids, single, prime_progress)
            states.append(single.repeat(samples))
            befores += [ids[-REPETITION_RANGE:]] * samples
    state = StepperState.concatenate(states)
    drawn = np.empty((count, min(length, FIRST_CHARS)), np.intp)
    ends = np.full(count, length)

    def penalties(position: int) -> Floats:
        """What the repetition penalty subtracts from the logits of each text, ``(count, V)``."""
        histories = (
            np.concatenate([before, text[max(0, position - REPETITION_RANGE) : position]])
            for before, text in zip(befores, drawn, strict=True)
        )
        return np.stack([repetition_penalties(history, symbols, settings.repetition) for history in histories])

    with blas_threads(threads or cpu_count()):
        texts = advance(stepper, state, stepper.logits(state), keys, sampler, penalties=penalties)
        for position, (which, _) in zip(range(length), texts, strict=False):
            if position == drawn.shape[1]:
                drawn = np.concatenate([drawn, np.empty_like(drawn)], 1)
            drawn[:, position] = which
            if strings:
                for text in np.flatnonzero(ends == length):
                    tail = drawn[text, max(0, position + 1 - max(map(len, strings))) : position + 1]
                    if model.vocabulary.decode(tail).endswith(strings):
                        ends[text] = position + 1
                if (ends < length).all():
                    break
            if progress is not None and position % 16 == 15:
                progress((position + 1) * count)
    return [model.vocabulary.decode(row[:end]) for row, end in zip(drawn, ends, strict=True)]


MOST_DRAWN = 50
"""Units that are drawn at most for each one that is asked for, where known or repeated ones are left out."""


def generate_units(
    model: Model,
    count: int,
    length: int = 1000,
    recipe: Recipe = DEFAULT,
    *,
    prime: str = "",
    known: Collection[str] = (),
    unique: bool = False,
    progress: Callable[[int], None] | None = None,
) -> list[str]:
    """``count`` units such as ``model`` was trained on, each from beginning to end, or to ``length`` characters.

    Args:
        prime: each unit begins with it; by default with the prefix of the model's units, if they have one.
        known: units that are left out, such as those of the training text.
        unique: leave out what was written before.
        progress: called often, with the number of units that are done; an exception ends the work.

    Returns:
        The units without what separates them; fewer than ``count`` if :data:`MOST_DRAWN` times as many were not enough.

    Raises:
        GenerationError: the model was not trained on units (``TextOptions.units``), or as :func:`generate_many`.
    """
    units = model.text_options.units
    if units is None:
        raise GenerationError(
            "This model was not trained on units, so that it knows no end of one: train with --split-units, or stop at "
            "a line or a paragraph"
        )
    start, end, stepper = prime or prefix(units), separator(units), Stepper(model)
    known, found, drawn = set(known), list[str](), 0

    def report(_: int = 0) -> None:
        if progress is not None:
            progress(len(found))

    while len(found) < count and drawn < MOST_DRAWN * count:
        texts = generate_many(
            *(model, start, length, recipe), samples=count - len(found), first=drawn, stop=end, stepper=stepper,
            progress=report,
        )  # fmt: skip
        drawn += len(texts)
        for text in texts:
            unit = (start + text.removesuffix(end)).rstrip("\n")
            if unit and unit not in known:
                found.append(unit)
                known.update([unit] if unique else [])
        report()
    return found


def stop_strings(stop: str | Sequence[str]) -> tuple[str, ...]:
    """``stop`` as a tuple. Raises :class:`GenerationError` for an empty string in it."""
    strings = (stop,) if isinstance(stop, str) else tuple(stop)
    if not all(strings):
        raise GenerationError("A stop string needs at least one character")
    return strings
