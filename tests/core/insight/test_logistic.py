"""The sparse regression of a probe reaches the best solution, which is found here slowly and surely."""

from __future__ import annotations

import numpy as np
import pytest

from charlstm.errors import GenerationError
from charlstm.insight.cells import PENALTY, CellSample, probe
from charlstm.insight.features import Feature
from charlstm.insight.logistic import TOLERANCE, fit_sparse_logistic


def rare_problem(rows: int = 2000, cells: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Standardised columns that are alike, as cells are, and a target that is true at about one row in fifty."""
    random = np.random.default_rng(seed)
    common = random.normal(size=(rows, 6)) @ random.normal(size=(6, cells))
    inputs = common + 0.1 * random.normal(size=(rows, cells))
    inputs = (inputs - inputs.mean(0)) / inputs.std(0)
    margins = 4 * inputs[:, 3] - 4 * inputs[:, 17] + 3 * inputs[:, 30] - 10
    return inputs.astype(np.float32), (random.random(rows) < 1 / (1 + np.exp(-margins))).astype(np.float32)


def converged(inputs: np.ndarray, targets: np.ndarray, penalty: float) -> tuple[np.ndarray, float]:
    """Weights and bias by proximal gradient steps in float64, until no weight violates its condition by 1e-10."""
    columns = np.column_stack([inputs.astype(np.float64), np.ones(len(inputs))])
    rate = 4 * len(columns) / np.linalg.norm(columns, 2) ** 2
    values = momentum = np.zeros(columns.shape[1])
    pace = 1.0
    for _ in range(200_000):
        slopes = columns.T @ (1 / (1 + np.exp(-(columns @ momentum))) - targets) / len(columns)
        stepped = momentum - rate * slopes
        stepped[:-1] = np.sign(stepped[:-1]) * np.maximum(np.abs(stepped[:-1]) - rate * penalty, 0)
        if np.dot(momentum - stepped, stepped - values) > 0:  # the momentum leads uphill: begin again without it
            pace = 1.0
        following = (1 + np.sqrt(1 + 4 * pace * pace)) / 2
        momentum = stepped + (pace - 1) / following * (stepped - values)
        furthest = np.abs(stepped - values).max()
        values, pace = stepped, following
        if furthest < 1e-13 and violation(columns[:, :-1], targets, values[:-1], float(values[-1]), penalty) < 1e-10:
            return values[:-1], float(values[-1])
    raise AssertionError("the reference has not converged")


def violation(inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray, bias: float, penalty: float) -> float:
    """By how much a weight or the bias violates the conditions of the optimum most: the slope of the loss is 0 for the
    bias, -penalty · sign for a weight, and within ± penalty where the weight is 0."""
    errors = 1 / (1 + np.exp(-(inputs.astype(np.float64) @ weights + bias))) - targets
    slopes = inputs.T.astype(np.float64) @ errors / len(inputs)
    own = np.where(weights != 0, np.abs(slopes + penalty * np.sign(weights)), np.maximum(np.abs(slopes) - penalty, 0))
    return float(max(own.max(), abs(errors.mean())))


@pytest.mark.parametrize("seed", [0, 1])
def test_sparse_logistic_equals_a_tightly_converged_reference(seed: int) -> None:
    inputs, targets = rare_problem(seed=seed)
    weights, bias = converged(inputs, targets, 0.001)
    found = fit_sparse_logistic(inputs, targets, 0.001)
    assert np.flatnonzero(found.weights).tolist() == np.flatnonzero(weights).tolist()
    np.testing.assert_allclose(found.weights, weights, atol=2e-3)
    assert found.bias == pytest.approx(bias, abs=2e-3)
    share = targets.mean(dtype=np.float64)
    alone = -(share * np.log(share) + (1 - share) * np.log1p(-share))
    assert 0 <= found.gap <= TOLERANCE * alone
    assert violation(inputs, targets, found.weights, found.bias, 0.001) < 1e-5


def test_probe_of_a_rare_feature_keeps_the_cells_of_a_tightly_converged_reference() -> None:
    """200 iterations of FISTA kept 9 cells here, and the best solution has 5."""
    inputs, targets = rare_problem()
    other, true = rare_problem(seed=5)
    rare = Feature("rare", "yes/no", np.concatenate([targets, true]))
    sample = CellSample(3 + 2 * inputs, 3 + 2 * other, (rare,), {"rare": 30}, (2, 20), 4000, None)
    weights, _ = converged(inputs, targets, PENALTY)
    expected = {(1 + cell // 20, 1 + cell % 20) for cell in np.flatnonzero(weights).tolist()}
    assert len(expected) == 5
    found = probe(sample, "rare")
    assert set(found.cells) == expected
    sums = sample.first @ _spread_out(found.cells, found.weights, (2, 20)) + found.bias
    np.testing.assert_allclose(
        1 / (1 + np.exp(-sums)), _shares(inputs, targets), atol=2e-3, err_msg="weights of the states themselves"
    )


def _spread_out(cells: tuple[tuple[int, int], ...], weights: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    found = np.zeros(shape)
    for (layer, cell), weight in zip(cells, weights, strict=True):
        found[layer - 1, cell - 1] = weight
    return found.ravel()


def _shares(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    weights, bias = converged(inputs, targets, PENALTY)
    return 1 / (1 + np.exp(-(inputs @ weights + bias)))


def test_sparse_logistic_gives_no_weights_for_a_large_penalty_and_refuses_equal_targets() -> None:
    inputs, targets = rare_problem(400)
    found = fit_sparse_logistic(inputs, targets, 1.0)
    assert not found.weights.any()
    assert 1 / (1 + np.exp(-found.bias)) == pytest.approx(targets.mean())
    with pytest.raises(GenerationError, match="places where the feature is true"):
        fit_sparse_logistic(inputs, np.zeros(400, np.float32), 0.01)


def test_sparse_logistic_settles_where_a_column_separates_the_targets_or_says_nothing() -> None:
    random = np.random.default_rng(0)
    targets = (np.arange(500) % 50 == 0).astype(np.float32)
    inputs = np.column_stack([20 * targets, np.zeros(500), random.normal(size=500)]).astype(np.float32)
    found = fit_sparse_logistic(inputs, targets, 0.001)
    assert np.flatnonzero(found.weights).tolist() == [0]
    assert violation(inputs, targets, found.weights, found.bias, 0.001) < 1e-5
