"""Find the cells of an LSTM that follow features of a text (Karpathy, Johnson and Li 2015, arXiv:1506.02078).

A text is read in blocks from all over it. Cells are chosen on every second block and scored on the others, which had no
part in the choice. A yes/no feature is scored by the area under the ROC curve (AUC: 0.5 is guessing, 1 is perfect, and
below 0.5 the cell is low where the feature is true, which counts as much), a graded one by Pearson's correlation r.
With a thousand cells the best looks better than guessing anywhere, so the same search is also made for copies of the
feature that are shifted along the text, which no cell follows: ``chance`` is the best score that these reach.

Another part of the text would give another score, so it has a margin. Neighbouring characters depend on each other;
therefore whole segments of the text are drawn again with repetition (the cluster bootstrap: Rutter 2000, Academic
Radiology 7:413, for the AUC; Efron and Tibshirani 1993).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from charlstm.display import plural, short_repr
from charlstm.errors import GenerationError
from charlstm.generation.prime import prepare_prime
from charlstm.generation.stepper import Stepper
from charlstm.insight.activations import EXACT, iterate_activations
from charlstm.insight.features import Feature, text_features, unit_features
from charlstm.insight.sample import READ_CHARS, model_step, spread_blocks

if TYPE_CHECKING:
    from charlstm.model.file import Model

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ids = npt.NDArray[np.intp]
Verdict = Literal["follows", "no better than chance", "too few to tell"]

SAMPLED = 10_000
"""Characters of each half at which cells are compared with features, evenly spaced, at most. All cells of 2 × 512 take
40 MB. Every answer says how many there were (:attr:`NamedCell.places`)."""

BLOCKS = 40
"""Blocks of a text that are read. More give nearly the same margins, and each costs 512 characters of warm-up."""

SHORTEST_BLOCK = 250
"""Characters of a block at least: a shorter text has fewer of them, at least one to choose on and one to score on."""

SEGMENTS = 20
"""Segments of the scored characters that are drawn again for the margin: the blocks, where there are :data:`BLOCKS`."""

RESAMPLES = 1000
"""How often they are drawn."""

FEWEST_SPANS = 20
"""Spans of a feature below which a score is not judged: with six quotes a cell had 0.91, and 0.81 at another place of
the same book."""

FEWEST_BLOCKS = 5
"""Segments with such spans below which a score is not judged and has no margin: of 27 spans in one of them the margin
was between 0.007 and 0.063, where eight placements of the blocks spread by 0.034."""

SHIFTS = 8
"""Shifted copies of a feature that are searched for the chance level."""

SHORTEST = 200
"""Characters that a text needs, so that both halves say something."""

RANGE = (1, 99)
"""Percentiles of a cell's states that are called its range."""

CONSTANT = 1e-5
"""A cell whose states deviate by less than this, or by this part of their mean, is constant: the rest is rounding."""


@dataclass(frozen=True, slots=True)
class NamedCell:
    """A cell that follows a feature.

    Attributes:
        feature: the name of the feature.
        cell: layer and cell, both counted from 1.
        kind: ``"auc"`` for a yes/no feature, ``"r"`` for a graded one.
        score: AUC from 0 to 1, or correlation from -1 to 1, on the half of the text that had no part in the choice. An
            AUC below 0.5 and a negative correlation mean that the cell is low where the feature is high.
        margin: two standard errors of the score; 1.0 where the feature is in too few ``blocks``.
        spans: on how many spans the score rests: how often the feature is true, or above its mean, without a break, in
            that half.
        chance: what the best cell for shifted copies of the feature reaches: an AUC of at least 0.5, or the size of a
            correlation.
        low, high: the cell's range: the 1st and the 99th percentile of its state c at the compared characters of both
            halves, of which the following means are too.
        mean: of its state c.
        where_true, where_false: the mean of c where a yes/no feature is true and where it is not; None for a graded
            one.
        chars: how many characters were read, in blocks from all over the text.
        places: at how many of each half the cell was compared with the feature.
        step: after how many training steps the model was saved; None for a file without the number.
        blocks: in how many of :data:`SEGMENTS` segments of that half the feature is true, or above its mean.
    """

    JSON_FIELDS: ClassVar = (
        "feature", "cell", "kind", "score", "margin", "spans", "chance", "verdict", "low", "high", "where_true",
        "where_false", "chars", "places", "step",
    )  # fmt: skip

    feature: str
    cell: tuple[int, int]
    kind: Literal["auc", "r"]
    score: float
    margin: float
    spans: int
    chance: float
    low: float
    high: float
    mean: float
    where_true: float | None
    where_false: float | None
    chars: int
    places: int
    step: int | None
    blocks: int = SEGMENTS

    @property
    def excess(self) -> float:
        """How much better the cell follows the feature than chance, where 0 is not at all and 1 perfectly."""
        return (self.strength() - self.chance) * (1 if self.kind == "r" else 2)

    @property
    def can_be_judged(self) -> bool:
        """Whether the score rests on :data:`FEWEST_SPANS` in :data:`FEWEST_BLOCKS` or more."""
        return self.spans >= FEWEST_SPANS and self.blocks >= FEWEST_BLOCKS

    @property
    def verdict(self) -> Verdict:
        """Whether the cell follows the feature: its score is above :attr:`chance` by more than its margin, and it
        :attr:`can_be_judged`."""
        if not self.can_be_judged:
            return "too few to tell"
        return "follows" if self.strength() - self.margin > self.chance else "no better than chance"

    @property
    def above_chance(self) -> bool:
        """Whether the verdict is that the cell follows the feature."""
        return self.verdict == "follows"

    def better_than_chance(self, score: float) -> bool:
        """The same of the cell with this score, in another model: in the same direction as here, and with the margin
        that it has here."""
        return self.can_be_judged and self.strength(score) - self.margin > self.chance

    @property
    def follows_low(self) -> bool:
        """Whether the cell is low where the feature is true or high."""
        return self.score < (0.5 if self.kind == "auc" else 0)

    @property
    def end_of_range(self) -> float:
        """The end of the cell's range that it is near where the feature is true or high: a value to hold it at."""
        return round(self.low if self.follows_low else self.high, 1)

    def turned(self, score: float | None = None) -> float:
        """The score, or that of the cell in another model, so that higher is better for a cell that is low where a
        yes/no feature is true too: 0.97 for an AUC of 0.03. A correlation stays as it is."""
        score = self.score if score is None else score
        return 1 - score if self.kind == "auc" and self.follows_low else score

    def strength(self, score: float | None = None) -> float:
        """The score, or that of the cell in another model, turned so that more is better: an AUC as :meth:`turned`,
        and a correlation above 0 where it has the sign that it has here."""
        score = self.score if score is None else score
        return -score if self.kind == "r" and self.follows_low else self.turned(score)

    @property
    def margin_words(self) -> str:
        """``±0.02`` or ``±<0.01``; empty where the feature is in too few blocks for a margin."""
        if self.blocks < FEWEST_BLOCKS:
            return ""
        return f"±{self.margin:.2f}" if self.margin >= 0.005 else "±<0.01"

    @property
    def score_words(self) -> str:
        """The score as it is shown: ``0.97 ±0.02, low`` for an AUC of 0.03, with the cell low where the feature is
        true, and ``r -0.55 ±0.04`` for a correlation."""
        if self.kind == "r":
            return f"r {self.score:.2f} {self.margin_words}".rstrip()
        return f"{self.turned():.2f} {self.margin_words}".rstrip() + f", {'low' if self.follows_low else 'high'}"

    @property
    def spans_words(self) -> str:
        """``140 spans``, or ``too few to tell`` (:attr:`can_be_judged`)."""
        return "too few to tell" if not self.can_be_judged else plural(self.spans, "span")

    @property
    def places_words(self) -> str:
        """At how many of the characters of each half of the text the cell was compared with the feature."""
        return "all" if self.places < SAMPLED else f"{self.places:,} evenly spaced"


@dataclass(frozen=True, slots=True)
class CellSample:
    """Cell states and features at evenly spaced characters of both halves of a text: every second block, and others.

    Attributes:
        first, second: ``(n, L·H)`` float32, the cell states c in the two halves.
        features: with the values at the same characters, ``(n₁ + n₂,)``.
        spans: for each feature how often it is true, or above its mean, without a break, in the second half.
        shape: ``(L, H)``.
        chars: how many characters of the text were read.
        step: after how many training steps the model was saved; None for a file without the number.
    """

    first: Floats
    second: Floats
    features: tuple[Feature, ...]
    spans: Mapping[str, int]
    shape: tuple[int, int]
    chars: int
    step: int | None

    __repr__ = short_repr

    def states(self, cell: tuple[int, int]) -> Floats:
        """``(n₁ + n₂,)``: the states of one cell, given as layer and index from 1."""
        column = _column(cell, self.shape)
        return np.concatenate([self.first[:, column], self.second[:, column]])


def sample_cells(
    model: Model,
    text: str,
    features: Callable[[str], Sequence[Feature]] = text_features,
    *,
    max_chars: int | None = READ_CHARS,
    stepper: Stepper | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CellSample:
    """Read blocks from all over ``text`` and keep the cell states at up to :data:`SAMPLED` characters of each half.

    Args:
        max_chars: how many characters are read; None reads all of them.
        features: computes the features of the text.
        progress: called with ``(done, total)`` characters after each block; an exception ends the work.

    Raises:
        GenerationError: the text has fewer than :data:`SHORTEST` characters that the model knows.
    """
    prepared = prepare_prime(model, text, empty_is_fine=True)
    ids = prepared.ids
    if prepared.known < SHORTEST:
        raise GenerationError(
            f"The text is too short to find cells that follow it: it has {prepared.known:,} characters that the "
            f"model knows, and {SHORTEST} are needed. Give a longer text"
        )
    read = len(ids) if max_chars is None else min(max_chars, len(ids))
    blocks = spread_blocks(len(ids), read, max(2, min(BLOCKS, read // (2 * SHORTEST_BLOCK) * 2)))
    halves = _compared(blocks[::2]), _compared(blocks[1::2])
    positions, cut = np.concatenate(halves), len(halves[0])
    order = np.argsort(positions)
    in_order = positions[order]
    layers, size = model.config.num_layers, model.config.hidden_size
    states = np.empty((len(positions), layers * size), np.float32)
    parts = None if len(ids) <= EXACT else blocks
    for block in iterate_activations(stepper or Stepper(model), ids, parts=parts, progress=progress):
        low, high = np.searchsorted(in_order, (block.start, block.start + len(block.cells)))
        states[order[low:high]] = block.cells[in_order[low:high] - block.start].reshape(high - low, layers * size)
    chosen, spans = [], {}
    for each in (*features(prepared.text), *unit_features(prepared.text, model.text_options.units)):
        values = each.values[positions]
        if np.ptp(values[:cut]) > 0 and np.ptp(values[cut:]) > 0:
            chosen.append(Feature(each.name, each.kind, values))
            spans[each.name] = sum(_spans(each.values[start:stop], each.values.mean()) for start, stop in blocks[1::2])
    read = sum(stop - start for start, stop in blocks)
    return CellSample(states[:cut], states[cut:], tuple(chosen), spans, (layers, size), read, model_step(model))


def _compared(blocks: Sequence[tuple[int, int]]) -> Ids:
    """Up to :data:`SAMPLED` evenly spaced characters of these blocks."""
    positions = np.concatenate([np.arange(start, stop) for start, stop in blocks])
    return positions[np.linspace(0, len(positions) - 1, min(SAMPLED, len(positions))).astype(np.intp)]


def _spans(values: Floats, mean: np.floating[Any]) -> int:
    """How often values are above ``mean`` without a break."""
    return int((np.diff(values > mean, prepend=False) & (values > mean)).sum())


def name_cells(
    sample: CellSample, *, per_feature: int = 1, progress: Callable[[int, int], None] | None = None
) -> list[NamedCell]:
    """For each feature the cells that follow it best; the feature furthest above chance comes first, and those that no
    cell follows last.

    Args:
        per_feature: how many cells to give for each feature.
        progress: called with ``(done, total)`` features before each; an exception ends the work.
    """
    first, second = _Scorer(sample.first), _Scorer(sample.second)
    cut = len(sample.first)
    found: list[list[NamedCell]] = []
    for number, feature in enumerate(sample.features):
        if progress is not None:
            progress(number, len(sample.features))
        graded = feature.kind == "graded"
        on_first, on_second = (
            scorer.signed(_with_shifted(values), graded)
            for scorer, values in ((first, feature.values[:cut]), (second, feature.values[cut:]))
        )
        order = np.argsort(-np.abs(on_first[0]), kind="stable")[:per_feature]
        scores = on_second[0, order]
        best = np.argmax(np.abs(on_first[1:]), axis=1)
        chance = float(np.abs(on_second[np.arange(1, SHIFTS + 1), best]).max())
        found.append(
            [
                _named(sample, feature, _cell(int(which), sample.shape), float(score), chance)
                for which, score in zip(order, scores, strict=True)
            ]
        )
    found.sort(key=lambda cells: (not cells[0].above_chance, -cells[0].excess))
    return [cell for cells in found for cell in cells]


def _named(sample: CellSample, feature: Feature, cell: tuple[int, int], score: float, chance: float) -> NamedCell:
    """``score`` and ``chance`` are signed, from -1 to 1."""
    states = sample.states(cell)
    low, high = (float(each) for each in np.percentile(states, RANGE))
    mean = float(states.mean())
    where_true = where_false = None
    kind: Literal["auc", "r"] = "r" if feature.kind == "graded" else "auc"
    scored = slice(len(sample.first), None)
    above = feature.values[scored] > feature.values.mean()
    blocks = sum(bool(part.any()) for part in np.array_split(above, SEGMENTS))
    graded = feature.kind == "graded"
    margin = 1.0 if blocks < FEWEST_BLOCKS else _margin(states[scored], feature.values[scored], graded)
    if kind == "auc":
        score, chance = (score + 1) / 2, (chance + 1) / 2
        true = feature.values > 0
        where_true, where_false = float(states[true].mean()), float(states[~true].mean())
    places = len(sample.second)
    return NamedCell(
        feature.name, cell, kind, score, margin, sample.spans[feature.name], chance, low, high, mean, where_true,
        where_false, sample.chars, places, sample.step, blocks,
    )  # fmt: skip


def score_cells(sample: CellSample, cells: Sequence[NamedCell]) -> list[float]:
    """How well cells follow the features that they were named for in another sample, such as one of an earlier
    snapshot of the same run: their scores on the second half of the text. NaN where the text has no such feature."""
    columns = [_column(named.cell, sample.shape) for named in cells]
    scorer, cut = _Scorer(sample.second[:, columns]), len(sample.first)
    values = {feature.name: feature.values[None, cut:] for feature in sample.features}
    scores = []
    for index, named in enumerate(cells):
        if named.feature not in values:
            scores.append(float("nan"))
            continue
        graded = named.kind == "r"
        score = float(scorer.signed(values[named.feature], graded)[0, index])
        scores.append(score if graded else (score + 1) / 2)
    return scores


class _Scorer:
    """Scores all cells at once for several features of a kind; the ranks of the states are computed once."""

    def __init__(self, states: Floats) -> None:
        self._ranks = _ranks(states)
        centred: Floats = states - states.mean(0)
        norms = np.linalg.norm(centred, axis=0)
        lengths: Floats = np.where(norms > 0, norms, 1).astype(np.float32, copy=False)
        self._directions = centred / lengths

    def signed(self, values: Floats, graded: bool) -> Floats:
        """``(K, C)`` from -1 to 1 for ``(K, n)`` values and all cells: the correlation, or 2·AUC - 1.

        One product for K features takes hardly longer than for one: reading the ranks is what takes time.
        """
        if graded:
            centred = values - values.mean(1, dtype=np.float64, keepdims=True)
            norms = np.linalg.norm(centred, axis=1, keepdims=True)
            correlation: Floats = (centred / np.where(norms > 0, norms, 1)).astype(np.float32) @ self._directions
            return correlation
        # AUC is the Mann-Whitney U statistic over the number of pairs.
        true = values.sum(1, dtype=np.float64, keepdims=True)
        pairs = true * (values.shape[1] - true)
        above = values.astype(np.float64) @ self._ranks - true * (true + 1) / 2
        signed: Floats = np.where(pairs > 0, 2 * above / np.where(pairs > 0, pairs, 1) - 1, 0).astype(np.float32)
        return signed


def _margin(states: Floats, values: Floats, graded: bool) -> float:
    """Two standard errors of the score of a cell, from its states ``(n,)`` and the values of a feature ``(n,)``: they
    are cut into :data:`SEGMENTS`, which are drawn again with repetition."""
    parts = [part for part in np.array_split(np.arange(len(states)), SEGMENTS) if len(part)]
    count = len(parts)
    draws = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(np.float64)
    scores = (_drawn_correlations if graded else _drawn_aucs)(
        [states[part].astype(np.float64) for part in parts], [values[part].astype(np.float64) for part in parts], draws
    )
    scores = scores[np.isfinite(scores)]  # in the others the feature is nowhere, or everywhere
    return 1.0 if len(scores) < 2 else min(1.0, 2 * float(scores.std()) * math.sqrt(count / max(1, count - 1)))


def _drawn_aucs(states: Sequence[Doubles], values: Sequence[Doubles], draws: Doubles) -> Doubles:
    """``(R,)``: the AUC with each segment as often as a row of ``draws`` ``(R, S)`` says."""
    true = [each[value > 0] for each, value in zip(states, values, strict=True)]
    false = [np.sort(each[value <= 0]) for each, value in zip(states, values, strict=True)]
    wins = np.array(
        [
            [(np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")).sum() / 2 for low in false]
            for high in true
        ]
    )
    pairs = (draws @ [len(each) for each in true]) * (draws @ [len(each) for each in false])
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Doubles = ((draws @ wins) * draws).sum(1) / pairs
    return found


def _drawn_correlations(states: Sequence[Doubles], values: Sequence[Doubles], draws: Doubles) -> Doubles:
    """``(R,)``: the correlation with each segment as often as a row of ``draws`` ``(R, S)`` says."""
    sums = [
        (len(x), x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum())
        for x, y in zip(states, values, strict=True)
    ]
    count, x, y, xx, yy, xy = (draws @ np.array(sums)).T
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Doubles = (count * xy - x * y) / np.sqrt((count * xx - x * x) * (count * yy - y * y))
    return found


def _ranks(states: Floats) -> npt.NDArray[np.float64]:
    """``(n, C)``: the rank of each state among those of its cell, from 1; equal ones share the mean of their ranks."""
    count, cells = states.shape
    ranks = np.empty((count, cells), np.float64)
    for cell in range(cells):
        column = states[:, cell]
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        stops = np.append(starts[1:], count)
        ranks[order, cell] = np.repeat((starts + stops + 1) / 2, stops - starts)
    return ranks


def mean_and_deviation(states: Floats) -> tuple[float, float]:
    """Mean and standard deviation of a cell's states, by which its levels are counted; the deviation of a cell that is
    constant but for rounding (:data:`CONSTANT`) is 1, so that rounding has no levels."""
    mean, deviation = float(states.mean(dtype=np.float64)), float(states.std(dtype=np.float64))
    return mean, 1.0 if deviation <= CONSTANT * max(1.0, abs(mean)) else deviation


def _with_shifted(values: Floats) -> Floats:
    """``(1 + SHIFTS, n)``: the values ``(n,)``, and copies that are shifted along the text."""
    return np.stack([np.roll(values, len(values) * shift // (SHIFTS + 1)) for shift in range(SHIFTS + 1)])


def _cell(which: int, shape: tuple[int, int]) -> tuple[int, int]:
    layer, cell = divmod(which, shape[1])
    return layer + 1, cell + 1


def _column(cell: tuple[int, int], shape: tuple[int, int]) -> int:
    return (cell[0] - 1) * shape[1] + cell[1] - 1
