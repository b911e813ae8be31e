"""An LSTM and a sparse regression in plain numpy and float64, which others are compared with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]


def logistic(values: Doubles) -> Doubles:
    shares: Doubles = 1 / (1 + np.exp(-values))
    return shares


class PlainLSTM:
    """The network with these ``weights``, from the definition (Hochreiter and Schmidhuber; torch's order of gates i, f,
    g, o)."""

    def __init__(self, weights: Mapping[str, npt.NDArray[np.floating]]) -> None:
        self.weights = {name: array.astype(np.float64) for name, array in weights.items()}
        self.layers = sum(name.startswith("lstm.weight_hh") for name in weights)

    def step(self, shown: Doubles, outputs: Doubles, cells: Doubles) -> Doubles:
        """Read ``shown`` ``(B, V)``, a one-hot character or a mixture of characters in each stream, and return the
        logits ``(B, V)``. ``outputs`` and ``cells`` ``(L, B, H)`` are changed."""
        weights, below = self.weights, shown
        for layer in range(self.layers):
            gates = below @ weights[f"lstm.weight_ih_l{layer}"].T + weights[f"lstm.bias_ih_l{layer}"]
            gates = gates + outputs[layer] @ weights[f"lstm.weight_hh_l{layer}"].T + weights[f"lstm.bias_hh_l{layer}"]
            i, f, g, o = np.split(gates, 4, axis=1)
            cells[layer] = logistic(f) * cells[layer] + logistic(i) * np.tanh(g)
            outputs[layer] = below = logistic(o) * np.tanh(cells[layer])
        logits: Doubles = below @ weights["fc.weight"].T + weights["fc.bias"]
        return logits


def violation(inputs: Doubles, targets: Doubles, weights: Doubles, bias: float, penalty: float) -> float:
    """By how much a weight or the bias violates the conditions of the optimum most: the slope of the loss is 0 for the
    bias, -penalty · sign for a weight, and within ± penalty where the weight is 0."""
    errors = logistic(inputs.astype(np.float64) @ weights + bias) - targets
    slopes = inputs.T.astype(np.float64) @ errors / len(inputs)
    own = np.where(weights != 0, np.abs(slopes + penalty * np.sign(weights)), np.maximum(np.abs(slopes) - penalty, 0))
    return float(max(own.max(), abs(errors.mean())))


def sparse_regression(inputs: Doubles, targets: Doubles, penalty: float) -> tuple[Doubles, float]:
    """Weights and bias of the L1-penalised logistic regression by Beck and Teboulle's FISTA with the restart of
    O'Donoghue and Candès, until no weight violates its condition by 1e-10."""
    columns = np.column_stack([inputs.astype(np.float64), np.ones(len(inputs))])
    rate = 4 * len(columns) / np.linalg.norm(columns, 2) ** 2
    values = momentum = np.zeros(columns.shape[1])
    pace = 1.0
    for _ in range(200_000):
        slopes = columns.T @ (logistic(columns @ momentum) - targets) / len(columns)
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
