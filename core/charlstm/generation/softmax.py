"""Softmax and cross-entropy of rows of logits, summed in float64."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.intp]


def softmax(logits: Floats) -> npt.NDArray[np.float64]:
    """The probabilities ``(B, V)`` of logits ``(B, V)``."""
    exponentials = np.exp((logits - logits.max(1, keepdims=True)).astype(np.float64))
    probabilities: npt.NDArray[np.float64] = exponentials / exponentials.sum(1, keepdims=True)
    return probabilities


def cross_entropy(logits: Floats, targets: Ids) -> npt.NDArray[np.float64]:
    """The loss ``(B,)`` of each of ``targets`` ``(B,)`` in nats, by logits ``(B, V)``."""
    highest = logits.max(1)
    total = np.log(np.exp(logits - highest[:, None]).sum(1, dtype=np.float64)) + highest
    right = np.take_along_axis(logits, targets[:, None], 1)[:, 0]
    losses: npt.NDArray[np.float64] = (total - right).astype(np.float64, copy=False)
    return losses
