"""Choose characters: sampler settings, filters in their order, the repetition penalty, and random numbers.

Random numbers depend only on (seed, sample, position). The generator is counter-based and has no state, so changing a
setting, rewinding or branching does not change the number of any other character, and one of several texts gets the
numbers that it would get alone. It is SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014); not for cryptography.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from charlstm import arguments
from charlstm.display import short
from charlstm.errors import GenerationError
from charlstm.generation.sampler_settings import FILTERS, SamplerSettings
from charlstm.text.vocabulary import smallest_dtype

Floats = npt.NDArray[np.float32]

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def _mix(value: int) -> int:
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
    return value ^ (value >> 31)


def _mix_all(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """:func:`_mix` for each value."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def check_seed(seed: int) -> int:
    """``seed`` as an int. Raises :class:`GenerationError` unless it is a whole number of at most 64 bits."""
    try:
        return arguments.whole_number(arguments.of_python(seed), -(2**63), 2**64 - 1)
    except ValueError:
        raise GenerationError(f"The seed is a whole number of at most 64 bits, not {short(seed)}") from None


def key_for(seed: int, sample: int = 0) -> int:
    """The 64-bit key of the random numbers of one text. ``seed`` is any whole number, modulo 2**64."""
    return _mix((_mix((seed + _GOLDEN) & _MASK) + sample * _GOLDEN) & _MASK)


MOST_SEEDS = 2**16
"""Seeds among which :func:`other_seed` looks for one: some 3 ms."""


def other_seed(weights: Floats, which: int, seed: int, sample: int, position: int) -> int | None:
    """The next seed after ``seed`` with which ``weights`` ``(V,)`` draw another character than ``which``; None if there
    is none among the next :data:`MOST_SEEDS`, such as where nothing else can be drawn."""
    sums = np.add.accumulate(weights, dtype=np.float64)
    if not (np.flatnonzero(weights) != which).any():
        return None
    seeds = np.arange(1, MOST_SEEDS + 1, dtype=np.uint64) + np.uint64(seed & _MASK)
    keys = _mix_all(_mix_all(seeds + np.uint64(_GOLDEN)) + np.uint64(sample * _GOLDEN & _MASK))
    others = np.flatnonzero(sums.searchsorted(uniforms(keys, position) * sums[-1], "right") != which)
    if not len(others):
        return None
    return next_seed(seed, 1 + int(others[0]))


def next_seed(seed: int, by: int = 1) -> int:
    """The seed that comes ``by`` seeds after ``seed``; after the largest comes 0."""
    return seed + by if seed + by <= _MASK else seed + by - 2**64


def uniform(key: int, position: int) -> float:
    """A random number in [0, 1), a multiple of 2**-52, so that its product with a sum is less than the sum."""
    return (_mix((key + (position + 1) * _GOLDEN) & _MASK) >> 12) * 2.0**-52


def uniforms(keys: npt.NDArray[np.uint64], position: int) -> npt.NDArray[np.float64]:
    """The values of :func:`uniform` for ``keys`` ``(B,)`` at one position: ``(B,)``."""
    value = _mix_all(keys + np.uint64((position + 1) * _GOLDEN & _MASK))
    return (value >> np.uint64(12)).astype(np.float64) * 2.0**-52


REPETITION_LENGTH = 16
"""Repeats of fewer characters have no penalty."""

REPETITION_RANGE = 2000
"""Characters back in which repeats are searched."""

REPETITION_BASE = 1.2
"""The repetition penalty is multiplied by this for each further repeated character. DRY's 1.75 is for tokens, which
have about four characters."""

_REPETITION_LIMIT = 64
"""The penalty of a repeat stops growing when it is this number of characters longer than :data:`REPETITION_LENGTH`:
1.2^64 nats already rule a character out."""


class Sampler:
    """Apply sampler settings to logits.

    The order is: repetition penalty, temperature, then the filters in the order of
    :data:`~charlstm.generation.sampler_settings.FILTERS`. There are two exceptions:

    - With temperature 0 (greedy) the most likely character after the repetition penalty is taken, without filters.
    - The reference sampler (``kind="reference"``) uses only softmax and top-k, as the reference script does.
    """

    def __init__(self, settings: SamplerSettings) -> None:
        self.settings = settings
        reference = settings.kind == "reference"
        self._greedy = settings.temperature == 0
        self._inverse = np.float32(1.0 / max(settings.temperature, 1e-30))  # not inf: 0 · inf is not a number
        # Those that are on, found once and not for each character: by default only min-p is.
        values = [(name, getattr(settings, name)) for name in FILTERS]
        self._filters = [(FUNCTIONS[name], value) for name, value in values if value is not None]
        self.needs_history = bool(settings.repetition) and not reference

    def weights(self, logits: Floats, penalties: Floats | None = None) -> Floats:
        """The weights to draw from: ``(..., V)`` float32, not normalised, 0 for dropped characters.

        Args:
            logits: ``(..., V)`` float32; not changed.
            penalties: the repetition penalties in nats, ``(..., V)``, or None.
        """
        settings = self.settings
        if settings.kind == "reference":
            return reference_top_k(_exponentials(logits, np.float32(1)), settings.top_k)
        penalised = logits if penalties is None else logits - penalties
        if self._greedy:
            weights = np.zeros_like(penalised)
            np.put_along_axis(weights, penalised.argmax(-1, keepdims=True), 1, -1)
            return weights
        weights = _exponentials(penalised, self._inverse)
        for function, value in self._filters:
            weights = function(weights, value)
        return weights


def _exponentials(logits: Floats, inverse: np.float32) -> Floats:
    """exp(inverse · (logits − max)): a softmax that is not divided by its sum; the largest weight is 1.

    The maximum is subtracted first, so that the smallest temperature cannot overflow.
    """
    if logits.ndim == 1:
        weights: Floats = logits - np.maximum.reduce(logits)
    else:
        weights = logits - logits.max(-1, keepdims=True)
    np.multiply(weights, inverse, out=weights)
    return np.exp(weights, out=weights)


def draw(weights: Floats, uniform: float) -> int:
    """The index at which the running sum of ``weights`` ``(V,)`` passes ``uniform`` (in [0, 1)) of its total."""
    sums = np.add.accumulate(weights, dtype=np.float64)
    return int(sums.searchsorted(uniform * sums[-1], "right"))


def draws(weights: Floats, uniforms: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """:func:`draw` for each row of ``weights`` ``(B, V)`` with its own number of ``uniforms`` ``(B,)``."""
    sums = np.add.accumulate(weights, axis=1, dtype=np.float64)
    which: npt.NDArray[np.intp] = (sums <= (uniforms * sums[:, -1])[:, None]).sum(1)
    return which


def reference_top_k(weights: Floats, k: int | None) -> Floats:
    """The reference script's ``topk``: exactly k characters; of equally likely ones, the first in the vocabulary.

    The script: ``p = softmax(logits); p, ids = p.topk(k); choice(ids, p=p / p.sum())``. A k of more than the
    vocabulary, which crashes there, keeps all.
    """
    if k is None or k >= weights.shape[-1]:
        return weights
    best = np.argsort(-weights, axis=-1, kind="stable")[..., :k]
    kept = np.zeros_like(weights)
    np.put_along_axis(kept, best, np.take_along_axis(weights, best, -1), -1)
    return kept


def top_k(weights: Floats, k: int) -> Floats:
    """Keep the ``k`` most likely, and all that are as likely as the last of them (as transformers' TopKLogitsWarper).

    Source: Fan, Lewis and Dauphin, "Hierarchical Neural Story Generation", 2018.
    """
    size = weights.shape[-1]
    if k >= size:
        return weights
    least = np.partition(weights, size - k, axis=-1)[..., size - k, None]
    return np.multiply(weights, weights >= least)


def top_p(weights: Floats, p: float) -> Floats:
    """Keep the fewest most likely characters whose probabilities sum to at least ``p`` (nucleus sampling).

    A character is kept if those more likely than it sum to less than ``p``. Equally likely characters are taken in the
    order of the vocabulary.
    Source: Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020.
    """
    order = np.argsort(-weights, axis=-1, kind="stable")
    sorted_ = np.take_along_axis(weights, order, -1)
    sums = np.add.accumulate(sorted_, axis=-1, dtype=np.float64)
    before = sums - sorted_
    kept = np.empty_like(weights)
    np.put_along_axis(kept, order, np.where(before < p * sums[..., -1:], sorted_, np.float32(0)), -1)
    return kept


def min_p(weights: Floats, p: float) -> Floats:
    """Drop every character less likely than ``p`` times the most likely one, whose weight has to be 1.

    It is 1 after :func:`_exponentials`, and no earlier filter drops it, so this function does not compute the maximum.
    Source: Nguyen et al., "Turning Up the Heat: Min-p Sampling for Creative and Coherent LLM Outputs", 2024.
    """
    return np.multiply(weights, weights >= p)


FUNCTIONS: Mapping[str, Callable[[Floats, Any], Floats]] = {
    "top_k": top_k,
    "top_p": top_p,
    "min_p": min_p,
}
"""What each filter does: it takes weights and the value of its setting, and returns weights."""


def surprises(logits: Floats) -> Floats:
    """−log2 of the softmax of ``logits`` ``(..., V)``, in bits."""
    shifted = logits - logits.max(-1, keepdims=True)
    bits: Floats = (np.log(np.exp(shifted).sum(-1, keepdims=True)) - shifted) / np.float32(math.log(2))
    return bits


def repetition_penalties(history: npt.NDArray[np.integer], vocab_size: int, strength: float) -> Floats:
    """The penalty of each character against long repeats, ``(V,)`` float32 nats, to be subtracted from its logit.

    A character has a penalty if the text's last n characters (n ≥ 16, :data:`REPETITION_LENGTH`) already occurred
    within the last 2,000 (:data:`REPETITION_RANGE`), followed by this character. The penalty is
    ``strength · 1.2^(n − 16)`` for the longest such n, up to n = 80. Frequent characters as such have none: that would
    only remove spaces and vowels. Source: DRY ("don't repeat yourself") of text-generation-webui, by p-e-w, 2024.
    """
    penalties = np.zeros(vocab_size, np.float32)
    free = REPETITION_LENGTH
    recent = history[-REPETITION_RANGE:].astype(smallest_dtype(vocab_size), copy=False)
    ends = _ends_of_repeats(recent, free)
    if len(ends):
        lengths = np.arange(min(free + _REPETITION_LIMIT, len(recent)))
        indices = ends[:, None] - lengths
        differ = (recent[indices] != recent[len(recent) - 1 - lengths]) | (indices < 0)
        repeated = np.where(differ.any(1), differ.argmax(1), len(lengths))
        np.maximum.at(penalties, recent[ends + 1], _penalties_by_length(strength)[repeated - free])
    return penalties


@cache
def _penalties_by_length(strength: float) -> Floats:
    """The penalties of repeats that are 0, 1, ... characters longer than :data:`REPETITION_LENGTH`, in nats."""
    return np.array([strength * REPETITION_BASE**n for n in range(_REPETITION_LIMIT + 1)], np.float32)


def _ends_of_repeats(ids: npt.NDArray[np.integer], length: int) -> npt.NDArray[np.intp]:
    """The ends of earlier occurrences of the last ``length`` ids. Searching bytes is ten times as fast as comparing
    ids."""
    content, size = ids.tobytes(), ids.itemsize
    ends = []
    if length < len(ids):
        sought = content[-length * size :]
        start = content.find(sought, 0, len(content) - size)
        while start >= 0:
            if start % size == 0:
                ends.append(start // size + length - 1)
            start = content.find(sought, start + 1, len(content) - size)
    return np.array(ends, np.intp)
