"""Gradients of the loss over a segment of one text, in numpy: the network of dynamic evaluation.

Forward as ``nn.LSTM`` and ``nn.Linear`` compute it; backward through the segment's characters and no further. Gates
have torch's order (i, f, g, o).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from charlstm.generation.stepper import Ids
    from charlstm.model.file import Model

Floats = npt.NDArray[np.float32]

_FIRST = "lstm.weight_ih_l0"


class SegmentNetwork:
    """A copy of the weights of ``model``, and its activations in a segment of up to ``segment`` characters.

    Attributes:
        weights: float32, one after the other, all weights but those of ``rows``.
        gradients: of the same length, what :meth:`backward` computed.
        rows: ``(V, 4H)`` float32, the first layer's input weights, a row for each character. A segment uses few of
            them.
        ids: the characters of the segment; the first ``filled`` were read.
    """

    def __init__(self, model: Model, segment: int) -> None:
        config = model.config
        layers, size = config.num_layers, config.hidden_size
        self._layers, self._size, self.segment = layers, size, segment
        self.rows: Floats = np.ascontiguousarray(model.weights[_FIRST].T, np.float32)
        shapes = {name: shape for name, shape in config.shapes.items() if name != _FIRST}
        count = sum(math.prod(shape) for shape in shapes.values())
        self.weights: Floats = np.empty(count, np.float32)
        self.gradients: Floats = np.zeros(count, np.float32)
        self.named: dict[str, Floats] = {}
        self._gradient: dict[str, Floats] = {}
        start = 0
        for name, shape in shapes.items():
            stop = start + math.prod(shape)
            self.named[name] = self.weights[start:stop].reshape(shape)
            self._gradient[name] = self.gradients[start:stop].reshape(shape)
            self.named[name][:] = model.weights[name]
            start = stop

        self.ids: npt.NDArray[np.intp] = np.zeros(segment, np.intp)
        self.filled = 0
        # Row t + 1 is what the segment's character t left, row 0 what was before the segment.
        self._outputs: Floats = np.zeros((layers, segment + 1, size), np.float32)
        self._cells: Floats = np.zeros((layers, segment + 1, size), np.float32)
        self._gates: Floats = np.empty((layers, segment, 4 * size), np.float32)
        self._squashed: Floats = np.empty((layers, segment, size), np.float32)
        self._logits: Floats = np.empty((segment, config.vocab_size), np.float32)
        # sigmoid(x) = tanh(x / 2) / 2 + 1 / 2, so that one call of tanh computes all four gates.
        self._halves: Floats = np.full(4 * size, 0.5, np.float32)
        self._halves[2 * size : 3 * size] = 1.0
        self._offsets: Floats = 1 - self._halves

    def begin_text(self) -> None:
        """Go to the state of zeros and an empty segment."""
        self._outputs[:, 0] = self._cells[:, 0] = 0
        self.filled = 0

    def begin_segment(self) -> None:
        """Go to an empty segment, after the characters of the one before."""
        self._outputs[:, 0] = self._outputs[:, self.filled]
        self._cells[:, 0] = self._cells[:, self.filled]
        self.filled = 0

    def forward(self, ids: Ids) -> Floats:
        """Read characters for which the segment has space.

        Returns:
            ``(n, V)`` float32, the logits after each of them, valid until the next segment.
        """
        first, stop = self.filled, self.filled + len(ids)
        self.ids[first:stop] = ids
        size, candidate = self._size, np.empty(self._size, np.float32)
        for layer in range(self._layers):
            outputs, cells = self._outputs[layer], self._cells[layer]
            below = (
                self.rows[ids] if layer == 0 else self._outputs[layer - 1, first + 1 : stop + 1] @ self._input(layer).T
            )
            below += self.named[f"lstm.bias_ih_l{layer}"] + self.named[f"lstm.bias_hh_l{layer}"]
            recurrent = self.named[f"lstm.weight_hh_l{layer}"]
            for at in range(first, stop):
                gates = self._gates[layer, at]
                np.dot(recurrent, outputs[at], out=gates)
                gates += below[at - first]
                gates *= self._halves
                np.tanh(gates, out=gates)
                gates *= self._halves
                gates += self._offsets
                i, f, g, o = gates.reshape(4, size)
                cell, squashed = cells[at + 1], self._squashed[layer, at]
                np.multiply(f, cells[at], out=cell)
                np.multiply(i, g, out=candidate)
                cell += candidate
                np.tanh(cell, out=squashed)
                np.multiply(o, squashed, out=outputs[at + 1])
        self.filled = stop
        logits = self._logits[first:stop]
        np.dot(self._outputs[-1, first + 1 : stop + 1], self.named["fc.weight"].T, out=logits)
        logits += self.named["fc.bias"]
        return logits

    def backward(self, targets: Ids) -> tuple[npt.NDArray[np.intp], Floats]:
        """Compute the gradients of the mean loss over a whole segment, in :attr:`gradients`.

        Args:
            targets: ``(segment,)``, the characters that followed.

        Returns:
            The different characters of the segment ``(n,)``, and the gradients of their rows ``(n, 4H)``.
        """
        count = self.segment
        errors = np.exp(self._logits - self._logits.max(1, keepdims=True))
        errors /= errors.sum(1, keepdims=True)
        errors[np.arange(count), targets] -= 1
        errors /= count
        gradient = self._gradient
        np.dot(errors.T, self._outputs[-1, 1:], out=gradient["fc.weight"])
        np.sum(errors, 0, out=gradient["fc.bias"])
        above = errors @ self.named["fc.weight"]
        for layer in range(self._layers - 1, -1, -1):
            inner = self._backward_in_time(layer, above)
            np.dot(inner.T, self._outputs[layer, :-1], out=gradient[f"lstm.weight_hh_l{layer}"])
            np.sum(inner, 0, out=gradient[f"lstm.bias_ih_l{layer}"])
            gradient[f"lstm.bias_hh_l{layer}"][:] = gradient[f"lstm.bias_ih_l{layer}"]
            if layer:
                np.dot(inner.T, self._outputs[layer - 1, 1:], out=gradient[f"lstm.weight_ih_l{layer}"])
                above = inner @ self._input(layer)
        read, rows = np.unique(self.ids, return_inverse=True)
        one_hot = np.zeros((len(read), count), np.float32)
        one_hot[rows, np.arange(count)] = 1
        return read, one_hot @ inner

    def _input(self, layer: int) -> Floats:
        return self.named[f"lstm.weight_ih_l{layer}"]

    def _backward_in_time(self, layer: int, above: Floats) -> Floats:
        """The gradients of a layer's pre-activations ``(segment, 4H)`` from those of its outputs ``(segment, H)``."""
        size, recurrent = self._size, self.named[f"lstm.weight_hh_l{layer}"].T
        i, f, g, o = self._gates[layer].reshape(self.segment, 4, size).swapaxes(0, 1)
        squashed = self._squashed[layer]
        cell_by_output = o * (1 - squashed * squashed)
        gate_by_output = squashed * o * (1 - o)
        gates_by_cell = np.stack([g * i * (1 - i), self._cells[layer, :-1] * f * (1 - f), i * (1 - g * g)], 1)
        inner = np.empty((self.segment, 4, size), np.float32)
        later_output, later_cell = np.zeros(size, np.float32), np.zeros(size, np.float32)
        by_output, by_cell = np.empty(size, np.float32), np.empty(size, np.float32)
        for at in range(self.segment - 1, -1, -1):
            np.add(above[at], later_output, out=by_output)
            np.multiply(by_output, cell_by_output[at], out=by_cell)
            by_cell += later_cell
            np.multiply(by_cell, gates_by_cell[at], out=inner[at, :3])
            np.multiply(by_output, gate_by_output[at], out=inner[at, 3])
            np.multiply(by_cell, f[at], out=later_cell)
            np.dot(recurrent, inner[at].reshape(-1), out=later_output)
        return inner.reshape(self.segment, 4 * size)
