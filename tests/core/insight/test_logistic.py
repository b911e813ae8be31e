"""The sparse regression of a probe reaches the best solution, which is found here slowly and surely."""

from __future__ import annotations

import numpy as np
import pytest

from charlstm.errors import GenerationError
from charlstm.insight.cells import PENALTY, CellSample, probe
from charlstm.insight.features import Feature
from charlstm.insight.logistic import TOLERANCE, fit_sparse_logistic
from plain_numpy import logistic, sparse_regression, violation


def rare_problem(rows: int = 2000, cells: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Standardised columns that are alike, as cells are, and a target that is true at about one row in fifty."""
    random = np.random.default_rng(seed)
    common = random.normal(size=(rows, 6)) @ random.normal(size=(6, cells))
    inputs = common + 0.1 * random.normal(size=(rows, cells))
    inputs = (inputs - inputs.mean(0)) / inputs.std(0)
    margins = 4 * inputs[:, 3] - 4 * inputs[:, 17] + 3 * inputs[:, 30] - 10
    return inputs.astype(np.float32), (random.random(rows) < 1 / (1 + np.exp(-margins))).astype(np.float32)


def test_sparse_logistic_equals_a_tightly_converged_reference() -> None:
    inputs, targets = rare_problem(seed=1)
    weights, bias = sparse_regression(inputs, targets, 0.001)
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
    weights, bias = sparse_regression(inputs, targets, PENALTY)
    found = probe(sample, "rare")
    assert len(found.cells) == 5
    places = [20 * (layer - 1) + cell - 1 for layer, cell in found.cells]
    assert sorted(places) == np.flatnonzero(weights).tolist()
    sums = sample.first[:, places] @ found.weights + found.bias  # by weights of the states themselves
    np.testing.assert_allclose(logistic(sums), logistic(inputs @ weights + bias), atol=2e-3)


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
