"""Dynamic evaluation: a model that learns from the text that it reads, in numpy.

A text repeats its names, words and turns. After each segment of some characters the weights move a little against the
gradient of its loss, and back towards the model's own weights. Every character is predicted before the weights learn
from it, so losses are as honest as those of fixed weights. The model itself never changes: what is learnt is in a copy.

T. Mikolov and others, *Recurrent neural network based language model*, 2010; B. Krause, E. Kahembwe, I. Murray and
S. Renals, *Dynamic evaluation of neural sequence models*, arXiv 1709.07432, 2018. The second divides each gradient by
its root mean square over the training text. A model file has no training text, so it is taken here over a text that
the model writes itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from charlstm import arguments
from charlstm.errors import GenerationError
from charlstm.generation.generate import generate_many
from charlstm.generation.gradients import SegmentNetwork
from charlstm.generation.prime import Prime
from charlstm.generation.recipe import Recipe
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.scoring import Scores, prepare_text
from charlstm.generation.stepper import BLOCK
from charlstm.generation.threads import blas_threads
from charlstm.model.file import Model
from charlstm.text.batches import NO_TARGET, targets
from charlstm.text.vocabulary import TextIds

if TYPE_CHECKING:
    from charlstm.generation.stepper import Ids

Floats = npt.NDArray[np.float32]

MAX_STRENGTH = 10.0
MAX_SEGMENT = 100

OWN_CHARS = 2000
"""Characters that a model writes for the root mean squares of its gradients."""

_OWN_STREAMS = 10
_CHUNK = 1 << 15
"""Weights that are updated at once: the five arrays of so many float32 stay in a core's cache."""


@dataclass(frozen=True, slots=True)
class Adaptation:
    """How a model learns from what it reads, at strength 1. The gradient of each weight is divided by its root mean
    square, in units of the mean of these over all weights, plus ``epsilon``. The defaults were measured
    (docs/insight.md).

    Attributes:
        segment: characters after which the weights change, 1 to 100. Gradients reach back to its first one.
        rate: the learning rate, for the mean loss over a segment.
        decay: the share of the way back to the model's own weights that a weight goes at each change, 0 to 1.
        clip: the gradient over all weights is scaled down to this length.
    """

    segment: int = 10
    rate: float = 0.6
    decay: float = 0.001
    clip: float = 10.0
    epsilon: float = 0.02

    def __post_init__(self) -> None:
        arguments.number("segment", self.segment, 1, MAX_SEGMENT)


class AdaptiveModel:
    """A copy of ``model`` that learns from a text, piece by piece.

    The weights change after each whole segment, as soon as the character that follows it is known. So the pieces in
    which a text is read make no difference, except for rounding.

    Args:
        strength: a factor of the learning rate, from 0 to 10; it can be changed at any time. At 0 the model learns
            nothing more; what was learnt stays.

    Raises:
        ModelError: the weights are so large that logits would not be finite.
        GenerationError: the model reads units, each from an empty state, and this copy would carry its state on.
    """

    def __init__(self, model: Model, strength: float = 1.0, adaptation: Adaptation | None = None) -> None:
        model.check_computable()
        if model.text_options.units is not None:
            raise GenerationError("A copy of a model that was trained on units cannot learn from what it reads")
        self.model, self.adaptation = model, adaptation or Adaptation()
        self.strength = strength
        self._network = SegmentNetwork(model, self.adaptation.segment)
        self._original = self._network.weights.copy()
        self._original_rows = self._network.rows.copy()
        self._scale: Floats | None = None
        self._row_scale: Floats | None = None
        self._rows_at = np.zeros(len(self._original_rows), np.intp)
        self._updates = 0  # how often the weights have changed since they were the model's own

    @property
    def strength(self) -> float:
        """A factor of the learning rate."""
        return self._strength

    @strength.setter
    def strength(self, strength: float) -> None:
        self._strength = checked_strength(strength)

    def read(self, ids: Ids) -> Floats:
        """Read the next characters of the text, and learn from those before them.

        Args:
            ids: ``(N,)`` integers below the size of the vocabulary.

        Returns:
            ``(N, V)`` float32, the logits of the next character after each of them.
        """
        network, done = self._network, 0
        logits = np.empty((len(ids), self.model.config.vocab_size), np.float32)
        with blas_threads(1):
            while done < len(ids):
                if network.filled == network.segment:
                    if self._strength:
                        self._learn(ids[done])
                    network.begin_segment()
                some = ids[done : done + network.segment - network.filled]
                self._decay_rows(some)
                logits[done : done + len(some)] = network.forward(some)
                done += len(some)
        return logits

    def begin_text(self) -> None:
        """Go to the state before the first character of another text; what was learnt stays."""
        self._network.begin_text()

    def reset(self) -> None:
        """Go back to the model's own weights, and to the state before the first character of a text."""
        self._network.weights[:] = self._original
        self._network.rows[:] = self._original_rows
        self._rows_at[:] = self._updates = 0
        self._network.begin_text()

    def prepare(self, check: Callable[[], None] | None = None) -> None:
        """Compute by what gradients are divided, which otherwise happens at the first change of the weights.

        That takes 6 s at 2 × 512. ``check`` is called often meanwhile; an exception ends the work.
        """
        if self._scale is None:
            with blas_threads(1):
                self._measure_gradients(check or (lambda: None))

    def adapted(self) -> Model:
        """A model with a copy of the weights as they are now."""
        self._decay_rows(np.arange(len(self._original_rows)))
        model, network = self.model, self._network
        weights = {name: network.named.get(name, network.rows.T).copy() for name in model.config.shapes}
        return Model(model.config, model.vocabulary, weights, model.text_options, model.info)

    def _learn(self, following: int) -> None:
        """Change the weights after a whole segment, whose last target is ``following``."""
        rule, network = self.adaptation, self._network
        self.prepare()
        read, row_gradients = network.backward(np.append(network.ids[1:], following))
        gradients = network.gradients
        length = np.sqrt(float(np.dot(gradients, gradients)) + float(np.vdot(row_gradients, row_gradients)))
        rate = np.float32(rule.rate * self._strength * min(1.0, rule.clip / max(length, 1e-30)))
        keep, back = np.float32(1 - rule.decay), np.float32(rule.decay)
        weights, original, scale = network.weights, self._original, self._scale
        assert scale is not None
        assert self._row_scale is not None
        for at in range(0, len(weights), _CHUNK):
            which = slice(at, at + _CHUNK)
            change, some = gradients[which], weights[which]
            np.multiply(change, scale[which], out=change)
            np.multiply(change, rate, out=change)
            some *= keep
            some -= change
            np.multiply(original[which], back, out=change)
            some += change
        row_gradients *= self._row_scale[read]
        network.rows[read] = keep * network.rows[read] + back * self._original_rows[read] - rate * row_gradients
        self._updates += 1
        self._rows_at[read] = self._updates

    def _decay_rows(self, ids: Ids) -> None:
        """Move the first layer's input weights of ``ids`` as far back as all others: they wait until they are read."""
        late = np.unique(ids)
        late = late[self._rows_at[late] < self._updates]
        if len(late):
            kept = (1 - self.adaptation.decay) ** (self._updates - self._rows_at[late])[:, None]
            original, learnt = self._original_rows[late], self._network.rows[late]
            self._network.rows[late] = original + kept.astype(np.float32) * (learnt - original)
            self._rows_at[late] = self._updates

    def _measure_gradients(self, check: Callable[[], None]) -> None:
        network = SegmentNetwork(self.model, self.adaptation.segment)
        squares, row_squares = np.zeros_like(network.weights), np.zeros_like(network.rows)
        segments = 0
        for ids in own_texts(self.model):
            network.begin_text()
            for start in range(0, len(ids) - network.segment, network.segment):
                check()
                network.begin_segment()
                network.forward(ids[start : start + network.segment])
                read, row_gradients = network.backward(ids[start + 1 : start + network.segment + 1])
                squares += np.square(network.gradients, out=network.gradients)
                row_squares[read] += np.square(row_gradients)
                segments += 1
        roots, row_roots = (np.sqrt(each / max(segments, 1)) for each in (squares, row_squares))
        mean = (roots.sum(dtype=np.float64) + row_roots.sum(dtype=np.float64)) / (roots.size + row_roots.size)
        if mean > 0:
            floor = np.float32(mean * self.adaptation.epsilon)
            self._scale, self._row_scale = (np.float32(mean) / (each + floor) for each in (roots, row_roots))
        else:  # a model with one character, or sure of a character
            self._scale, self._row_scale = np.ones_like(roots), np.ones_like(row_roots)


def checked_strength(strength: float) -> float:
    """``strength`` as a float. Raises :class:`GenerationError` unless it is a number from 0 to 10."""
    return arguments.number("strength", strength, 0, MAX_STRENGTH)


def own_texts(model: Model) -> list[npt.NDArray[np.int64]]:
    """Texts that ``model`` writes at temperature 1, always the same ones, as ids."""
    recipe = Recipe(settings=SamplerSettings(temperature=1.0, min_p=None))
    length = OWN_CHARS // _OWN_STREAMS
    texts = generate_many(model, "", length, recipe, samples=_OWN_STREAMS, threads=1)
    return [model.vocabulary.encode(text)[0] for text in texts]


def score_dynamic(
    model: Model,
    text: str,
    *,
    strength: float = 1.0,
    segment: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """Score each character of ``text`` given those before it, while the model learns from them.

    Args:
        strength: a factor of the learning rate, from 0, which is as :func:`charlstm.generation.scoring.score`.
        segment: characters after which the weights change, if not those of :class:`Adaptation`.
        progress: called with ``(done, total)`` characters, with 0 before the first block and then after each; an
            exception ends the work.

    Raises:
        GenerationError: the text has fewer than two characters that the model knows, or an argument is out of range.
    """
    adaptation = Adaptation() if segment is None else Adaptation(segment=segment)
    return score_with(AdaptiveModel(model, strength, adaptation), text, progress=progress)


def score_with(adaptive: AdaptiveModel, text: str, *, progress: Callable[[int, int], None] | None = None) -> Scores:
    """As :func:`score_dynamic`, with a copy that can be used again: it goes back to the model's own weights first, and
    keeps what :meth:`AdaptiveModel.prepare` has computed."""
    prepared = prepare_text(adaptive.model, text)
    ids, found = prepared.ids, Scores.begun(prepared)
    adaptive.reset()
    if adaptive.strength:
        adaptive.prepare(lambda: progress(0, len(ids)) if progress is not None else None)
    for which in _blocks(len(ids) - 1):
        found.add(which, adaptive.read(ids[which]), ids)
        if progress is not None:
            progress(which.stop + 1, len(ids))
    return found


def evaluate_dynamic(
    model: Model,
    ids: TextIds,
    spans: Sequence[tuple[int, int]],
    *,
    strength: float = 1.0,
    progress: Callable[[int, int], None] | None = None,
) -> float:
    """The mean loss, in nats, over the targets of ``spans`` (start, stop) of ``ids``, while the model learns from them.

    A span of N characters has N − 1 targets, without those that the model reads as others. Each begins with a state of
    zeros, and with what was learnt in those before it. ``progress`` is called with the numbers ``(done, total)`` of
    targets; an exception ends the work.
    """
    total = sum(max(0, stop - start - 1) for start, stop in spans)
    adaptive, done, known, nats = AdaptiveModel(model, strength), 0, 0, 0.0
    for start, stop in spans:
        text = np.asarray(ids[start:stop], np.intp)
        found = Scores.begun(Prime("", text, {}))
        adaptive.begin_text()
        for which in _blocks(len(text) - 1):
            found.add(which, adaptive.read(text[which]), text)
            done += which.stop - which.start
            if progress is not None:
                progress(done, total)
        is_known = targets(ids, slice(start + 1, stop)) != NO_TARGET
        nats += float(found.nats[1:][is_known].sum(dtype=np.float64))
        known += int(np.count_nonzero(is_known))
    return nats / known


def _blocks(chars: int) -> Iterator[slice]:
    for start in range(0, chars, BLOCK):
        yield slice(start, min(start + BLOCK, chars))
