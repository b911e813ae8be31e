"""Fit a sparse logistic regression, until it is proven to be within a tolerance of the best one.

The loss is the mean of log(1 + exp(margin)) - target · margin, with an L1 penalty on the weights, which leaves few of
them (Tibshirani 1996), and none on the bias. How far weights are from the best ones is bounded by the duality gap
(Koh, Kim and Boyd 2007, "An interior-point method for large-scale l1-regularized logistic regression", JMLR 8, section
2.3): a number of iterations proves nothing, and for a rare feature 200 of FISTA left five times as many weights as the
best solution has.

The weights are found by Newton's method on the penalised loss, each step by coordinate descent (Friedman, Hastie and
Tibshirani 2010, "Regularization paths for generalized linear models via coordinate descent"). Only a few columns take
part at a time: those with a weight, and those that violate the conditions of the optimum most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charlstm.errors import GenerationError

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

TOLERANCE = 1e-5
"""A solution is accepted when its duality gap is at most this part of the loss without any weight. Products of float32
columns prove gaps down to some 1e-6 of it."""

MOST_ADDED = 32
"""Columns that join those that take part, at most, in one round."""

ROUNDS = 200
"""Rounds after which fitting is given up; on the states of a trained network it took 1 to 6."""

NEWTON_STEPS = 50
"""Newton steps of one round, at most; it took up to 9."""

SWEEPS = 200
"""Passes of the coordinate descent over all weights in one Newton step, at most."""

HALVINGS = 30
"""How often a Newton step is halved until the loss falls; then it is lost in rounding."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted regression.

    Attributes:
        weights: ``(C,)`` float64, most of them 0.
        bias: the target is more likely 1 than not where the weighted sum plus ``bias`` is above zero.
        loss: mean nats per row, with the penalty.
        gap: the loss of the best solution is at most this much lower.
    """

    weights: Doubles
    bias: float
    loss: float
    gap: float


def fit_sparse_logistic(inputs: Floats, targets: Floats, penalty: float) -> Fit:
    """Fit weights and a bias from ``inputs`` ``(n, C)`` to ``targets`` ``(n,)``, which are 0 or 1.

    Args:
        inputs: columns of about the same spread, since the penalty is the same for all.
        penalty: strength of the L1 penalty, above 0.

    Raises:
        GenerationError: the targets are all equal, or :data:`ROUNDS` did not suffice.
    """
    count, cells = inputs.shape
    share = float(targets.mean(dtype=np.float64))
    if not 0 < share < 1:
        raise GenerationError("A regression needs places where the feature is true and others where it is not")
    aims = targets.astype(np.float64)
    weights, bias = np.zeros(cells), float(np.log(share / (1 - share)))
    margins = np.full(count, bias)
    accepted = TOLERANCE * _loss(margins, aims)
    for _ in range(ROUNDS):
        errors = _shares(margins) - aims
        slopes = (inputs.T @ errors.astype(np.float32)).astype(np.float64) / count
        loss = _loss(margins, aims) + penalty * float(np.abs(weights).sum())
        gap = loss - _dual(errors, aims, penalty, float(np.abs(slopes).max(initial=0.0)))
        if gap <= accepted:
            return Fit(weights, bias, loss, gap)
        used = np.flatnonzero(weights)
        others = np.where(weights == 0, np.abs(slopes), 0)
        likely = np.argsort(-others, kind="stable")[:MOST_ADDED]
        part = np.union1d(used, likely[others[likely] > penalty])
        some, bias, margins = _fit_columns(
            inputs[:, part].astype(np.float64), aims, weights[part], bias, penalty, accepted
        )
        weights[part] = some
    raise GenerationError(f"The regression is not settled after {ROUNDS} rounds: take a longer text")


def _fit_columns(
    columns: Doubles, aims: Doubles, weights: Doubles, bias: float, penalty: float, accepted: float
) -> tuple[Doubles, float, Doubles]:
    """Weights of ``columns`` ``(n, K)``, the bias and the margins ``(n,)``, from given ones on, until their own duality
    gap is below a tenth of ``accepted``."""
    count = len(columns)
    with_bias = np.column_stack([columns, np.ones(count)])
    penalties = np.append(np.full(columns.shape[1], penalty), 0.0)
    values = np.append(weights, bias)
    margins = with_bias @ values

    def objective(values: Doubles, margins: Doubles) -> float:
        return _loss(margins, aims) + float(penalties @ np.abs(values))

    reached = objective(values, margins)
    for _ in range(NEWTON_STEPS):
        shares = _shares(margins)
        errors = shares - aims
        slopes = with_bias.T @ errors / count
        steepest = float(np.abs(slopes[:-1]).max(initial=0.0))
        balanced = abs(float(slopes[-1])) <= 1e-12
        if balanced and reached - _dual(errors, aims, penalty, steepest) <= accepted / 10:
            break
        # Where all shares are near 0 or 1 the curvature is nearly none, and a step would have no limit.
        curvature = np.maximum(shares * (1 - shares), 1e-10)
        products = with_bias.T @ (with_bias * curvature[:, None]) / count
        wanted = _descend(products, slopes, values, penalties)
        step = 1.0
        for _ in range(HALVINGS):
            tried = values + step * (wanted - values)
            tried_margins = with_bias @ tried
            found = objective(tried, tried_margins)
            if found <= reached:
                break
            step /= 2
        else:
            break
        values, margins, reached = tried, tried_margins, found
    return values[:-1], float(values[-1]), margins


def _descend(products: Doubles, slopes: Doubles, values: Doubles, penalties: Doubles) -> Doubles:
    """Coordinate descent on the quadratic with these slopes and ``products`` ``(K, K)`` at ``values``, plus the
    penalties: the values at its minimum."""
    found = values.copy()
    residual = slopes.copy()  # the slopes at ``found``
    diagonal = np.diag(products)
    for _ in range(SWEEPS):
        furthest = 0.0
        for at in range(len(found)):
            size = diagonal[at]
            target = found[at] - residual[at] / size
            shrunk = np.sign(target) * max(abs(target) - penalties[at] / size, 0.0)
            change = shrunk - found[at]
            if change:
                residual += change * products[at]
                found[at] = shrunk
                furthest = max(furthest, abs(change) * size)
        if furthest <= 1e-12:
            break
    return found


def _shares(margins: Doubles) -> Doubles:
    """The probability of 1 at each margin."""
    shares: Doubles = np.exp(-np.logaddexp(0, -margins))
    return shares


def _loss(margins: Doubles, aims: Doubles) -> float:
    return float((np.logaddexp(0, margins) - aims * margins).mean())


def _dual(errors: Doubles, aims: Doubles, penalty: float, steepest: float) -> float:
    """A lower bound for the loss of the best solution, from the ``errors`` of another whose bias is fitted: the dual
    function at these errors, scaled until no slope exceeds the penalty."""
    shares = aims + min(1.0, penalty / max(steepest, 1e-300)) * errors
    inner = shares[(shares > 0) & (shares < 1)]
    return -float((inner * np.log(inner) + (1 - inner) * np.log1p(-inner)).sum() / len(shares))
