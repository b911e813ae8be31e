"""A trained model, one character at a time, in numpy: the network's arithmetic and nothing else.

Not for training, and not for choosing characters (:mod:`charlstm.generation.samplers`). It agrees with ``nn.LSTM`` to
1e-5 and never imports torch.

What makes it fast: a character is a row of the first layer's input matrix, so that product is a look-up; each layer
then needs a single product ``[h_below, h] @ W``; the gates are reordered to (i, f, o, g), so one slice holds all
sigmoids; a sigmoid is a tanh of half its argument, and the halves are already in the weights, so one call of tanh
serves all four gates; every product writes into a buffer that is allocated once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from charlstm.model.file import Model

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.integer]

BLOCK = 256
"""Characters whose input side is one product in :meth:`Stepper.outputs`. Part of what a text depends on: a product of
another height may round differently, so every caller gets the same blocks, counted from the start of what it passes."""


@dataclass(slots=True)
class State:
    """What a stepper remembers of ``B`` streams.

    Attributes:
        inputs: per layer the rows that its product takes, float32. Layer 0: ``(B, H)``, its own output. Others:
            ``(B, 2H)``, the output of the layer below and their own.
        cells: ``(L, B, H)`` float32, the cell states.
    """

    inputs: list[Floats]
    cells: Floats

    @property
    def batch(self) -> int:
        """``B``, the number of streams."""
        return int(self.cells.shape[1])

    def copy(self) -> State:
        """A state of its own with the same content."""
        return State([rows.copy() for rows in self.inputs], self.cells.copy())

    def repeat(self, batch: int) -> State:
        """The state of ``batch`` streams that all have seen what this single one has."""
        return State([rows.repeat(batch, 0) for rows in self.inputs], self.cells.repeat(batch, 1))

    def pack(self) -> Floats:
        """All that is needed to go on, as one array ``(2, L, B, H)``: outputs, then cells."""
        hidden = self.cells.shape[2]
        return np.stack([np.stack([rows[:, -hidden:] for rows in self.inputs]), self.cells])

    def unpack(self, packed: Floats) -> None:
        """Take over what :meth:`pack` gave, exactly."""
        hidden = self.cells.shape[2]
        for layer, output in enumerate(packed[0]):
            self.inputs[layer][:, -hidden:] = output
        np.copyto(self.cells, packed[1])


class Stepper:
    """The network of ``model``, with its weights packed once for stepping.

    One stepper serves any number of states, one call at a time (its buffers are shared). ``model`` is not changed.
    """

    def __init__(self, model: Model) -> None:
        config = model.config
        self.vocab_size, self.hidden_size, self.num_layers = config.vocab_size, config.hidden_size, config.num_layers
        weights = model.weights
        order = _gate_order(self.hidden_size)
        scale = np.ones((4 * self.hidden_size, 1), np.float32)
        scale[: 3 * self.hidden_size] = 0.5  # a power of two: halving is exact
        self._rows: Floats = np.empty(0, np.float32)
        self._products: list[Floats] = []
        self._biases: list[Floats] = []
        for layer in range(self.num_layers):
            from_below = weights[f"lstm.weight_ih_l{layer}"][order] * scale
            from_self = weights[f"lstm.weight_hh_l{layer}"][order] * scale
            bias = (weights[f"lstm.bias_ih_l{layer}"] + weights[f"lstm.bias_hh_l{layer}"])[order] * scale[:, 0]
            if layer == 0:
                self._rows = np.ascontiguousarray(from_below.T + bias, np.float32)
                self._products.append(np.ascontiguousarray(from_self.T, np.float32))
            else:
                both = np.concatenate([from_below, from_self], axis=1)
                self._products.append(np.ascontiguousarray(both.T, np.float32))
            self._biases.append(np.ascontiguousarray(bias, np.float32))
        self._head = np.ascontiguousarray(weights["fc.weight"].T, np.float32)
        self._head_bias = np.ascontiguousarray(weights["fc.bias"], np.float32)
        self._buffers: dict[int, _Buffers] = {}

    def zero_state(self, batch: int = 1) -> State:
        """The state of ``batch`` streams before any character."""
        size, layers = self.hidden_size, self.num_layers
        inputs = [np.zeros((batch, size if layer == 0 else 2 * size), np.float32) for layer in range(layers)]
        return State(inputs, np.zeros((layers, batch, size), np.float32))

    def step(self, ids: Ids, state: State) -> Floats:
        """Feed one character to each stream and return what comes next.

        Args:
            ids: ``(B,)`` integers below ``vocab_size``.
            state: of ``B`` streams; changed in place.

        Returns:
            Logits ``(B, V)`` float32, a buffer that the next call overwrites.
        """
        buffers = self._buffers_for(state.batch)
        np.take(self._rows, ids, axis=0, out=buffers.looked_up, mode="clip")
        self._layers(buffers.looked_up, buffers, state)
        return self.logits(state)

    def advance(self, which: int, state: State) -> None:
        """Feed the character ``which`` to one stream, without asking what comes next."""
        self._layers(self._rows[which : which + 1], self._buffers_for(1), state)

    def logits(self, state: State, out: Floats | None = None) -> Floats:
        """What comes after the characters that ``state`` has seen: ``(B, V)`` float32.

        Written to ``out``, or else to a buffer that the next call overwrites.
        """
        if out is None:
            out = self._buffers_for(state.batch).logits
        top = state.inputs[-1][:, -self.hidden_size :]
        np.dot(top, self._head, out=out)
        np.add(out, self._head_bias, out=out)
        return out

    def _buffers_for(self, batch: int) -> _Buffers:
        buffers = self._buffers.get(batch)
        if buffers is None:
            buffers = self._buffers[batch] = _Buffers(batch, self.hidden_size, self.vocab_size)
        return buffers

    def _layers(self, looked_up: Floats, buffers: _Buffers, state: State) -> None:
        """One time step of all layers; ``looked_up`` ``(B, 4H)`` is the first layer's input side."""
        last = self.num_layers - 1
        for layer, rows in enumerate(state.inputs):
            np.dot(rows, self._products[layer], out=buffers.gates)
            np.add(buffers.gates, looked_up if layer == 0 else self._biases[layer], out=buffers.gates)
            output = rows[:, -self.hidden_size :]
            buffers.cell(state.cells[layer], output)
            if layer < last:
                np.copyto(state.inputs[layer + 1][:, : self.hidden_size], output)

    def outputs(self, ids: Ids, state: State) -> Iterator[tuple[slice, Floats]]:
        """Feed a long text to one stream, layer by layer in blocks of :data:`BLOCK` characters.

        Within a block each layer's input side is one large product, and the layer's recurrent matrix, walked through
        alone, stays nearer to the processor than all layers' together.

        Args:
            ids: ``(N,)`` integers below ``vocab_size``.
            state: of one stream; changed in place, one block at a time.

        Yields:
            ``(which, tops)`` per block: the slice of ``ids`` and ``(n, H)`` float32, the top layer's outputs after
            each of these characters, to be given to :meth:`head`.

        Returns what :meth:`step` would to about 1e-6, not bit for bit: products of other shapes round differently.
        """
        size = self.hidden_size
        buffers = self._buffers_for(1)
        for start in range(0, len(ids), BLOCK):
            which = slice(start, min(start + BLOCK, len(ids)))
            below = self._rows[ids[which]]
            tops = np.empty((len(below), size), np.float32)
            for layer, rows in enumerate(state.inputs):
                if layer > 0:
                    below = tops @ self._products[layer][:size] + self._biases[layer]
                    tops = np.empty_like(tops)
                recurrent = self._products[layer][-size:]
                output = rows[:, -size:]
                for t in range(len(below)):
                    np.dot(output, recurrent, out=buffers.gates)
                    np.add(buffers.gates, below[t], out=buffers.gates)
                    buffers.cell(state.cells[layer], output)
                    tops[t] = output[0]
                if layer + 1 < self.num_layers:
                    state.inputs[layer + 1][:, :size] = output
            yield which, tops

    def head(self, tops: Floats) -> Floats:
        """Logits ``(n, V)`` float32 of top-layer outputs ``(n, H)``."""
        logits: Floats = tops @ self._head
        logits += self._head_bias
        return logits

    def consume(self, ids: Ids, state: State) -> Floats:
        """Feed a prime of any length to one stream and return the logits ``(1, V)`` after it.

        ``state`` is changed in place. The result depends on ``ids`` and ``state`` alone, not on how a caller might
        have cut the text: callers that want the same text again pass the same whole text again.
        """
        for _ in self.outputs(ids, state):
            pass
        return self.logits(state)


class _Buffers:
    """Working memory for ``batch`` streams, and the element-wise part of a layer."""

    def __init__(self, batch: int, hidden: int, vocab: int) -> None:
        self.looked_up = np.empty((batch, 4 * hidden), np.float32)
        self.gates = np.empty((batch, 4 * hidden), np.float32)
        self.logits = np.empty((batch, vocab), np.float32)
        self._sigmoids = self.gates[:, : 3 * hidden]
        self._i, self._f, self._o, self._g = (self.gates[:, k * hidden : (k + 1) * hidden] for k in range(4))
        self._squashed = np.empty((batch, hidden), np.float32)

    def cell(self, cell: Floats, output: Floats) -> None:
        """From pre-activations in ``gates`` to the new ``cell`` and ``output``, both ``(B, H)``, in place."""
        np.tanh(self.gates, out=self.gates)
        sigmoids = self._sigmoids
        np.multiply(sigmoids, np.float32(0.5), out=sigmoids)
        np.add(sigmoids, np.float32(0.5), out=sigmoids)
        np.multiply(cell, self._f, out=cell)
        np.multiply(self._i, self._g, out=self._g)
        np.add(cell, self._g, out=cell)
        np.tanh(cell, out=self._squashed)
        np.multiply(self._o, self._squashed, out=output)


def _gate_order(hidden: int) -> npt.NDArray[np.intp]:
    """Rows of torch's (i, f, g, o) in the order (i, f, o, g)."""
    i, f, g, o = np.arange(4 * hidden).reshape(4, hidden)
    return np.concatenate([i, f, o, g])
