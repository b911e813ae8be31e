"""An LSTM in plain numpy and float64, which others are compared with."""

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

    def step(self, shown: Doubles, outputs: Doubles, cells: Doubles, factors: Doubles | None = None) -> Doubles:
        """Read ``shown`` ``(B, V)``, a one-hot character or a mixture of characters in each stream, and return the
        logits ``(B, V)``. ``outputs`` and ``cells`` ``(L, B, H)`` are changed;
        the cell states are multiplied by ``factors`` before the output gate reads them."""
        weights, below = self.weights, shown
        for layer in range(self.layers):
            gates = below @ weights[f"lstm.weight_ih_l{layer}"].T + weights[f"lstm.bias_ih_l{layer}"]
            gates = gates + outputs[layer] @ weights[f"lstm.weight_hh_l{layer}"].T + weights[f"lstm.bias_hh_l{layer}"]
            i, f, g, o = np.split(gates, 4, axis=1)
            cells[layer] = logistic(f) * cells[layer] + logistic(i) * np.tanh(g)
            if factors is not None:
                cells[layer] *= factors[layer]
            outputs[layer] = below = logistic(o) * np.tanh(cells[layer])
        logits: Doubles = below @ weights["fc.weight"].T + weights["fc.bias"]
        return logits
