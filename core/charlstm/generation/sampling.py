"""Randomness that depends on (seed, sample, position) and on nothing else.

A counter-based generator has no state to shift: changing a setting, rewinding or branching never moves the luck of
another character, and one of many streams draws what it would have drawn alone. SplitMix64 (Steele, Lea and Flood,
"Fast splittable pseudorandom number generators", OOPSLA 2014) is plenty for choosing characters; not for secrets.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from charlstm.errors import GenerationError
from charlstm.text.vocabulary import smallest_dtype

_MASK = (1 << 64) - 1


_GOLDEN = 0x9E3779B97F4A7C15


def _mix(value: int) -> int:
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
    return value ^ (value >> 31)


def key_for(seed: int, sample: int = 0) -> int:
    """The 64-bit key of one stream. Any whole number is a seed; they count modulo 2**64."""
    return _mix((_mix((seed + _GOLDEN) & _MASK) + sample * _GOLDEN) & _MASK)


def uniform(key: int, position: int) -> float:
    """A number in [0, 1), a multiple of 2**-52, so that its product with any total stays below that total."""
    return (_mix((key + (position + 1) * _GOLDEN) & _MASK) >> 12) * 2.0**-52


def uniforms(keys: npt.NDArray[np.uint64], position: int) -> npt.NDArray[np.float64]:
    """:func:`uniform` for many keys at one position, the same values."""
    value = keys + np.uint64((position + 1) * _GOLDEN & _MASK)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    value ^= value >> np.uint64(31)
    return (value >> np.uint64(12)).astype(np.float64) * 2.0**-52


Floats = npt.NDArray[np.float32]

REPETITION_BASE = 1.2
"""How much harder each further repeated character is punished. DRY's 1.75 is for tokens of some four characters."""

_REPETITION_LIMIT = 64
"""Repeats are told apart up to so many characters beyond the free ones: 1.2^64 nats are prohibitive anyway."""


@dataclass(frozen=True, slots=True)
class SamplerSettings:
    """How a character is chosen. ``None`` (for ``repetition``: 0) turns a filter off.

    Attributes:
        temperature: at least 0. Below 1 bolder towards the likely, above 1 flatter, 0 greedy.
        top_k: keep the k most likely, at least 1. More than the vocabulary keeps all.
        top_p: keep the fewest most likely that together have this probability, above 0 up to 1.
        min_p: drop what is less likely than this share of the most likely, 0 to 1.
        typical: keep this much probability, of the characters whose surprise is nearest to the entropy.
        mirostat: steer the mean surprise to so many bits per character.
        mirostat_rate: how fast, above 0 up to 1.
        repetition: how hard a character that would go on repeating is punished, in nats; 0 = off.
        repetition_length: repeats up to so many characters are free.
        repetition_range: how many characters back repeats are looked for.
        kind: ``"default"``, or ``"reference"``: softmax, the k most likely, renormalised; only ``top_k`` counts.

    Raises:
        GenerationError: a value makes no sense.
    """

    temperature: float = 0.8
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = 0.05
    typical: float | None = None
    mirostat: float | None = None
    mirostat_rate: float = 0.1
    repetition: float = 0.0
    repetition_length: int = 16
    repetition_range: int = 2000
    kind: Literal["default", "reference"] = "default"

    def __post_init__(self) -> None:
        _number("temperature", self.temperature, 0, 1000, "from 0 (greedy) to 1000")
        if self.top_k is not None:
            _whole("top_k", self.top_k, 1)
        for name in ("top_p", "typical"):
            if getattr(self, name) is not None:
                _number(name, getattr(self, name), 0, 1, "above 0, up to 1", above=True)
        if self.min_p is not None:
            _number("min_p", self.min_p, 0, 1, "from 0 to 1")
        if self.mirostat is not None:
            _number("mirostat", self.mirostat, 0, 64, "above 0, up to 64 (bits per character)", above=True)
        _number("mirostat_rate", self.mirostat_rate, 0, 1, "above 0, up to 1", above=True)
        _number("repetition", self.repetition, 0, 1000, "from 0 (off) to 1000")
        _whole("repetition_length", self.repetition_length, 1)
        _whole("repetition_range", self.repetition_range, 1)
        if self.kind not in ("default", "reference"):
            raise GenerationError(f"There is no sampler called {self.kind!r}: take default or reference")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SamplerSettings:
        """The inverse of :meth:`to_dict`; raises :class:`GenerationError` on names or values that make no sense."""
        known = {field.name for field in fields(cls)}
        for name in values:
            if name not in known:
                raise GenerationError(f"There is no sampler setting called {name!r}: take {', '.join(sorted(known))}")
        return cls(**values)


def _number(name: str, value: object, low: float, high: float, takes: str, *, above: bool = False) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf
    if not number or not low <= value <= high or (above and value == low):  # type: ignore[operator]
        raise GenerationError(f"{name} takes a number {takes}, not {value!r}")


def _whole(name: str, value: object, low: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        off = ", or none to turn it off" if name == "top_k" else ""
        raise GenerationError(f"{name} takes a whole number of at least {low}{off}, not {value!r}")


class Sampler:
    """The settings made ready for use on one vocabulary."""

    def __init__(self, settings: SamplerSettings) -> None:
        self.settings = settings
        reference = settings.kind == "reference"
        self._greedy = settings.temperature == 0
        self._inverse = np.float32(1.0 / max(settings.temperature, 1e-30))  # an infinite one would make 0 · inf
        self._others = any(getattr(settings, name) is not None for name in ("top_k", "top_p", "typical", "mirostat"))
        self.needs_history = bool(settings.repetition) and not reference
        self.needs_mu = settings.mirostat is not None and not reference

    def weights(
        self,
        logits: Floats,
        penalties: Floats | None = None,
        mu: Floats | np.float32 | None = None,
    ) -> Floats:
        """What to draw from, as weights: ``(..., V)`` float32, not normalised, 0 = cut.

        Args:
            logits: ``(..., V)`` float32, left as they are.
            penalties: of repetition control, in the shape of ``logits``; None for none.
            mu: mirostat's bound in bits, a number or ``(..., 1)``.
        """
        settings = self.settings
        if settings.kind == "reference":
            return reference_top_k(_exponentials(logits, np.float32(1)), settings.top_k)
        shaped = logits if penalties is None else logits - penalties
        if self._greedy:
            weights = np.zeros_like(shaped)
            np.put_along_axis(weights, shaped.argmax(-1, keepdims=True), 1, -1)
            return weights
        weights = _exponentials(shaped, self._inverse)
        if self._others:
            if settings.top_k is not None:
                weights = top_k(weights, settings.top_k)
            if settings.top_p is not None:
                weights = top_p(weights, settings.top_p)
        if settings.min_p:
            weights = min_p(weights, settings.min_p)
        if self._others:
            if settings.typical is not None:
                weights = typical(weights, settings.typical)
            if self.needs_mu and mu is not None:
                weights = mirostat(weights, logits, mu)
        return weights


def _exponentials(logits: Floats, inverse: np.float32) -> Floats:
    """exp(inverse · (logits − max)): a softmax that is not yet divided by its sum, its largest weight 1.

    The maximum goes first, so that the smallest temperature cannot overflow.
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
    """The script's ``topk``: exactly k characters, among equals the ones that come first in the vocabulary.

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
    """Keep the ``k`` most likely, and all that tie with the last of them (as transformers' TopKLogitsWarper does).

    Source: Fan, Lewis and Dauphin, "Hierarchical Neural Story Generation", 2018.
    """
    size = weights.shape[-1]
    if k >= size:
        return weights
    least = np.partition(weights, size - k, axis=-1)[..., size - k, None]
    return np.multiply(weights, weights >= least)


def top_p(weights: Floats, p: float) -> Floats:
    """Keep the fewest most likely characters whose probabilities sum to at least ``p`` (nucleus sampling).

    A character stays when those more likely than it sum to less than ``p``; equals count in vocabulary order.
    Source: Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020.
    """
    return _keep_mass(weights, np.argsort(-weights, axis=-1, kind="stable"), p)


def min_p(weights: Floats, p: float) -> Floats:
    """Drop every character less likely than ``p`` times the most likely one, whose weight is taken to be 1.

    So softmax leaves it here and no filter before this one cuts it: looking for it would cost every character.
    Source: Nguyen et al., "Turning Up the Heat: Min-p Sampling for Creative and Coherent LLM Outputs", 2024.
    """
    return np.multiply(weights, weights >= p)


def typical(weights: Floats, mass: float) -> Floats:
    """Keep, nearest first, the characters whose surprise −ln p is nearest to the entropy, until they have ``mass``.

    Source: Meister et al., "Locally Typical Sampling", 2023; equals count in vocabulary order.
    """
    p = weights.astype(np.float64)
    p /= p.sum(-1, keepdims=True)
    surprise = np.full_like(p, np.inf)
    np.negative(np.log(p, out=surprise, where=p > 0), out=surprise, where=p > 0)
    entropy = np.multiply(p, surprise, out=np.zeros_like(p), where=p > 0).sum(-1, keepdims=True)
    return _keep_mass(weights, np.argsort(np.abs(surprise - entropy), axis=-1, kind="stable"), mass)


def _keep_mass(weights: Floats, order: npt.NDArray[np.intp], mass: float) -> Floats:
    """Keep, in ``order``, what comes before the probabilities sum to ``mass``, and the one that gets there."""
    sorted_ = np.take_along_axis(weights, order, -1)
    sums = np.add.accumulate(sorted_, axis=-1, dtype=np.float64)
    before = sums - sorted_
    kept = np.empty_like(weights)
    np.put_along_axis(kept, order, np.where(before < mass * sums[..., -1:], sorted_, np.float32(0)), -1)
    return kept


def mirostat(weights: Floats, logits: Floats, mu: Floats | np.float32) -> Floats:
    """Drop characters more surprising than ``mu`` bits; the most likely that is left always stays.

    Surprise is that of the model itself (temperature 1, nothing cut), which a step shows, so that the target is the
    mean of what is shown. Source: Basu et al., "Mirostat: A Neural Text Decoding Algorithm that Directly Controls
    Perplexity", 2021, in the authors' second version, which needs no estimate of Zipf's exponent.
    """
    kept: Floats = np.multiply(weights, surprises(logits) <= mu)
    empty = ~kept.any(-1, keepdims=True)
    if empty.any():
        most = np.arange(weights.shape[-1]) == weights.argmax(-1, keepdims=True)
        np.copyto(kept, weights, where=empty & most)
    return kept


def mirostat_start(target: float) -> np.float32:
    """The bound in bits before the first character: twice the target, as in the paper."""
    return np.float32(2 * target)


def mirostat_update(mu: Any, surprise: Any, target: float, rate: float) -> Any:
    """The bound in bits for the next character, once one of ``surprise`` bits was drawn; float32 in, float32 out.

    Held between 0, where only the most likely character is left, and 64, where none is cut: a text that cannot reach
    the target does not wind it up.
    """
    return np.clip(mu - np.float32(rate) * (surprise - np.float32(target)), np.float32(0), np.float32(64))


def surprises(logits: Floats) -> Floats:
    """−log2 of the softmax of ``logits`` ``(..., V)``: bits."""
    shifted = logits - logits.max(-1, keepdims=True)
    bits: Floats = (np.log(np.exp(shifted).sum(-1, keepdims=True)) - shifted) / np.float32(math.log(2))
    return bits


def repetition_penalties(
    history: npt.NDArray[np.integer], vocab_size: int, strength: float, free: int, back: int
) -> Floats:
    """What to subtract from each logit, ``(V,)`` float32, so that long passages are not said over again.

    A character is punished when it would go on with a repeat: when the text so far ends with the same n ≥ ``free``
    characters that stood before it within the last ``back``. The punishment is ``strength · 1.2^(n − free)`` nats for
    the longest such n. Frequent characters are not punished as such: that would only remove spaces and vowels.
    Source: DRY ("don't repeat yourself") of text-generation-webui, by p-e-w, 2024.
    """
    penalties = np.zeros(vocab_size, np.float32)
    recent = history[-back:].astype(smallest_dtype(vocab_size), copy=False)
    ends = _ends_of_repeats(recent, free)
    if len(ends):
        lengths = np.arange(min(free + _REPETITION_LIMIT, len(recent)))
        places = ends[:, None] - lengths
        differ = (recent[places] != recent[len(recent) - 1 - lengths]) | (places < 0)
        repeated = np.where(differ.any(1), differ.argmax(1), len(lengths))
        np.maximum.at(penalties, recent[ends + 1], _strengths(strength)[repeated - free])
    return penalties


@cache
def _strengths(strength: float) -> Floats:
    """The punishment of a repeat that is 0, 1, ... characters longer than the free ones."""
    return np.array([strength * REPETITION_BASE**n for n in range(_REPETITION_LIMIT + 1)], np.float32)


def _ends_of_repeats(ids: npt.NDArray[np.integer], length: int) -> npt.NDArray[np.intp]:
    """Where the last ``length`` of ``ids`` end before that. Searching bytes is ten times quicker than comparing ids."""
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


def longest_repeat(history: npt.NDArray[np.integer], vocab_size: int, most: int) -> int:
    """How many ids at the end of ``history`` stand in it once more, in the same order; ``most`` if more than that.

    Tells in 10 µs whether there is anything to punish, and for how many more characters there can be nothing.
    """
    ids = history.astype(smallest_dtype(vocab_size), copy=False)
    content, size = ids.tobytes(), ids.itemsize
    lengths = range(1, min(most, len(ids) - 1) + 1)
    return bisect_left(lengths, True, key=lambda n: content.find(content[-n * size :], 0, len(content) - size) < 0)


class Repeats:
    """:func:`repetition_penalties` of many texts that begin alike and grow side by side.

    Of each of the last ``back`` characters it keeps how many up to it are those at the end of the text, so that one
    more costs a few passes over bytes.

    Args:
        start: ``(N,)`` ids that all texts begin with, at least one.
        count: how many texts.
        more: how many ids will be appended to each, at most.
    """

    def __init__(
        self,
        start: npt.NDArray[np.integer],
        count: int,
        more: int,
        vocab_size: int,
        strength: float,
        free: int,
        back: int,
    ) -> None:
        start = start[-back:]
        self._window = min(back - 1, len(start) + more)
        self._ids = np.empty((1, len(start) + more), smallest_dtype(vocab_size))
        self._size = 0
        self._vocab_size, self._free, self._limit = vocab_size, free, free + _REPETITION_LIMIT
        self._strengths = _strengths(strength)
        # The last column belongs to the character before the last one, and so on back.
        self._lengths = np.zeros((1, self._window), smallest_dtype(self._limit + 1))
        for which in start:
            self.append(which)
        self._ids, self._lengths = self._ids.repeat(count, 0), self._lengths.repeat(count, 0)

    def append(self, ids: npt.NDArray[np.integer] | np.integer) -> None:
        """Let each text go on with one of ``ids`` ``(B,)``."""
        size = self._size
        self._ids[:, size] = ids
        before = self._ids[:, max(0, size - self._window) : size]
        lengths = self._lengths[:, self._window - before.shape[1] :]
        np.minimum(lengths, self._limit - 1, out=lengths)
        lengths += 1
        lengths *= before == self._ids[:, size, None]
        self._size += 1

    def penalties(self) -> Floats | None:
        """``(B, V)`` float32, to be subtracted from the logits of what comes next; None for nothing."""
        if not (self._lengths >= self._free).any():
            return None
        last = self._size - 1
        ends = np.arange(max(0, last - self._window), last)
        # What stands before the window does not count.
        lengths = np.minimum(self._lengths[:, self._window - len(ends) :], ends - ends[0] + 1)
        texts, places = np.nonzero(lengths >= self._free)
        if not len(texts):
            return None
        penalties = np.zeros((len(self._ids), self._vocab_size), np.float32)
        strengths = self._strengths[lengths[texts, places] - self._free]
        np.maximum.at(penalties, (texts, self._ids[texts, ends[places] + 1]), strengths)
        return penalties
