"""Score a text: how surprising each character is for a model.

The mean loss over a text or a run's held-out part is in :mod:`charlstm.engine.evaluation`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import numpy.typing as npt

from charlstm import arguments
from charlstm.display import BITS_PER_NAT, short_repr
from charlstm.errors import GenerationError
from charlstm.generation.prime import Prime, prepare_prime
from charlstm.generation.stepper import Stepper
from charlstm.generation.threads import blas_threads
from charlstm.text.reading import TextOptions
from charlstm.text.sentences import sentences
from charlstm.text.vocabulary import code_points

if TYPE_CHECKING:
    from charlstm.model.file import Model


EXPECTED = 1.0
"""Bits of a character with a probability of one half: one that needs less was expected."""

APART = 24
"""Listed places are more than so many characters apart, where there are enough that are; the same in commands, app,
report and library."""


@dataclass(frozen=True, slots=True)
class Place:
    """A surprising character.

    Attributes:
        position: index of the character in the text.
        bits: how surprising it is.
        rank: 1 for the most likely character.
        before, after: the text around it.
    """

    JSON_FIELDS: ClassVar = ("position", "char", "loss", "rank", "before", "after")

    position: int
    char: str
    bits: float
    rank: int
    before: str
    after: str

    @property
    def loss(self) -> float:
        """In nats."""
        return self.bits / BITS_PER_NAT


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, ``text[start:stop]`` of the scored text, and its mean surprise in bits per character."""

    start: int
    stop: int
    bits_per_char: float


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of a text of N characters.

    Attributes:
        text: the text under the model's text options.
        nats: ``(N,)`` float32, −ln of each character's probability given those before it. The first character is not
            predicted: not-a-number.
        ranks: ``(N,)`` int32, 1 for the most likely character; 0 for the first character of the text.
        entropy: ``(N,)`` float32, entropy of each predicted distribution in bits; not-a-number for the first.
        unknown: the characters that the model does not know, with their counts; in :func:`score_models` those that one
            of the models does not know. Their figures are those of the characters as which it reads them, and are in no
            mean.
        unpredicted: the characters at the beginning that are not predicted: 1, or 0 for a part whose beginning was
            predicted from what is before it.
    """

    JSON_FIELDS: ClassVar = ("loss", "bits_per_char", "perplexity", "chars", "unknown", "text")

    text: str
    nats: npt.NDArray[np.float32]
    ranks: npt.NDArray[np.int32]
    entropy: npt.NDArray[np.float32]
    unknown: dict[str, int]
    unpredicted: int = 1

    __repr__ = short_repr

    @classmethod
    def begun(cls, text: Prime) -> Self:
        """Those of a text of which no character is scored yet: :meth:`add` does that."""
        unknown = np.full(len(text.ids), np.nan, np.float32)
        return cls(text.text, unknown, np.zeros(len(text.ids), np.int32), unknown.copy(), text.unknown)

    def add(self, which: slice, logits: npt.NDArray[np.float32], ids: npt.NDArray[np.integer]) -> None:
        """Compute the figures of the characters after each of ``ids[which]`` from the ``logits`` ``(n, V)`` there."""
        comes = slice(which.start + 1, which.stop + 1)
        actual = np.take_along_axis(logits, ids[comes][:, None], 1)
        self.ranks[comes] = 1 + (logits > actual).sum(1)
        highest = logits.max(1, keepdims=True)
        exponentials = np.exp(logits - highest)
        total = exponentials.sum(1, keepdims=True)
        logarithm = np.log(total) + highest
        self.nats[comes] = np.maximum(logarithm - actual, 0)[:, 0]
        expected = (exponentials * logits).sum(1) / total[:, 0]
        self.entropy[comes] = np.maximum(logarithm[:, 0] - expected, 0) / math.log(2)

    def part(self, start: int, stop: int | None = None) -> Self:
        """The scores of the characters ``start`` to ``stop``, or to the end, as predicted after what is before them."""
        part = slice(start, stop)
        return replace(
            self,
            text=self.text[part],
            nats=self.nats[part],
            ranks=self.ranks[part],
            entropy=self.entropy[part],
            unknown=dict(Counter(char for char in self.text[part] if char in self.unknown)),
            unpredicted=max(0, self.unpredicted - start),
        )

    @property
    def chars(self) -> int:
        """Number of predicted characters that the model knows, at most N − 1, or N for a part whose beginning was
        predicted."""
        return int(np.count_nonzero(self.counted))

    @property
    def counted(self) -> npt.NDArray[np.bool_]:
        """``(N,)``, which characters the mean is over: those that are predicted and that the model knows."""
        counted = np.ones(len(self.nats), bool)
        if self.unknown:
            counted &= ~np.isin(code_points(self.text), [ord(char) for char in self.unknown])
        counted[: self.unpredicted] = False
        return counted

    @property
    def loss(self) -> float:
        """Mean loss in nats per predicted character."""
        return float(self.nats[self.counted].mean(dtype=np.float64))

    @property
    def bits_per_char(self) -> float:
        """Mean bits per predicted character."""
        return self.loss / math.log(2)

    @property
    def perplexity(self) -> float:
        """e to the power of :attr:`loss`: as hard as choosing among so many equally likely characters."""
        return math.exp(min(self.loss, 700))

    @property
    def surprising(self) -> float:
        """From how many bits on a character surprises: more than the text's mean, and no less than :data:`EXPECTED`."""
        return max(EXPECTED, self.bits_per_char)

    def places(self, count: int = 10, context: int = APART, *, least: float = 0.0) -> list[Place]:
        """The most surprising characters, most surprising first.

        A word that surprises has several surprising characters. So of those within ``context`` characters of each other
        only the most surprising one is taken. Where that gives fewer than ``count`` places, the most surprising
        characters are taken wherever they stand: a list that is shorter than ``count`` has every character of at least
        ``least`` bits.

        Args:
            context: also the number of characters that each place has before and after it.
            least: characters of fewer bits are left out, such as those below :attr:`surprising`.
        """
        arguments.number("count", count, 0)
        arguments.number("context", context, 0)
        counted = np.flatnonzero(self.counted)
        order = counted[np.argsort(-self.nats[counted], kind="stable")]
        order = order[self.nats[order] >= least * math.log(2)]
        free = np.ones(len(self.nats), bool)
        apart: list[int] = []
        for position in order.tolist():
            if len(apart) == count:
                break
            if free[position]:
                free[max(0, position - context) : position + 1 + context] = False
                apart.append(position)
        chosen = apart if len(apart) == count else order[:count].tolist()
        return [self._place(position, context) for position in chosen]

    def unlisted(self, places: Sequence[Place]) -> float:
        """The bits of the most surprising character that is not among ``places``; 0 where all are."""
        others = self.counted
        others[[place.position for place in places]] = False
        return float(self.nats[others].max(initial=0)) / math.log(2)

    def _place(self, position: int, context: int) -> Place:
        before = self.text[max(0, position - context) : position]
        after = self.text[position + 1 : position + 1 + context]
        bits, rank = float(self.nats[position]) / math.log(2), int(self.ranks[position])
        return Place(position, self.text[position], bits, rank, before, after)

    def sentences(self) -> list[Sentence]:
        """The sentences of the text, in its order, without those of which no character counts in a mean."""
        counted = self.counted
        bits = np.concatenate(([0.0], np.cumsum(np.where(counted, self.nats, 0), dtype=np.float64))) / math.log(2)
        counts = np.concatenate(([0], np.cumsum(counted)))
        return [
            Sentence(start, stop, float(bits[stop] - bits[start]) / int(counts[stop] - counts[start]))
            for start, stop in sentences(self.text)
            if counts[stop] > counts[start]
        ]

    def strip(self, width: int) -> npt.NDArray[np.float32]:
        """Mean bits per character in ``width`` equal parts of the text (fewer if it is shorter): ``(width,)``."""
        arguments.number("width", width, 1)
        bits = self.nats[self.counted] / np.float32(math.log(2))
        edges = np.linspace(0, len(bits), min(width, len(bits)) + 1).astype(np.intp)
        sums = np.add.reduceat(bits, edges[:-1], dtype=np.float64)
        return (sums / np.diff(edges)).astype(np.float32)


def score(
    model: Model,
    text: str,
    *,
    stepper: Stepper | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """Score each character of ``text`` given those before it, from an empty hidden state on.

    Args:
        stepper: of the same model, to share its packed weights.
        progress: called with ``(done, total)`` characters after each block; an exception ends the work.

    Raises:
        GenerationError: the text has fewer than two characters that the model knows.
    """
    prepared = prepare_text(model, text)
    ids, stepper = prepared.ids, stepper or Stepper(model)
    found = Scores.begun(prepared)
    with blas_threads(1):
        for which, tops in stepper.outputs(ids[:-1], stepper.zero_state()):
            found.add(which, stepper.head(tops), ids)
            if progress is not None:
                progress(which.stop + 1, len(ids))
    return found


def shared_options(models: Sequence[Model]) -> TextOptions:
    """The options with which several models, in any order, read one text: not as units; with paragraphs joined, Unicode
    composed and licences left out if a model has read its own text so."""
    own = [model.text_options for model in models]
    return TextOptions(
        lines="auto" if any(each.lines == "auto" for each in own) else "keep",
        normalize=any(each.normalize for each in own),
        strip_boilerplate=any(each.strip_boilerplate for each in own),
    )


def score_models(
    models: Sequence[Model], text: str, *, progress: Callable[[int, int], None] | None = None
) -> list[Scores]:
    """Score ``text`` with several models, each read with their :func:`shared_options` and over the same characters:
    those that only some of the models know are in no mean, so that no model gains by not knowing one.

    Args:
        progress: called with ``(done, total)`` characters, each counted once for each model.

    Raises:
        GenerationError: there is no model, or no character of the text after its first that all of them know.
    """
    if not models:
        raise GenerationError("There is no model to score the text with: give at least one")
    found: list[Scores] = []

    def report(done: int, chars: int) -> None:
        if progress is not None:
            progress(len(found) * chars + done, len(models) * chars)

    for model in models:
        found.append(score(replace(model, text_options=shared_options(models)), text, progress=report))
    unknown = {char: count for each in found for char, count in each.unknown.items()}
    compared = [replace(each, unknown=unknown) for each in found]
    if not compared[0].chars:
        raise GenerationError("There is nothing to compare: all models know no character of the text after its first")
    return compared


def prepare_text(model: Model, text: str) -> Prime:
    """Convert a text that is to be scored to ids of ``model``.

    Raises :class:`GenerationError` when it has fewer than two characters that the model knows.
    """
    prepared = prepare_prime(model, text, empty_is_fine=True)
    if prepared.known < 2:
        raise GenerationError("There is nothing to score: a text needs at least two characters that the model knows")
    return prepared
