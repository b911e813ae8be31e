"""Find the cells of an LSTM that follow features of a text (Karpathy, Johnson and Li 2015, arXiv:1506.02078).

Cells are chosen on the first half of a text and scored on the second, which had no part in the choice. A yes/no
feature is scored by the area under the ROC curve (AUC: 0.5 is chance, 1 is perfect, and below 0.5 the cell is low where
the feature is true, which counts as much), a graded one by the correlation r. With a thousand cells the best of them
looks better than chance anywhere, so the same search is also made for copies of the feature that are shifted along the
text, which no cell follows: ``chance`` is the best score that these reach.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from charlstm.display import short_repr
from charlstm.errors import GenerationError
from charlstm.generation.prime import prepare_prime
from charlstm.generation.stepper import Stepper
from charlstm.insight.activations import iterate_activations
from charlstm.insight.features import Feature, text_features

if TYPE_CHECKING:
    from charlstm.model.file import Model

Floats = npt.NDArray[np.float32]

SAMPLED = 10_000
"""Characters of each half at which cells are compared with features, evenly spaced. All cells of 2 × 512 take 40 MB."""

SHIFTS = 8
"""Shifted copies of a feature that are searched for the chance level."""

SHORTEST = 200
"""Characters that a text needs, so that both halves say something."""

RANGE = (1, 99)
"""Percentiles of a cell's states that are called its range."""

LEVEL_LIMITS = (-1.5, -0.5, 0.5, 1.5)
"""Standard deviations from its mean at which the next of five levels of a cell's state begins."""

PENALTY = 0.003
"""Strength of the L1 penalty of the probe: of 1,024 cells it keeps some ten to sixty."""


@dataclass(frozen=True, slots=True)
class NamedCell:
    """A cell that follows a feature.

    Attributes:
        feature: the name of the feature.
        cell: layer and cell, both counted from 1.
        kind: ``"auc"`` for a yes/no feature, ``"r"`` for a graded one.
        score: AUC from 0 to 1, or correlation from -1 to 1, on the half of the text that had no part in the choice. An
            AUC below 0.5 and a negative correlation mean that the cell is low where the feature is high.
        chance: what the best cell for shifted copies of the feature reaches: an AUC of at least 0.5, or the size of a
            correlation.
        low, high: the cell's range on the text: the 1st and the 99th percentile of its state c.
        mean: of its state c.
        where_true, where_false: the mean of c where a yes/no feature is true and where it is not; None for a graded
            one.
    """

    feature: str
    cell: tuple[int, int]
    kind: Literal["auc", "r"]
    score: float
    chance: float
    low: float
    high: float
    mean: float
    where_true: float | None
    where_false: float | None

    @property
    def excess(self) -> float:
        """How much better the cell follows the feature than chance, where 0 is not at all and 1 perfectly."""
        if self.kind == "r":
            return abs(self.score) - self.chance
        return abs(2 * self.score - 1) - abs(2 * self.chance - 1)

    @property
    def above_chance(self) -> bool:
        """Whether the cell does better than the best cell does for shifted copies of the feature."""
        return self.excess > 0

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

    @property
    def score_words(self) -> str:
        """The score as it is shown: ``0.97, low`` for an AUC of 0.03, with the cell low where the feature is true, and
        ``r -0.55`` for a correlation."""
        if self.kind == "r":
            return f"r {self.score:.2f}"
        return f"{self.turned():.2f}, {'low' if self.follows_low else 'high'}"


@dataclass(frozen=True, slots=True)
class Probe:
    """A weighted sum of some cells that follows a yes/no feature better than one cell alone.

    Attributes:
        feature: the name of the feature.
        cells: layer and cell of each term, both counted from 1, the largest effect first.
        weights: ``(K,)`` float32, in the same order, for the cell states c.
        bias: the feature is more likely true than not where the weighted sum plus ``bias`` is above zero.
        scores: ``(K,)`` float32, the AUC on the second half of the text of the first term alone, the first two, and
            so on to all.
    """

    feature: str
    cells: tuple[tuple[int, int], ...]
    weights: Floats
    bias: float
    scores: Floats

    __repr__ = short_repr

    @property
    def score(self) -> float:
        """AUC of the whole sum on the second half of the text."""
        return float(self.scores[-1]) if len(self.scores) else 0.5


@dataclass(frozen=True, slots=True)
class CellSample:
    """Cell states and features at evenly spaced characters of both halves of a text.

    Attributes:
        first, second: ``(n, L·H)`` float32, the cell states c in the two halves.
        features: with the values at the same characters, ``(n₁ + n₂,)``.
        shape: ``(L, H)``.
    """

    first: Floats
    second: Floats
    features: tuple[Feature, ...]
    shape: tuple[int, int]

    __repr__ = short_repr

    def feature(self, name: str) -> Feature:
        """The yes/no feature of this name. Raises :class:`GenerationError` if the text does not have it in both
        halves, or if it is graded."""
        for each in self.features:
            if each.name == name and each.kind == "yes/no":
                return each
        known = ", ".join(each.name for each in self.features if each.kind == "yes/no")
        raise GenerationError(f"{name!r} is not a yes/no feature of this text; it has: {known or 'none'}")

    def only(self, name: str) -> CellSample:
        """The sample with one yes/no feature. Raises :class:`GenerationError` as :meth:`feature` does."""
        return replace(self, features=(self.feature(name),))

    def states(self, cell: tuple[int, int]) -> Floats:
        """``(n₁ + n₂,)``: the states of one cell, given as layer and index from 1."""
        column = _column(cell, self.shape)
        return np.concatenate([self.first[:, column], self.second[:, column]])


def sample_cells(
    model: Model,
    text: str,
    features: Callable[[str], Sequence[Feature]] = text_features,
    *,
    stepper: Stepper | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CellSample:
    """Read ``text`` and keep the cell states at up to :data:`SAMPLED` characters of each half.

    Args:
        features: computes the features of the text that the model reads, which lacks unknown characters.
        progress: called with ``(done, total)`` characters after each block; an exception ends the work.

    Raises:
        GenerationError: the text has fewer than :data:`SHORTEST` characters that the model knows.
    """
    prepared = prepare_prime(model, text, empty_is_fine=True)
    ids = prepared.ids
    if len(ids) < SHORTEST:
        raise GenerationError(
            f"The text has {len(ids):,} characters that the model knows: {SHORTEST} are needed to name cells"
        )
    half = len(ids) // 2
    places = np.concatenate([_spread(0, half), _spread(half, len(ids))])
    layers, size = model.config.num_layers, model.config.hidden_size
    states = np.empty((len(places), layers * size), np.float32)
    for block in iterate_activations(stepper or Stepper(model), ids, progress=progress):
        low, high = np.searchsorted(places, (block.start, block.start + len(block.cells)))
        states[low:high] = block.cells[places[low:high] - block.start].reshape(high - low, -1)
    chosen = [Feature(each.name, each.kind, each.values[places]) for each in features(prepared.text)]
    cut = int(np.searchsorted(places, half))
    both = [each for each in chosen if np.ptp(each.values[:cut]) > 0 and np.ptp(each.values[cut:]) > 0]
    return CellSample(states[:cut], states[cut:], tuple(both), (layers, size))


def name_cells(
    sample: CellSample, *, per_feature: int = 1, progress: Callable[[int, int], None] | None = None
) -> list[NamedCell]:
    """For each feature the cells that follow it best; the feature furthest above chance comes first.

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
    found.sort(key=lambda cells: -cells[0].excess)
    return [cell for cells in found for cell in cells]


def _named(sample: CellSample, feature: Feature, cell: tuple[int, int], score: float, chance: float) -> NamedCell:
    """``score`` and ``chance`` are signed, from -1 to 1."""
    states = sample.states(cell)
    low, high = (float(each) for each in np.percentile(states, RANGE))
    mean = float(states.mean())
    if feature.kind == "graded":
        return NamedCell(feature.name, cell, "r", score, chance, low, high, mean, None, None)
    true = feature.values > 0
    where_true, where_false = float(states[true].mean()), float(states[~true].mean())
    return NamedCell(
        feature.name, cell, "auc", (score + 1) / 2, (chance + 1) / 2, low, high, mean, where_true, where_false
    )


def score_cells(sample: CellSample, cells: Sequence[NamedCell]) -> list[float]:
    """How well cells follow the features that they were named for in another sample, such as one of an earlier
    snapshot of the same run: their scores on the second half of the text. NaN where the text has no such feature."""
    columns = [_column(named.cell, sample.shape) for named in cells]
    scorer, cut = _Scorer(sample.second[:, columns]), len(sample.first)
    values = {feature.name: feature.values[None, cut:] for feature in sample.features}
    scores = []
    for place, named in enumerate(cells):
        if named.feature not in values:
            scores.append(float("nan"))
            continue
        graded = named.kind == "r"
        score = float(scorer.signed(values[named.feature], graded)[0, place])
        scores.append(score if graded else (score + 1) / 2)
    return scores


def probe(sample: CellSample, name: str) -> Probe:
    """Fit a sparse logistic regression from all cell states to a yes/no feature, on the first half of the text.

    The L1 penalty leaves few cells (Tibshirani 1996); it is fitted by FISTA (Beck and Teboulle 2009).

    Raises:
        GenerationError: the feature is graded, or the text does not have it in both halves.
    """
    feature = sample.feature(name)
    cut = len(sample.first)
    mean, spread = sample.first.mean(0), sample.first.std(0) + np.float32(1e-6)
    inputs, targets = (sample.first - mean) / spread, feature.values[:cut]
    weights, bias = _sparse_logistic(inputs, targets)
    used = np.flatnonzero(weights)
    used = used[np.argsort(-np.abs(weights[used]))]
    raw = (weights / spread)[used]
    offset = float(bias - (weights * mean / spread).sum())
    sums = np.cumsum(sample.second[:, used] * raw, axis=1)
    scores = (_Scorer(sums).signed(feature.values[None, cut:], graded=False)[0] + 1) / 2
    return Probe(name, tuple(_cell(int(which), sample.shape) for which in used), raw, offset, scores)


class _Scorer:
    """Scores all cells at once for several features of a kind; the ranks of the states are computed once."""

    def __init__(self, states: Floats) -> None:
        self._ranks = _ranks(states)
        centred = states - states.mean(0)
        norms = np.linalg.norm(centred, axis=0)
        self._directions = centred / np.where(norms > 0, norms, 1)

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


def levels(states: Floats) -> npt.NDArray[np.intp]:
    """``(n,)``: the level of each of a cell's states ``(n,)``, from 0 for far below their mean over 2 for near it to 4
    for far above it (:data:`LEVEL_LIMITS`)."""
    deviation = float(states.std()) or 1.0
    found: npt.NDArray[np.intp] = np.searchsorted(LEVEL_LIMITS, (states - states.mean()) / deviation, "right")
    return found


def _sparse_logistic(
    inputs: Floats, targets: Floats, penalty: float = PENALTY, iterations: int = 200
) -> tuple[Floats, float]:
    count, cells = inputs.shape
    # The gradient's Lipschitz constant: a quarter of the largest eigenvalue of the inputs' covariance.
    vector = np.ones(cells, np.float32) / np.float32(np.sqrt(cells))
    for _ in range(20):
        vector = inputs.T @ (inputs @ vector)
        norm = float(np.linalg.norm(vector))
        vector /= np.float32(norm or 1)
    rate = np.float32(4 * count / max(norm, 1e-6))
    weights = momentum = np.zeros(cells, np.float32)
    bias = float(np.log((targets.mean() + 1e-6) / (1 - targets.mean() + 1e-6)))
    pace = 1.0
    for _ in range(iterations):
        errors = 1 / (1 + np.exp(-np.clip(inputs @ momentum + bias, -30, 30))) - targets
        stepped = momentum - rate * (inputs.T @ errors) / count
        shrunk = np.sign(stepped) * np.maximum(np.abs(stepped) - rate * np.float32(penalty), 0)
        bias -= float(errors.mean()) * 4
        next_pace = (1 + np.sqrt(1 + 4 * pace * pace)) / 2
        momentum = (shrunk + np.float32((pace - 1) / next_pace) * (shrunk - weights)).astype(np.float32)
        weights, pace = shrunk.astype(np.float32), float(next_pace)
    return weights, bias


def _spread(start: int, stop: int) -> npt.NDArray[np.intp]:
    return np.unique(np.linspace(start, stop - 1, min(SAMPLED, stop - start)).astype(np.intp))


def _with_shifted(values: Floats) -> Floats:
    """``(1 + SHIFTS, n)``: the values ``(n,)``, and copies that are shifted along the text."""
    return np.stack([np.roll(values, len(values) * shift // (SHIFTS + 1)) for shift in range(SHIFTS + 1)])


def _cell(which: int, shape: tuple[int, int]) -> tuple[int, int]:
    layer, cell = divmod(which, shape[1])
    return layer + 1, cell + 1


def _column(cell: tuple[int, int], shape: tuple[int, int]) -> int:
    return (cell[0] - 1) * shape[1] + cell[1] - 1
